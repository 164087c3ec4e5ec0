"""What the database's verbs say in the end, as Ansible runs their roles, on two members whose modules are played."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT, ansible_environment, tool
from tests.unit.postgres.played_members import primary, state, stopped

CHECKED = "Nothing has been changed, as this is check mode. Without it: "
#: Stands for every module that asks or changes a database: says what the play has it say on this host.
MODULE = """#!/usr/bin/python
# WANT_JSON
import json, os
print(json.dumps(json.loads(os.environ["ANSWERS"]).get({name!r}, {{"changed": True}})))
"""
REFUSED = {"failed": True, "msg": "nobody answers"}


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as a collection, but for the modules of the database."""
    found = tmp_path_factory.mktemp("collections")
    here = found / "ansible_collections/bulwark/hetzner"
    modules = here / "plugins/modules"
    modules.mkdir(parents=True)
    for folder in (Path(), Path("plugins"), Path("plugins/modules")):
        for path in (ROOT / folder).iterdir():
            place = here / folder / path.name
            if path.name.startswith("postgres_") and path.suffix == ".py":
                place.write_text(MODULE.format(name=path.stem))
            elif not place.exists() and not path.name.startswith("."):
                place.symlink_to(path)
    return found


#: What each module says, by host and module.
Answers = Mapping[str, Mapping[str, Mapping[str, Any]]]
#: Runs entry points of roles one after the other.
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(collections: Path, tmp_path: Path) -> Run:
    def play(role: str, entry: str, answers: Answers) -> dict[str, Any]:
        task = {"ansible.builtin.import_role": {"name": f"bulwark.hetzner.{role}", "tasks_from": entry}}
        return {
            "hosts": "all",
            "gather_facts": False,
            "vars": {"answers": answers},
            "environment": {"ANSWERS": "{{ answers[inventory_hostname] | to_json }}"},
            "tasks": [task],
        }

    def play_all(plays: list[tuple[str, str, Answers]], *arguments: str) -> subprocess.CompletedProcess[str]:
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"hosts": {"db-primary": {}, "db-replica": {}}, "vars": local}}
        (tmp_path / "hosts.json").write_text(json.dumps(inventory))
        (tmp_path / "playbook.json").write_text(json.dumps([play(*words) for words in plays]))
        return subprocess.run(
            [tool("ansible-playbook"), "-i", "hosts.json", "playbook.json", *arguments],
            cwd=tmp_path,
            env=ansible_environment(
                HOME=str(tmp_path), ANSIBLE_COLLECTIONS_PATH=str(collections), ANSIBLE_CALLBACK_RESULT_FORMAT="json"
            ),
            capture_output=True,
            text=True,
            check=False,
        )

    return play_all


def both(**more: Any) -> dict[str, dict[str, Any]]:
    """A pair that is as it should be. ``more`` is what modules say, by their names without ``postgres_``."""
    said = {f"postgres_{name}": answer for name, answer in more.items()}
    return {
        "db-primary": {"postgres_state": primary({"db-replica": 0}), **said},
        "db-replica": {"postgres_state": state(), **said},
    }


def failed(**more: Any) -> dict[str, dict[str, Any]]:
    """A pair whose primary does not run."""
    found = both(**more)
    found["db-primary"]["postgres_state"] = stopped("")
    return found


NOTHING_TO_DO = {"changed": False, "primary": False, "steps": [], "backups": []}
MADE = {
    "changed": True,
    "primary": True,
    "steps": ["make a full backup"],
    "backups": ["20261126-021500F", "20261127-021500F"],
}
NO_BACKUP = "No backup was made, because no member runs as primary among those that were asked"


def members(primary: Mapping[str, Any], replica: Mapping[str, Any]) -> Answers:
    return {"db-primary": {"postgres_repository": primary}, "db-replica": {"postgres_repository": replica}}


RESTORED = {"changed": True, "recovered_to": "2026-11-26 14:04:59Z", "timeline": 5}
PLAYS = [
    ("postgres_pair", "switchover.yml", both()),
    ("postgres_pair", "failover.yml", failed(fence={"told": "PostgreSQL is stopped"})),
    ("postgres_pair", "rejoin.yml", both()),
    ("postgres_backup", "restore.yml", both(restore=RESTORED)),
    ("postgres_backup", "main.yml", members(MADE, NOTHING_TO_DO)),
]
PAIR = [
    "db-replica is primary, and db-primary follows it.",
    "db-replica is primary. Fence of db-primary: PostgreSQL is stopped. db-replica has everything up to ",
    "db-replica follows db-primary.",
]
DONE = [
    *PAIR,
    "db-primary is primary, with everything up to 2026-11-26 14:04:59Z, on timeline 5.",
    "The newest of 2 backups is 20261127-021500F.",
]
#: How far the restore will go nobody knows yet.
WOULD_BE_DONE = [*PAIR, "db-primary is primary, with what is recovered.", "make a full backup."]


def test_what_was_done_is_told(run: Run) -> None:
    done = run(PLAYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [sentence for sentence in DONE if f'"msg": "{sentence}' not in done.stdout] == []
    assert CHECKED not in done.stdout


def test_what_was_not_done_is_not_told_as_done(run: Run) -> None:
    done = run(PLAYS, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [sentence for sentence in WOULD_BE_DONE if f'"msg": "{CHECKED}{sentence}' not in done.stdout] == []


def test_nor_is_what_would_be_taken_back(run: Run) -> None:
    plays = [("postgres_pair", "switchover.yml", both(promote=REFUSED))]
    sentence = "db-replica did not take over, so db-primary was started as primary again. nobody answers"
    assert f'"{sentence}"' in run(plays).stdout
    assert f'"{CHECKED}{sentence}"' in run(plays, "--check").stdout


def test_where_nothing_is_to_be_done_nothing_is_put_off(run: Run) -> None:
    done = run(PLAYS[:1], "-e", "postgres_pair_member=db-primary", "--check")
    assert '"msg": "db-primary is primary already."' in done.stdout


def test_a_restore_without_a_primary_can_be_checked(run: Run) -> None:
    """There is nobody yet whom the last steps could ask."""
    answers = failed(promote=REFUSED, follow=REFUSED, repository=REFUSED)
    answers["db-replica"]["postgres_state"] = stopped("")
    done = run([("postgres_backup", "restore.yml", answers)], "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CHECKED}db-primary is primary, with what is recovered." in done.stdout


@pytest.mark.parametrize(
    ("primary", "words", "asked"),
    [
        (False, (), "db-primary, db-replica"),
        (False, ("--check",), "db-primary, db-replica"),
        (True, ("--limit", "db-replica"), "db-replica"),
    ],
)
def test_without_a_primary_a_backup_fails(run: Run, primary: bool, words: tuple[str, ...], asked: str) -> None:
    answers = members(MADE if primary else NOTHING_TO_DO, NOTHING_TO_DO)
    done = run([("postgres_backup", "main.yml", answers)], *words)
    assert done.returncode != 0
    assert f"{NO_BACKUP} ({asked}): leave --limit out, or" in done.stdout


def test_who_fails_says_why_and_nobody_else_does(run: Run) -> None:
    done = run([("postgres_backup", "main.yml", members(REFUSED, NOTHING_TO_DO))])
    assert done.returncode != 0
    assert "nobody answers" in done.stdout
    assert NO_BACKUP not in done.stdout
