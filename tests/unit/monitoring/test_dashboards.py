"""Dashboards: Grafana can show them, every expression parses, and asks for metrics and labels that exist."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from tests.monitoring.dashboards import DASHBOARDS, LOKI, PROMETHEUS, expressions
from tests.monitoring.promql import metrics_in, refused, unknown

#: What Alloy puts on every line, or on those of the journal or of containers.
LOG_LABELS = {"env", "host", "role", "job", "unit", "level", "container"}
COLUMNS = 24
#: Grafana's own variables.
BUILT_IN = {"__rate_interval", "__range", "__auto", "__value", "__all"}

each = pytest.mark.parametrize("name", DASHBOARDS)


def test_there_is_one_for_each_subject() -> None:
    assert set(DASHBOARDS) == {"overview", "node", "postgres", "edge", "prometheus", "logs"}


def test_no_two_are_the_same_to_grafana() -> None:
    assert [dashboard["uid"] for dashboard in DASHBOARDS.values()] == [f"bulwark-{name}" for name in DASHBOARDS]
    titles = Counter(dashboard["title"] for dashboard in DASHBOARDS.values())
    assert max(titles.values()) == 1
    assert {dashboard["schemaVersion"] for dashboard in DASHBOARDS.values()} == {41}


@each
def test_people_can_read_it(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert 5 <= len(dashboard["panels"]) <= 16
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        assert panel["title"], panel["id"]
        assert panel["description"], panel["title"]
        if panel["type"] not in {"table", "logs"}:
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


@each
def test_panels_fit_side_by_side(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in DASHBOARDS[name]["panels"]]
    for title, place in places:
        assert place["x"] >= 0, title
        assert place["x"] + place["w"] <= COLUMNS, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one} and {other} overlap"


@each
def test_data_sources_are_those_that_are_provisioned(name: str) -> None:
    dashboard = DASHBOARDS[name]
    sources = [panel["datasource"] for panel in dashboard["panels"]]
    sources += [note["datasource"] for note in dashboard.get("annotations", {}).get("list", [])]
    sources += [variable["datasource"] for variable in dashboard["templating"]["list"] if "datasource" in variable]
    assert all(source in ({"type": kind, "uid": kind} for kind in (PROMETHEUS, LOKI)) for source in sources)


@each
def test_variables_are_declared(name: str) -> None:
    dashboard = DASHBOARDS[name]
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard))) - BUILT_IN
    assert used == declared


def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    found: dict[str, str] = {}
    for dashboard in DASHBOARDS.values():
        found |= expressions(dashboard, PROMETHEUS)
    assert len(found) > 50
    assert refused(found, tmp_path) == ""


@each
def test_it_asks_for_metrics_that_exist(name: str) -> None:
    found = expressions(DASHBOARDS[name], PROMETHEUS)
    assert unknown(found.values()) == set()
    # One that asks by a pattern of names names none.
    assert all(metrics_in(text) or "__name__=~" in text for text in found.values())


@each
def test_it_asks_logs_by_labels_that_exist(name: str) -> None:
    for who, text in expressions(DASHBOARDS[name], LOKI).items():
        selectors = re.findall(r"\{([^{}]*)\}", text)
        assert selectors, who
        for selector in selectors:
            assert set(re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"', selector)) <= LOG_LABELS, who
        grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", text) for label in by.split(",")}
        assert grouped <= LOG_LABELS, who
        assert all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}")), who


def test_some_dashboard_asks_for_logs() -> None:
    assert expressions(DASHBOARDS["logs"], LOKI)
