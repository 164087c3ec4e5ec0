"""Records: what is declared, what is there, and exactly what has to change."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import contents, marks, record_options, records
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.client import Client, CloudflareError
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.records import Record, Step

from tests.unit.cloudflare.conftest import envelope
from tests.unit.object_storage.edge import Edge

ZONE, MARK = "example.com", "bulwark:lab"
NUMBERS = itertools.count()


def declared(name: str, kind: str = "A", content: str = "192.0.2.1", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "content": content, "proxied": None, "ttl": None, "comment": None, **more}


def there(name: str, kind: str = "A", content: str = "192.0.2.1", comment: str = MARK, **more: Any) -> Record:
    whole = name if name == ZONE else f"{name}.{ZONE}"
    record = {"id": f"id{next(NUMBERS)}", "proxied": False, "ttl": 1, **more}
    return Record(name=whole, type=kind, content=content, comment=comment, **record)


def plan(wanted: list[dict[str, Any]], found: list[Record], *allow: str) -> list[Step]:
    return records.plan(record_options.parse(wanted, ZONE), found, "lab", ZONE, record_options.parse_allow(allow, ZONE))


def made(steps: list[Step]) -> list[str]:
    return [f"{step.change.action} {step.change.name} {step.method}" for step in steps]


def test_what_is_as_declared_is_left_alone() -> None:
    found = [there(ZONE), there("www", "CNAME", ZONE, proxied=True, ttl=1, comment=f"{MARK} by hand")]
    assert plan([declared("@"), declared("www", "CNAME", "EXAMPLE.com.")], found) == []


def test_what_is_omitted_stays_and_what_is_new_has_cloudflares_defaults() -> None:
    [step] = plan([declared("a", content="192.0.2.9")], [there("a", proxied=True, comment=f"{MARK} kept")])
    assert step.body["proxied"] is True
    assert step.body["comment"] == f"{MARK} kept"
    [step] = plan([declared("b")], [])
    assert step.body == {
        "name": "b.example.com",
        "type": "A",
        "content": "192.0.2.1",
        "proxied": False,
        "ttl": 1,
        "comment": MARK,
    }


def test_content_changes_in_place_after_what_is_more_and_before_what_is_too_much() -> None:
    wanted = [declared("a", content=f"192.0.2.{number}") for number in (1, 2)]
    found = [there("a", content="192.0.2.3"), there("a", content="192.0.2.2")]
    [step] = plan(wanted, found)
    assert (step.change.before, step.change.after) == ({"content": "192.0.2.3"}, {"content": "192.0.2.1"})
    assert step.body["id"] == found[0].id
    assert made(plan([*wanted, declared("a", content="192.0.2.4")], found)) == [
        "create a.example.com A POST",
        "update a.example.com A PATCH",
    ]
    assert made(plan([declared("a", content="192.0.2.9")], found)) == [
        "update a.example.com A PATCH",
        "delete a.example.com A DELETE",
    ]


def test_ours_that_are_not_declared_go_and_nobody_elses() -> None:
    found = [there("old"), there("a", "TXT", "old"), there("theirs", comment=""), there("b", comment="bulwark:lab2")]
    assert made(plan([declared("a")], found)) == [
        "create a.example.com A POST",
        "delete a.example.com TXT DELETE",
        "delete old.example.com A DELETE",
    ]
    assert made(plan([], found)) == ["delete a.example.com TXT DELETE", "delete old.example.com A DELETE"]


def test_another_kind_takes_the_place_in_one_request(edge: Edge, client: Client) -> None:
    old, other = there("www", "CNAME", ZONE), there("z", content="192.0.2.7")
    steps = plan([declared("www"), declared("www", "AAAA", "2001:db8::1"), declared("z")], [old, other])
    assert made(steps) == [
        "delete www.example.com CNAME DELETE",
        "create www.example.com A POST",
        "create www.example.com AAAA POST",
        "update z.example.com A PATCH",
    ]
    edge.store = lambda _asked: envelope({})
    records.apply(client, "z1", steps)
    assert edge.methods() == ["POST /zones/z1/dns_records/batch", f"PATCH /zones/z1/dns_records/{other.id}"]
    batch = json.loads(edge.asked[0].body)
    assert list(batch) == ["deletes", "posts"]
    assert batch["deletes"] == [{"id": old.id}]
    assert [body["type"] for body in batch["posts"]] == ["A", "AAAA"]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (there("www", comment=""), "has a record A 192.0.2.1"),
        (there("www", "CNAME", "elsewhere.example", comment=""), "has a record CNAME elsewhere.example"),
        (there("www", "NS", "ns.example", comment=""), "has a record NS ns.example"),
        (there("www", comment="bulwark:lab2"), "does not carry the mark 'bulwark:lab'"),
    ],
)
def test_somebody_elses_record_is_refused_unless_it_is_allowed(found: Record, told: str) -> None:
    [*_, step] = [step for step in plan([declared("www")], [found]) if step.change.refused]
    assert told in step.change.refused
    assert "allow=record/www.example.com" in step.change.refused
    allowed = plan([declared("www")], [found], "record/www")
    assert [step for step in allowed if step.change.refused] == []
    assert allowed[-1].body["comment"] == MARK


@pytest.mark.parametrize(
    "found",
    [
        there("www", "TXT", "theirs", comment=""),
        there("www", "MX", "mail.example", comment=""),
        there(ZONE, "NS", "ns.cloudflare.example", comment=""),
    ],
)
def test_what_is_in_nobodys_way_stays(found: Record) -> None:
    assert made(plan([declared("www"), declared("@")], [found])) == [
        "create example.com A POST",
        "create www.example.com A POST",
    ]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (declared("a", content="300.1.1.1"), "records: a A: "),
        (declared("a", "AAAA", "192.0.2.1"), "records: a AAAA: "),
        (declared("a", "CNAME", "192.0.2.1"), "is no whole name such as www.example.com"),
        (declared("a.other.org."), "'a.other.org.' does not lie in the zone example.com"),
        (declared("a", "TXT", "x", proxied=True), "a TXT record cannot be proxied"),
        (declared("a", ttl=5), "from 30 to 86400 seconds"),
        (declared("a", ttl=300, proxied=True), "a proxied record has no ttl but the automatic one"),
    ],
)
def test_records_that_there_cannot_be(record: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CloudflareError) as error:
        record_options.parse([record], ZONE)
    assert sentence in str(error.value)


def test_records_that_cannot_be_beside_each_other() -> None:
    with pytest.raises(CloudflareError, match="declared twice"):
        record_options.parse([declared("a"), declared("a.example.com")], ZONE)
    for other in (declared("a"), declared("a", "CNAME", "b.example")):
        with pytest.raises(CloudflareError, match="has a CNAME and another record beside it"):
            record_options.parse([declared("a", "CNAME", ZONE), other], ZONE)


def test_a_name_always_leads_to_one_that_is_there() -> None:
    found = [there("a"), there("www", "CNAME", f"a.{ZONE}"), there("x")]
    wanted = [declared("z"), declared("www", "CNAME", f"z.{ZONE}"), declared("x", "CNAME", f"z.{ZONE}")]
    assert made(plan(wanted, found)) == [
        "create z.example.com A POST",
        "update www.example.com CNAME PATCH",
        "delete x.example.com A DELETE",
        "create x.example.com CNAME POST",
        "delete a.example.com A DELETE",
    ]
    assert [step.together for step in plan(wanted, found)] == [False, False, True, True, False]


@pytest.mark.parametrize("name", ["www", "zone/www", "record/"])
def test_consent_is_given_by_name(name: str) -> None:
    with pytest.raises(CloudflareError, match="is not record/NAME such as record/www"):
        record_options.parse_allow([name], ZONE)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", '"plain"'),
        ('say "yes" \\', '"say \\"yes\\" \\\\"'),
        ("", '""'),
        ('"yes" and no', '"\\"yes\\" and no"'),
        ("a" * 300, f'"{"a" * 255}" "{"a" * 45}"'),
        ("ä" * 70, f'"{"ä" * 63}" "{"ä" * 7}"'),
    ],
)
def test_texts_are_quoted_as_cloudflare_stores_them(text: str, written: str) -> None:
    [step] = plan([declared("a", "TXT", text)], [])
    assert step.body["content"] == written
    assert plan([declared("a", "TXT", text)], [there("a", "TXT", contents.told("TXT", written, ZONE))]) == []


def test_environments_that_cannot_be_part_of_the_mark() -> None:
    assert marks.check_environment("my_lab") == "my_lab"
    with pytest.raises(CloudflareError, match="cannot mark what is its"):
        marks.check_environment("my lab")
