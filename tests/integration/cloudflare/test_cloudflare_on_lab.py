"""The modules for records, settings and headers against the embedded Cloudflare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.modules import (
    cloudflare_dns_records,
    cloudflare_request_header,
)

from lab.cloudflare import state
from lab.cloudflare.rules import headers_for
from tests.integration.cloudflare.zone import (
    MARK,
    OTHER,
    STRICT,
    Served,
    changing,
    dns,
    record,
    settings,
)
from tests.lab.cloudflare_api import ORIGIN, ZONE
from tests.modules import Run


def test_records_check_create_again_change_delete(run: Run, edge: Served) -> None:
    edge.put(f"mail.{ZONE}", "A", OTHER, "not ours")
    declared = [record("@", proxied=True), record("www", "CNAME", ZONE, proxied=True), record("note", "TXT", 'a "b"')]
    announced = dns(run, *declared, check=True)
    assert changing(edge.asked()) == []
    made = dns(run, *declared)
    assert announced["plan"] == made["plan"]
    assert [step["action"] for step in made["plan"]] == ["create"] * 3
    assert edge.records() == [
        (ZONE, "A", ORIGIN, True, MARK),
        (f"mail.{ZONE}", "A", OTHER, False, "not ours"),
        (f"note.{ZONE}", "TXT", '"a \\"b\\""', False, MARK),
        (f"www.{ZONE}", "CNAME", ZONE, True, MARK),
    ]
    edge.asked()
    again = dns(run, *declared)
    assert (again["changed"], again["plan"], again["diff"]) == (False, [], [])
    assert edge.asked() == ["GET /zones", f"GET /zones/{edge.zone.id}/dns_records"]

    changed = dns(run, record("@", content=OTHER), record("@", "AAAA", "2001:DB8::1"))
    assert [(step["name"], step["action"]) for step in changed["plan"]] == [
        (f"{ZONE} AAAA", "create"),
        (f"{ZONE} A", "update"),
        (f"note.{ZONE} TXT", "delete"),
        (f"www.{ZONE} CNAME", "delete"),
    ]
    assert changed["plan"][1]["before"] == {"content": ORIGIN}
    assert edge.records()[:2] == [(ZONE, "A", OTHER, True, MARK), (ZONE, "AAAA", "2001:db8::1", False, MARK)]

    gone = run(cloudflare_dns_records, environment_name="lab", state="absent")
    assert [step["action"] for step in gone["plan"]] == ["delete", "delete"]
    assert edge.records() == [(f"mail.{ZONE}", "A", OTHER, False, "not ours")]


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [("A", OTHER, f"has a record A {OTHER}"), ("CNAME", f"mail.{ZONE}", f"has a record CNAME mail.{ZONE}")],
)
def test_somebody_elses_record_is_refused_before_anything_is_changed(
    run: Run, edge: Served, kind: state.RecordType, content: str, told: str
) -> None:
    edge.put(f"www.{ZONE}", kind, content)
    refused = dns(run, record("@"), record("www"))
    assert refused["failed"]
    assert told in refused["msg"]
    assert f"allow=record/www.{ZONE}" in refused["msg"]
    assert changing(edge.asked()) == []
    assert not refused["changed"]


def test_a_record_is_adopted_with_consent(run: Run, edge: Served) -> None:
    edge.put(f"www.{ZONE}", "A", OTHER, "old")
    adopted = dns(run, record("www"), allow=["record/www"])
    assert [(step["action"], step["destructive"]) for step in adopted["plan"]] == [("adopt", True)]
    assert edge.records() == [(f"www.{ZONE}", "A", ORIGIN, False, MARK)]
    assert dns(run, record("www"))["changed"] is False


@pytest.mark.parametrize(
    ("kind", "content", "declared"),
    [("CNAME", f"mail.{ZONE}", record("www")), ("A", OTHER, record("www", "CNAME", ZONE))],
)
def test_one_of_another_kind_is_replaced_with_consent_in_one_request(
    run: Run, edge: Served, kind: state.RecordType, content: str, declared: dict[str, Any]
) -> None:
    edge.put(f"www.{ZONE}", kind, content)
    replaced = dns(run, declared, allow=["record/www"])
    assert [(step["action"], step["destructive"]) for step in replaced["plan"]] == [("delete", True), ("create", False)]
    assert changing(edge.asked()) == [f"POST /zones/{edge.zone.id}/dns_records/batch"]
    assert edge.records() == [(f"www.{ZONE}", declared["type"], declared["content"], False, MARK)]
    assert dns(run, declared)["changed"] is False


def test_another_environment_keeps_its_records(run: Run, edge: Served) -> None:
    edge.put(f"a.{ZONE}", "A", OTHER, f"{MARK}-2")
    dns(run, record("b"))
    run(cloudflare_dns_records, environment_name="lab", state="absent")
    assert [item[0] for item in edge.records()] == [f"a.{ZONE}"]


def test_an_unknown_zone_names_those_there_are(run: Run, edge: Served) -> None:
    result = run(cloudflare_dns_records, environment_name="lab", records=[], zone="example.org")
    assert f"There is no zone example.org that the token may see; it sees {ZONE}: correct zone" in result["msg"]


def test_settings_check_change_again(run: Run, edge: Served) -> None:
    announced = settings(run, check=True, **STRICT)
    assert changing(edge.asked()) == []
    made = settings(run, **STRICT)
    assert announced["plan"] == made["plan"]
    assert [step["name"] for step in made["plan"]] == ["ssl", "min_tls_version", "always_use_https", "hsts"]
    there = edge.zone.settings
    assert (there.ssl, there.always_use_https, there.min_tls_version) == ("strict", "on", "1.2")
    assert (there.security_header.enabled, there.security_header.max_age) == (True, 60)
    edge.asked()
    assert settings(run, **STRICT)["changed"] is False
    asked = edge.asked()
    assert changing(asked) == []
    assert len(asked) == 1 + len(STRICT)


def test_what_is_omitted_is_left_alone_and_not_read(run: Run, edge: Served) -> None:
    settings(run, hsts={"enabled": True, "max_age": 60, "include_subdomains": True})
    edge.asked()
    weakened = settings(run, hsts={"max_age": 30})
    assert edge.zone.settings.security_header == state.StrictTransportSecurity(True, 30, True)
    assert weakened["plan"][0]["why"] == "asked for, weaker than it was"
    assert edge.zone.settings.ssl == "flexible"
    assert {path.rpartition("/")[2] for path in edge.asked()} == {"zones", "security_header"}


def test_a_zone_that_is_not_ours_is_told_about_and_left_alone(run: Run, edge: Served) -> None:
    refused = settings(run, owned=False, **STRICT)
    assert refused["failed"]
    for part in (
        "SSL/TLS encryption mode",
        "is flexible and must be strict",
        "Minimum TLS Version",
        "Always Use HTTPS",
    ):
        assert part in refused["msg"]
    assert "under SSL/TLS, Overview" in refused["msg"]
    assert "It holds for every site of the zone" in refused["msg"]
    assert changing(edge.asked()) == []
    settings(run, **{**STRICT, "min_tls_version": "1.3", "hsts": {"enabled": True, "max_age": 600, "preload": True}})
    assert settings(run, owned=False, **STRICT)["changed"] is False, "stricter is good enough"
    assert settings(run, **STRICT)["changed"] is True, "in one's own zone it is made what is asked for"


def test_a_secret_header_check_set_again_change_delete(run: Run, edge: Served) -> None:
    common = {"environment_name": "lab", "hostnames": ["@"], "value": "a-secret-of-the-tests"}

    def header(check: bool = False, **more: Any) -> dict[str, Any]:
        result = run(cloudflare_request_header, check, **{**common, **more})
        assert "of-the-tests" not in str(result)
        return result

    assert header(check=True)["changed"]
    assert changing(edge.asked()) == []
    assert header(name="X-Other")["plan"][0]["action"] == "create"
    assert header()["changed"]
    assert headers_for(edge.zone, ZONE) == {"X-Other": common["value"], "X-Edge-Secret": common["value"]}
    assert headers_for(edge.zone, f"www.{ZONE}") == {}
    edge.asked()
    assert header()["changed"] is False
    assert [line.partition(" ")[0] for line in edge.asked()] == ["GET", "GET"]
    assert header(value="another-one-of-the-tests")["plan"][0]["why"] == "the value differs"
    assert header(state="absent")["changed"]
    assert headers_for(edge.zone, ZONE) == {"X-Other": common["value"]}
    assert header(state="absent")["changed"] is False


@pytest.mark.parametrize(
    ("permissions", "work", "missing"),
    [
        (["DNS Write"], lambda run: dns(run), "Zone → Zone → Read"),
        (["Zone Read"], lambda run: dns(run), "Zone → DNS → Read"),
        (["Zone Read", "DNS Read"], lambda run: dns(run, record("a")), "Zone → DNS → Edit"),
        (["Zone Read"], lambda run: settings(run, ssl="strict"), "Zone → Zone Settings → Read"),
        (["Zone Read", "Zone Settings Read"], lambda run: settings(run, ssl="strict"), "Zone → Zone Settings → Edit"),
    ],
)
def test_the_missing_permission_is_told(
    run: Run, edge: Served, permissions: list[str], work: Callable[[Run], dict[str, Any]], missing: str
) -> None:
    token = edge.cloudflare.find_token(edge.token)
    assert token
    token.permissions = tuple(permissions)
    assert work(run)["msg"].startswith(f"The token lacks the permission {missing} for the zone {ZONE}: add it in the")


def test_a_wrong_token_is_told(run: Run, edge: Served) -> None:
    assert "does not accept the API token" in dns(run, api_token="x" * 40)["msg"]
    assert "does not accept the API token" in dns(run, api_token="short")["msg"]
    assert "CLOUDFLARE_API_TOKEN" in dns(run, api_token="")["msg"]
