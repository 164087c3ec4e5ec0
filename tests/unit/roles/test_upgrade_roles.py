"""Roles with an entry point for each step of an upgrade: what they say of their variables agrees with what they do."""

import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
ENTRIES = {
    "load_balancer_target": ["back", "out"],
    "postgres_upgrade": ["gate", "plan"],
    "system_upgrade": ["host", "plan"],
}
pytestmark = pytest.mark.parametrize("role", ENTRIES)


def read(role, path):
    return yaml.safe_load((ROLES / role / path).read_text())


def specs(role):
    return read(role, "meta/argument_specs.yml")["argument_specs"]


def test_what_is_described_is_there_and_does_nothing_unasked(role):
    assert sorted(specs(role)) == sorted(["main", *ENTRIES[role]])
    assert all((ROLES / role / f"tasks/{entry}.yml").is_file() for entry in ENTRIES[role])
    assert [list(task)[1] for task in read(role, "tasks/main.yml")] == ["ansible.builtin.fail"]


def test_every_variable_is_described_with_the_default_that_counts(role):
    for entry in ENTRIES[role]:
        options = specs(role)[entry]["options"]
        described = {name: option["default"] for name, option in options.items() if not option.get("required")}
        assert described == read(role, "defaults/main.yml")
        assert all({"type", "description"} <= set(option) for option in options.values())


def test_every_variable_is_used_and_no_other(role):
    text = "\n".join(path.read_text() for folder in ("tasks", "vars") for path in (ROLES / role / folder).glob("*"))
    groups = {f"{name}_{part}" for name in ("postgres_upgrade", "system_upgrade") for part in ("first", "pair", "last")}
    used = set(re.findall(rf"(?<![\w.-]){role}_\w+", text)) - groups
    assert used == set(specs(role)[ENTRIES[role][0]]["options"])


def test_the_role_reads_nothing_of_the_inventory(role):
    text = "\n".join(path.read_text() for path in (ROLES / role).rglob("*.yml"))
    assert re.findall(r"\b(bulwark_server|bulwark_network|bulwark_bastion|groups\[|groups\.)", text) == []
