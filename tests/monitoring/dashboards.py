"""The dashboards, and what they ask."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tests.checkout import ROOT
from tests.monitoring.promql import VARIABLES

DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((ROOT / "roles/monitoring_stack/files/dashboards").glob("*.json"))
}
PROMETHEUS, LOKI = "prometheus", "loki"


def expressions(dashboard: dict, kind: str) -> dict[str, str]:
    """All expressions of a dashboard for one kind of data source, by who asks them."""
    found = {}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            if panel["datasource"]["type"] == kind:
                found[f"{dashboard['title']}, {panel['title']}, {target['refId']}"] = target["expr"]
    if kind == PROMETHEUS:
        for note in dashboard.get("annotations", {}).get("list", []):
            found[f"{dashboard['title']}, annotation {note['name']}"] = note["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query" and variable["datasource"]["type"] == kind:
                found[f"{dashboard['title']}, variable {variable['name']}"] = asked(variable)[0]
    return found


def asked(variable: dict) -> tuple[str, str]:
    """The expression whose series have the label that a variable takes its values from, and that label."""
    match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
    assert match, variable["name"]
    return match[1], match[2]


def filled(expression: str, values: Mapping[str, str]) -> str:
    """An expression as Grafana sends it, with the values that somebody has chosen for a dashboard's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], expression)
