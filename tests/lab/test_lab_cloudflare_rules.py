"""Transform rules of the embedded Cloudflare: what they may be, and that the edge really sets their headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.cloudflare import rules
from lab.cloudflare.state import HeaderRule, Ruleset
from tests.lab.cloudflare_api import ZONE, CloudflareApi
from tests.lab.edge import edge_on_loopback
from tests.lab.origins import origin

WWW = f"www.{ZONE}"


@pytest.fixture
def api(cloudflare: CloudflareApi) -> CloudflareApi:
    return cloudflare


def rule(expression: str = "true", **more: Any) -> dict[str, Any]:
    headers = {"X-Edge-Secret": {"operation": "set", "value": "s3cret"}}
    return {"expression": expression, "action": "rewrite", "action_parameters": {"headers": headers}, **more}


def path(api: CloudflareApi, phase: str = rules.PHASE) -> str:
    return f"{api.zone_path}/rulesets/phases/{phase}/entrypoint"


def test_rules_are_replaced_as_a_whole(api: CloudflareApi) -> None:
    text = f"could not find entrypoint ruleset in the {rules.PHASE} phase"
    assert api.refused("GET", path(api)) == (404, 10003, text)
    first = api.done("PUT", path(api), {"rules": [rule(description="mine", ref="a"), rule(enabled=False)]})
    assert (first["kind"], first["phase"], first["version"]) == ("zone", rules.PHASE, "1")
    [mine, other] = first["rules"]
    assert rule(description="mine", ref="a", enabled=True).items() <= mine.items()
    assert (other["enabled"], other["ref"]) == (False, other["id"])
    assert api.done("GET", path(api)) == first
    second = api.done("PUT", path(api), {"rules": []})
    assert (second["id"], second["version"], second["rules"]) == (first["id"], "2", [])
    assert api.cloudflare.store.zones[api.zone.id].header_rules is not None


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (rule('http.request.uri.path eq "/"'), 501),
        (rule(f'http.host eq "{ZONE}" and true'), 501),
        (rule(action="redirect"), 501),
        (rule(action_parameters={"uri": {"path": {"value": "/"}}}), 501),
        (rule(action_parameters={"headers": {"X": {"operation": "remove"}}}), 501),
        (rule(action_parameters={"headers": {"X": {"operation": "set", "expression": "ip.src"}}}), 501),
        (rule(action_parameters={"headers": {"Host": {"operation": "set", "value": "x"}}}), 400),
        (rule(action_parameters={"headers": {"CF-Ray": {"operation": "set", "value": "x"}}}), 400),
        (rule(action_parameters={"headers": {"X Y": {"operation": "set", "value": "x"}}}), 400),
        (rule(action_parameters={"headers": {"X": {"operation": "set", "value": "a\r\nb"}}}), 400),
        (rule(enabled="yes"), 400),
        ({**rule(), "expression": None}, 400),
        ("true", 400),
    ],
)
def test_rules_that_cannot_be_made_true_are_refused(api: CloudflareApi, given: object, status: int) -> None:
    assert api.refused("PUT", path(api), {"rules": [rule(), given]})[0] == status
    assert api.zone.header_rules is None
    assert api.refused("GET", path(api, "http_request_origin"))[0] == 501


@pytest.mark.parametrize(
    ("expression", "hosts"),
    [
        ("true", ()),
        ("(true)", ()),
        (f'http.host eq "{ZONE}"', (ZONE,)),
        (f'(http.host == "{ZONE}") or (http.host eq "{WWW}")', (ZONE, WWW)),
        (f'(http.host in {{"{ZONE}" "{WWW}"}})', (ZONE, WWW)),
    ],
)
def test_hosts_a_rule_is_for(api: CloudflareApi, expression: str, hosts: tuple[str, ...]) -> None:
    api.done("PUT", path(api), {"rules": [rule(expression)]})
    assert api.zone.header_rules is not None
    assert api.zone.header_rules.rules[0].hosts == hosts


def test_the_edge_sets_the_headers_whatever_the_user_says(tmp_path: Path) -> None:
    with edge_on_loopback(tmp_path) as edge, origin(edge.origin_http) as behind:
        for name in (ZONE, WWW):
            edge.record(name)
        one = HeaderRule("1", (ZONE,), {"X-Edge-Secret": "s3cret"}, "")
        switched_off = HeaderRule("2", (), {"X-Other": "never"}, "", enabled=False)
        edge.zone.header_rules = Ruleset("3", 1, "now", [one, switched_off])
        edge.change()

        def ask(name: str) -> list[list[str]]:
            with edge.connect(name, secure=False) as connection:
                given = f"GET / HTTP/1.1\r\nHost: {name}\r\nx-edge-secret: guessed\r\n\r\n"
                connection.sendall(given.encode())
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            return [behind.header("X-Edge-Secret"), behind.header("X-Other")]

        assert ask(ZONE) == [["s3cret"], []]
        assert ask(WWW) == [["guessed"], []], "the rule is not for this name"
