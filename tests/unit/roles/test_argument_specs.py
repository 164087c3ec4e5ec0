"""What a role says about its variables agrees with what it does with them."""

import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
# postgres_primary and postgres_replica have none of their own: theirs are the role's postgres.
OWN = [
    "alloy",
    "bastion_nat",
    "database_client",
    "docker",
    "monitoring_stack",
    "node_exporter",
    "postgres",
    "private_route",
    "server_baseline",
    "traffic_gate",
    "ufw_zero_trust",
]
pytestmark = pytest.mark.parametrize("role", OWN)


def read(role, path):
    return yaml.safe_load((ROLES / role / path).read_text())


def options(role):
    return read(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def defaults(role):
    return read(role, "defaults/main.yml") or {}


def test_every_variable_with_a_default_is_described_and_the_other_way_round(role):
    assert set(defaults(role)) == {name for name, option in options(role).items() if not option.get("required")}


def test_a_default_that_is_described_is_the_one_that_counts(role):
    described = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert described == {name: defaults(role)[name] for name in described}


def test_every_option_has_a_type_and_a_description(role):
    assert [name for name, option in options(role).items() if not {"type", "description"} <= set(option)] == []


def test_every_variable_that_is_used_is_described(role):
    text = "\n".join(
        path.read_text()
        for folder in ("tasks", "handlers", "templates", "vars")
        for path in (ROLES / role / folder).glob("*")
    )
    used = set(re.findall(rf"(?<![\w.-]){role}_\w+", text))
    assert used == set(options(role))


def test_the_role_reads_no_topology_and_no_variable_of_the_inventory(role):
    text = "\n".join(path.read_text() for path in (ROLES / role).rglob("*.*") if path.suffix in {".yml", ".j2"})
    assert re.findall(r"\b(topology\.|bulwark_server|bulwark_network|bulwark_bastion|hostvars|groups\[)", text) == []
