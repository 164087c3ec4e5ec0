"""The table in the documentation is the one in the code."""

from __future__ import annotations

import re

import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.reading import KEYS, parse_flows
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.table import DEFAULTS, Flow

from tests.checkout import ROOT

TEXT = (ROOT / "docs/flows.md").read_text()


def written(flow: Flow) -> list[str]:
    def words(values: tuple[object, ...]) -> str:
        return ", ".join(map(str, values)) or "-"

    what = f"{flow.protocol} {words(flow.ports)}" if flow.ports else flow.protocol
    if not flow.enabled:
        what = f"{flow.protocol}, off until it has ports"
    return [
        f"`{flow.name}`",
        words(flow.from_),
        words(flow.to),
        what,
        words(flow.users),
        words(flow.databases),
        flow.why,
    ]


def rows(heading: str) -> list[list[str]]:
    """The body of the first table after a line."""
    table = TEXT.split(heading, 1)[1].lstrip().split("\n\n", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_the_table_is_the_one_in_force() -> None:
    assert rows("## The table") == [written(flow) for flow in DEFAULTS.values()]


def test_all_keys_are_explained() -> None:
    explained = " ".join(row[0] for row in rows("# closes a flow\n```\n"))
    assert re.findall(r"`(\w+)`", explained) == list(KEYS)


def test_the_example_is_a_good_one() -> None:
    [example, *_] = re.findall(r"```yaml\n(topology:.*?)```", TEXT, re.DOTALL)
    roles = {"bastion": True, "app": False, "jobs": False, "db": False, "monitoring": False}
    found = {flow.name for flow in parse_flows(yaml.safe_load(example)["topology"]["flows"], roles)}
    assert {"app-metrics", "mail-relay"} <= found
    assert "tunnels" not in found
