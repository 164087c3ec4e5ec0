"""DNS records of the embedded Cloudflare: what can be one, which exclude each other, and how they are listed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.cloudflare_api import ORIGIN, ZONE, CloudflareApi

WWW = f"www.{ZONE}"


@pytest.fixture
def api(cloudflare: CloudflareApi) -> CloudflareApi:
    return cloudflare


def refused(api: CloudflareApi, **fields: Any) -> tuple[int, int, str]:
    return api.refused("POST", f"{api.zone_path}/dns_records", fields)


# The life of one


def test_a_record_from_its_making_to_its_end(api: CloudflareApi) -> None:
    made = api.record(type="A", name="www", content=ORIGIN, proxied=True, ttl=1, comment="of the tests")
    wanted = {"type": "A", "name": WWW, "content": ORIGIN, "proxied": True, "proxiable": True, "ttl": 1}
    assert wanted.items() <= made.items()
    assert (made["comment"], made["tags"]) == ("of the tests", [])
    path = f"{api.zone_path}/dns_records/{made['id']}"
    assert api.done("GET", path) == made
    edited = api.done("PATCH", path, {"content": "198.51.100.151"})
    assert edited == {**made, "content": "198.51.100.151", "modified_on": edited["modified_on"]}
    assert edited["modified_on"] > made["modified_on"]
    whole = api.done("PUT", path, {"type": "A", "name": "www", "content": ORIGIN})
    assert (whole["proxied"], whole["comment"], whole["created_on"]) == (False, None, made["created_on"])
    assert api.done("DELETE", path) == {"id": made["id"]}
    assert api.refused("GET", path) == (404, 81044, "Record does not exist.")
    for method in ("PUT", "PATCH"):
        assert api.refused(method, path, {"content": ORIGIN})[:2] == (404, 81044)
    assert api.refused("DELETE", path)[:2] == (404, 81044)


def test_every_change_is_published_and_saved_before_it_is_acknowledged(api: CloudflareApi) -> None:
    made = api.record(type="A", name="www", content=ORIGIN)
    assert made["id"] in api.published[-1].zones[api.zone.id].records
    assert made["id"] in (api.folder / "state.json").read_text()
    before = len(api.published)
    api.done("GET", f"{api.zone_path}/dns_records")
    refused(api, type="A", name="www", content=ORIGIN)
    assert len(api.published) == before


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("@", ZONE),
        (ZONE, ZONE),
        ("WWW", WWW),
        (f"{WWW}.", WWW),
        ("a.b", f"a.b.{ZONE}"),
        ("*", f"*.{ZONE}"),
        # What the account does not own ends below what it owns, as with the vendor.
        ("www.other.example", f"www.other.example.{ZONE}"),
        (f"not{ZONE}", f"not{ZONE}.{ZONE}"),
    ],
)
def test_names_are_completed(api: CloudflareApi, given: str, name: str) -> None:
    assert api.record(type="A", name=given, content=ORIGIN)["name"] == name


@pytest.mark.parametrize("name", ["", "a..b", "-a", "a b", "a" * 64, ".", "*.*", "a.*", "ü", 5, None])
def test_names_that_cannot_be(api: CloudflareApi, name: object) -> None:
    assert refused(api, type="A", name=name, content=ORIGIN) == (400, 9000, "DNS name is invalid.")


@pytest.mark.parametrize("name", ["registry", "objects", "bucket.objects"])
def test_names_of_the_lab_itself_are_not_given_away(api: CloudflareApi, name: str) -> None:
    status, _, message = refused(api, type="A", name=name, content=ORIGIN)
    assert (status, "the lab's own" in message) == (501, True)


@pytest.mark.parametrize(
    ("kind", "content", "shown"),
    [
        ("A", "198.51.100.7", "198.51.100.7"),
        ("AAAA", "2001:DB8:0:0::1", "2001:db8::1"),
        ("CNAME", "Target.Example.", "target.example"),
        ("TXT", 'v=spf1 "a", -all', 'v=spf1 "a", -all'),
        ("MX", "mail.example.", "mail.example"),
    ],
)
def test_content_of_every_type(api: CloudflareApi, kind: str, content: str, shown: str) -> None:
    made = api.record(type=kind, name="x", content=content, priority=10)
    assert made["content"] == shown
    assert made.get("priority") == (10 if kind == "MX" else None)
    assert made["proxiable"] == (kind in ("A", "AAAA", "CNAME"))


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"type": "A", "content": "2001:db8::1"}, 9005, "must be a valid IPv4 address"),
        ({"type": "A", "content": "198.51.100"}, 9005, "must be a valid IPv4 address"),
        ({"type": "AAAA", "content": ORIGIN}, 9006, "must be a valid IPv6 address"),
        ({"type": "AAAA", "content": "fe80::1%eth0"}, 9006, "must be a valid IPv6 address"),
        ({"type": "CNAME", "content": "198.51.100.7"}, 9007, "Content for CNAME record is invalid"),
        ({"type": "CNAME", "content": "a..b"}, 9007, "Content for CNAME record is invalid"),
        ({"type": "MX", "content": "mail.example"}, 9008, "priority"),
        ({"type": "MX", "content": "mail.example", "priority": 65536}, 9008, "priority"),
        ({"type": "MX", "content": "-", "priority": 1}, 9009, "Content for MX record is invalid"),
        ({"type": "TXT", "content": ""}, 9002, "Content for TXT record is invalid"),
        ({"type": "TXT", "content": "a\nb"}, 9002, "Content for TXT record is invalid"),
        ({"type": "A"}, 9002, "Content for A record is invalid"),
        ({"type": "A", "content": 5}, 9002, "Content for A record is invalid"),
        ({"type": "Z", "content": ORIGIN}, 9004, "record type"),
        ({"content": ORIGIN}, 9004, "record type"),
        ({"type": "A", "content": ORIGIN, "ttl": 30}, 9021, "between 60 and 86400 seconds, or 1"),
        ({"type": "A", "content": ORIGIN, "ttl": 86401}, 9021, "between 60 and 86400"),
        ({"type": "A", "content": ORIGIN, "ttl": "long"}, 9021, "between 60 and 86400"),
        ({"type": "A", "content": ORIGIN, "comment": "x" * 101}, 9301, "100 characters"),
        ({"type": "A", "content": ORIGIN, "tags": ["a:b"]}, 9300, "has 1 tags, exceeding the quota of 0"),
        ({"type": "TXT", "content": "a", "proxied": True}, 9041, "Record cannot be proxied"),
        ({"type": "A", "content": ORIGIN, "proxied": "yes"}, 9004, "proxied"),
        ({"type": "A", "content": "10.0.0.9", "proxied": True}, 9003, "10.0.0.9 is not allowed for a proxied record"),
        ({"type": "A", "content": "127.0.0.1", "proxied": True}, 9003, "not allowed for a proxied record"),
        ({"type": "A", "content": "198.51.100.83", "proxied": True}, 9003, "not allowed for a proxied record"),
    ],
)
def test_what_cannot_be_a_record(api: CloudflareApi, fields: dict[str, object], code: int, text: str) -> None:
    status, found, message = refused(api, name="x", **fields)
    assert (status, found, text in message) == (400, code, True), message
    assert api.zone.records == {}


@pytest.mark.parametrize(
    "fields", [{"type": "CAA", "content": "0 issue a"}, {"type": "A", "content": ORIGIN, "private_routing": True}]
)
def test_what_is_not_implemented_is_said_so(api: CloudflareApi, fields: dict[str, object]) -> None:
    status, code, message = refused(api, name="x", **fields)
    assert (status, code, "does not implement" in message) == (501, 7000, True)


def test_a_proxied_record_has_an_automatic_ttl(api: CloudflareApi) -> None:
    assert api.record(type="A", name="x", content=ORIGIN, ttl=600)["ttl"] == 600
    assert api.record(type="A", name="y", content=ORIGIN, ttl=600, proxied=True)["ttl"] == 1


# Beside others


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (("A", ORIGIN), ("A", ORIGIN), 81058),
        (("AAAA", "2001:db8::1"), ("AAAA", "2001:DB8:0::1"), 81058),
        (("TXT", "a"), ("TXT", "a"), 81058),
        (("CNAME", "a.example"), ("A", ORIGIN), 81054),
        (("CNAME", "a.example"), ("AAAA", "2001:db8::1"), 81054),
        (("A", ORIGIN), ("CNAME", "a.example"), 81053),
        (("CNAME", "a.example"), ("CNAME", "b.example"), 81053),
        (("A", ORIGIN), ("A", "198.51.100.151"), None),
        (("A", ORIGIN), ("AAAA", "2001:db8::1"), None),
        (("A", ORIGIN), ("TXT", "a"), None),
        (("CNAME", "a.example"), ("TXT", "a"), None),
    ],
)
def test_which_records_of_a_name_exclude_each_other(
    api: CloudflareApi, first: tuple[str, str], second: tuple[str, str], code: int | None
) -> None:
    api.record(type=first[0], name="x", content=first[1])
    api.record(type=second[0], name="elsewhere", content=second[1])
    fields = {"type": second[0], "name": "x", "content": second[1]}
    if code is None:
        api.record(**fields)
    else:
        assert refused(api, **fields)[:2] == (400, code)
        # Nor by giving another one its name.
        other = api.record(type=second[0], name="y", content=second[1])
        for method in ("PUT", "PATCH"):
            path = f"{api.zone_path}/dns_records/{other['id']}"
            assert api.refused(method, path, fields)[:2] == (400, code)
            assert api.done("GET", path) == other


def test_a_record_may_stay_as_it_is(api: CloudflareApi) -> None:
    fields = {"type": "A", "name": "x", "content": ORIGIN}
    made = api.record(**fields)
    for method in ("PUT", "PATCH"):
        assert api.done(method, f"{api.zone_path}/dns_records/{made['id']}", fields)["id"] == made["id"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_record_stays_of_its_type(api: CloudflareApi, method: str) -> None:
    made = api.record(type="A", name="x", content=ORIGIN)
    path = f"{api.zone_path}/dns_records/{made['id']}"
    status, code, message = api.refused(method, path, {"type": "TXT", "name": "x", "content": "a"})
    assert (status, code) == (400, 9004)
    assert "type of a DNS record cannot be changed" in message
    assert api.done("GET", path) == made


# Several at once


def batch(api: CloudflareApi) -> str:
    return f"{api.zone_path}/dns_records/batch"


def test_a_batch_deletes_then_edits_then_overwrites_then_creates(api: CloudflareApi) -> None:
    alias = api.record(type="CNAME", name="www", content="a.example", comment="old")
    edited = api.record(type="A", name="a", content=ORIGIN, comment="kept")
    overwritten = api.record(type="A", name="b", content=ORIGIN, comment="lost")
    before = len(api.published)
    # Each change needs one that the vendor's order puts before it, and this order does not.
    done = api.done(
        "POST",
        batch(api),
        {
            "posts": [{"type": "A", "name": "b", "content": ORIGIN}, {"type": "A", "name": "www", "content": ORIGIN}],
            "puts": [{"id": overwritten["id"], "type": "A", "name": "a", "content": ORIGIN}],
            "patches": [{"id": edited["id"], "content": "198.51.100.151"}],
            "deletes": [{"id": alias["id"], "name": "ignored"}],
        },
    )
    assert list(done) == ["deletes", "patches", "puts", "posts"]
    assert done["deletes"] == [alias]
    assert [(item["id"], item["content"], item["comment"]) for item in (*done["patches"], *done["puts"])] == [
        (edited["id"], "198.51.100.151", "kept"),
        (overwritten["id"], ORIGIN, None),
    ]
    assert listed(api) == ["a:A", "a:A", "b:A", "www:A"]
    assert len(api.published) == before + 1


def test_a_batch_of_which_one_is_refused_changes_nothing(api: CloudflareApi) -> None:
    made = api.record(type="A", name="a", content=ORIGIN)
    before, published = api.done("GET", f"{api.zone_path}/dns_records"), len(api.published)
    good: dict[str, Any] = {"deletes": [{"id": made["id"]}], "posts": [{"type": "A", "name": "b", "content": ORIGIN}]}
    for bad, refusal in (
        ({"posts": [*good["posts"], *good["posts"]]}, (400, 81058)),
        ({"patches": [{"id": made["id"], "content": ORIGIN}]}, (404, 81044)),  # it was just deleted
        ({"puts": [{"type": "A", "name": "c", "content": ORIGIN}]}, (404, 81044)),
        ({"posts": "all"}, (400, 9000)),
        ({"posts": [5]}, (400, 9000)),
        ({"posts": good["posts"] * 201}, (400, 9000)),
        ({"gets": []}, (501, 7000)),
    ):
        assert api.refused("POST", batch(api), {**good, **bad})[:2] == refusal
    assert api.done("GET", f"{api.zone_path}/dns_records") == before
    assert len(api.published) == published
    assert api.done("POST", batch(api), {"deletes": None}) == {"deletes": [], "patches": [], "puts": [], "posts": []}


# Lists


def listed(api: CloudflareApi, **parameters: Any) -> list[str]:
    found = api.done("GET", f"{api.zone_path}/dns_records", params=parameters)
    return [record["name"].removesuffix(f".{ZONE}") + ":" + record["type"] for record in found]


@pytest.fixture
def several(api: CloudflareApi) -> CloudflareApi:
    api.record(type="A", name="app", content=ORIGIN, proxied=True, comment="one of Ours")
    api.record(type="A", name="web", content="198.51.100.151", ttl=60)
    api.record(type="TXT", name="app", content="hello", comment="ours", ttl=300)
    return api


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({}, ["app:A", "web:A", "app:TXT"]),
        ({"name": f"app.{ZONE}"}, ["app:A", "app:TXT"]),
        ({"name.exact": f"APP.{ZONE}"}, ["app:A", "app:TXT"]),
        ({"name.startswith": "we"}, ["web:A"]),
        ({"name.contains": "pp"}, ["app:A", "app:TXT"]),
        ({"name.endswith": ZONE}, ["app:A", "web:A", "app:TXT"]),
        ({"name": "app"}, []),
        ({"type": "A"}, ["app:A", "web:A"]),
        ({"type": "A", "name": f"app.{ZONE}"}, ["app:A"]),
        ({"type": "TXT", "name": f"web.{ZONE}", "match": "any"}, ["web:A", "app:TXT"]),
        ({"content": ORIGIN}, ["app:A"]),
        ({"content.contains": "198.51"}, ["app:A", "web:A"]),
        ({"proxied": "true"}, ["app:A"]),
        ({"proxied": "false"}, ["web:A", "app:TXT"]),
        ({"comment": "ours"}, ["app:TXT"]),
        ({"comment.contains": "OURS"}, ["app:A", "app:TXT"]),
        ({"comment.present": ""}, ["app:A", "app:TXT"]),
        ({"comment.absent": ""}, ["web:A"]),
        ({"order": "name", "direction": "desc"}, ["web:A", "app:A", "app:TXT"]),
        ({"order": "type"}, ["app:A", "web:A", "app:TXT"]),
        ({"order": "ttl"}, ["app:A", "web:A", "app:TXT"]),
    ],
)
def test_filters(several: CloudflareApi, parameters: dict[str, str], found: list[str]) -> None:
    assert listed(several, **parameters) == found


@pytest.mark.parametrize("parameter", ["search", "tag", "include_shadow_metadata", "naem"])
def test_a_filter_that_is_not_understood_never_answers_a_wrong_list(api: CloudflareApi, parameter: str) -> None:
    status, _, message = api.refused("GET", f"{api.zone_path}/dns_records", params={parameter: "x"})
    assert (status, parameter in message) == (501, True)


def test_pages_until_an_empty_one(several: CloudflareApi) -> None:
    def page(number: int) -> Any:
        path = f"{several.zone_path}/dns_records"
        return several.request("GET", path, params={"page": number, "per_page": 2}).json()

    first, second, third = page(1), page(2), page(3)
    assert [len(answer["result"]) for answer in (first, second, third)] == [2, 1, 0]
    assert first["result_info"] == {"page": 1, "per_page": 2, "count": 2, "total_count": 3, "total_pages": 2}
    assert third["success"]


@pytest.mark.parametrize(
    "parameters", [{"per_page": 0}, {"per_page": 5001}, {"page": 0}, {"page": "x"}, {"order": "age"}]
)
def test_pages_that_make_no_sense(api: CloudflareApi, parameters: dict[str, object]) -> None:
    assert api.refused("GET", f"{api.zone_path}/dns_records", params=parameters)[:2] == (400, 1002)
    assert api.done("GET", f"{api.zone_path}/dns_records", params={"per_page": 5000}) == []
