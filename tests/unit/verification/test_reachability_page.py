"""The picture: complete, harmless, and never better than what was found."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.filter.reachability_page import reachability_page

DATABASE = {"name": "database", "protocol": "tcp", "ports": ["5432"]}
PING = {"name": "admin-ping", "protocol": "icmp", "ports": []}


def pair(source: str, to: str, *flows: dict[str, Any], address: str = "10.0.0.6") -> dict[str, Any]:
    return {"from": source, "to": to, "address": address, "flows": list(flows)}


def found(to: str, address: str = "10.0.0.6", **findings: list[dict[str, str]]) -> dict[str, Any]:
    empty: dict[str, Any] = {"unexpected": [], "closed": [], "turned_away": [], "untold": []}
    return {"to": to, "address": address, "tried": 100, "flows": [], **empty, **findings}


def finding(ports: str, protocol: str = "tcp", outcome: str = "answers") -> dict[str, str]:
    return {"protocol": protocol, "ports": ports, "outcome": outcome}


PAIRS = [pair("app-01", "db-primary", DATABASE), pair("db-primary", "app-01", address="10.0.0.3")]
AS_DECLARED = {
    "app-01": {"in": {"checks": [], "pairs": [found("db-primary")]}},
    "db-primary": {"in": {"checks": [], "pairs": [found("app-01", "10.0.0.3")]}},
}


class Table(HTMLParser):
    """Cells of the first table as (class, text), by row; and every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._tables = 0
        self._cell: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._tables += tag == "table"
        if self._tables == 1 and tag == "tr":
            self.rows.append([])
        if self._tables == 1 and tag in ("td", "th"):
            self.rows[-1].append((dict(attrs).get("class") or "", ""))
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.rows[-1][-1] = (self.rows[-1][-1][0], "".join(self._cell))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def draw(pairs: list[dict[str, Any]], hostvars: dict[str, Any], environment: str = "lab") -> tuple[Table, str, str]:
    result = reachability_page(pairs, hostvars, "in", "out", environment, "2026-01-02 03:04:05 UTC")
    return Table(result["page"]), result["page"], result["summary"]


def test_rows_are_from_and_columns_are_to() -> None:
    table, page, summary = draw(PAIRS, AS_DECLARED)
    assert table.rows == [
        [("corner", "from \\ to"), ("", "app-01"), ("", "db-primary")],
        [("", "app-01"), ("", ""), ("flows", "✓exactly the declared flows are open: 5432")],
        [("", "db-primary"), ("nothing", "·closed, as it should be: "), ("", "")],
    ]
    assert summary == "Reachability: 2 pairs, 200 ports tried, unexpected openings: 0, wrongly closed: 0"
    assert "Exactly the declared flows are open" in page
    assert "2026-01-02 03:04:05 UTC" in page


def test_what_is_wrong_is_seen_and_counted() -> None:
    hostvars = {
        "app-01": {"in": {"pairs": [found("db-primary", closed=[finding("5432", outcome="silent")])]}},
        "db-primary": {
            "in": {"pairs": [found("app-01", "10.0.0.3", unexpected=[finding("22, 80-89"), finding("", "icmp")])]}
        },
    }
    table, page, summary = draw(PAIRS, hostvars)
    assert table.rows[1][2][0] == "closed"
    assert "closed and should be open: tcp 5432 (silent)" in table.rows[1][2][1]
    assert table.rows[2][1][0] == "open"
    assert "open and should be closed: tcp 22, 80-89 (answers)" in table.rows[2][1][1]
    assert summary.endswith("unexpected openings: 12, wrongly closed: 1")
    assert "There are openings that no flow allows" in page


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({}, "took no part"),
        ({"msg": "Failed to connect"}, "Failed to connect"),
        ({"checks": [{"check": "reachability", "ok": False, "detail": "scan invalid: lost"}]}, "scan invalid: lost"),
        ({"pairs": [found("db-primary", "10.0.0.99")]}, "took no part"),
    ],
)
def test_what_was_not_examined_is_never_shown_as_closed(result: dict[str, Any], reason: str) -> None:
    table, page, summary = draw(PAIRS, AS_DECLARED | {"app-01": {"in": result}})
    assert table.rows[1][2][0] == "unknown"
    assert f"app-01 to db-primary: {reason}" in page
    assert summary.endswith("not examined: 1")
    assert "Not everything could be examined; the rest is as the flows say" in page


def test_nothing_examined_is_said() -> None:
    assert "Nothing could be examined" in draw(PAIRS, {"app-01": {}, "db-primary": {}})[1]


def test_a_name_that_the_inventory_does_not_know_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match="db-primary should have been examined and is no host"):
        draw(PAIRS, {"app-01": {}})


OUTSIDE = [pair("admin", "bastion", DATABASE, PING, address="198.51.100.100"), pair("internet", "bastion")]


@pytest.mark.parametrize(
    ("ok", "detail", "css"),
    [
        (True, "198.51.100.100: 22 of 1000 tried", "flows"),
        (False, "198.51.100.100: 22, 80 of 1000 tried; should be closed: 80", "open"),
        (False, "198.51.100.100: scan invalid: lost", "unknown"),
    ],
)
def test_the_administrators_row_is_what_the_controller_saw(ok: bool, detail: str, css: str) -> None:
    check = {"check": "open ports", "host": "bastion", "ok": ok, "detail": detail}
    table, page, _ = draw(OUTSIDE, {"bastion": {"out": {"checks": [check]}}})
    assert table.rows[1][1][0] == css
    assert "5432, echo" in table.rows[1][1][1]
    assert table.rows[2][1][0] == "unknown"
    assert detail in page


def test_several_addresses_of_a_host_share_a_cell_that_shows_the_worst() -> None:
    pairs = [pair("app-01", "db-primary", DATABASE), pair("app-01", "db-primary", DATABASE, address="2001:db8::6")]
    seen = [found("db-primary"), found("db-primary", "2001:db8::6", unexpected=[finding("80")])]
    table, _, _ = draw(pairs, {"app-01": {"in": {"pairs": seen}}})
    assert [cell[0] for cell in table.rows[1]] == ["", "open"]


def test_names_and_findings_cannot_bring_markup_in() -> None:
    evil = "<script>alert(1)</script>\"'&{{ 7*7 }}"
    flow = {"name": evil, "protocol": "tcp", "ports": [evil]}
    hostvars = {evil: {"in": {"pairs": [found(evil, evil, turned_away=[finding("1", outcome=evil)])]}}}
    table, page, _ = draw([pair(evil, evil, flow, address=evil)], hostvars, environment=evil)
    assert not {"script", "img", "a"} & {tag for tag, _ in table.elements}
    assert "{{ 7*7 }}" in page


def test_the_page_loads_nothing_and_is_the_same_each_time() -> None:
    table, page, _ = draw(PAIRS, AS_DECLARED)
    assert not [tag for tag, attributes in table.elements if {"src", "href", "onclick"} & set(attributes)]
    assert "url(" not in page
    assert "@import" not in page
    assert page == draw(list(PAIRS), dict(reversed(AS_DECLARED.items())))[1]


def test_that_nobody_looked_from_the_internet_does_not_spoil_the_verdict() -> None:
    table, page, summary = draw([*PAIRS, pair("internet", "app-01")], AS_DECLARED)
    assert table.rows[3][1][0] == "unknown"
    assert '<p class="verdict flows">' in page
    assert summary.endswith("not examined: 1")
