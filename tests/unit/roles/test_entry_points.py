"""The role postgres_pair has an entry point for each thing it does; what it says of them agrees with what it does."""

import re
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles/postgres_pair"
VERBS = ["failover", "rebuild", "rejoin", "switchover"]


def read(path):
    return yaml.safe_load((ROLE / path).read_text())


SPECS = read("meta/argument_specs.yml")["argument_specs"]


def test_what_is_described_is_there_and_does_nothing_unasked():
    assert sorted(SPECS) == sorted(["main", *VERBS])
    assert [list(task)[1] for task in read("tasks/main.yml")] == ["ansible.builtin.fail"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_variable_is_described_with_the_default_that_counts(verb):
    assert {name: option["default"] for name, option in SPECS[verb]["options"].items()} == read("defaults/main.yml")
    assert all({"type", "description"} <= set(option) for option in SPECS[verb]["options"].values())


def test_every_variable_is_used_and_no_other():
    text = "\n".join(path.read_text() for folder in ("tasks", "vars") for path in (ROLE / folder).glob("*"))
    assert set(re.findall(r"(?<![\w.-])postgres_pair_\w+", text)) == set(read("defaults/main.yml"))


@pytest.mark.parametrize("verb", ["failover", "rejoin", "replica_rebuild", "switchover"])
def test_a_playbook_asks_for_confirmation_before_anything_else(verb):
    looks, play = yaml.safe_load((ROLE.parents[1] / f"playbooks/{verb}.yml").read_text())
    assert [task["ansible.builtin.import_tasks"] for task in looks["tasks"]] == ["tasks/servers_there.yml"]
    assert [prompt["name"] for prompt in play["vars_prompt"]] == ["confirm"]
    first, second = play["tasks"]
    assert first["ansible.builtin.import_tasks"] == "tasks/confirmed.yml"
    assert second["ansible.builtin.import_role"]["tasks_from"] == f"{verb.removeprefix('replica_')}.yml"
