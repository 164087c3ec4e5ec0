"""Restores and drills: which moment, from where, and what a comparison says."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import drill, restoring
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.recovery import Target, check, restore_command

ORDER = ["db-primary", "db-replica"]


@pytest.mark.parametrize(
    "target",
    [
        Target(),
        Target("immediate"),
        Target("time", "2026-11-26 14:05:00+00"),
        Target("time", "2026-11-26T14:05Z"),
        Target("xid", "4711"),
        Target("name", "before the migration"),
        Target("lsn", "0/3000148"),
        Target(backup="20261126-021500F_20261127-021500D", timeline="3"),
    ],
)
def test_targets_that_are_some(target: Target) -> None:
    check(target)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("time", "2026-11-26 14:05:00"), "with its zone"),
        (Target("time", "yesterday"), "with its zone"),
        (Target("xid", "x"), "number"),
        (Target("name", ""), "pg_create_restore_point"),
        (Target("latest", "2026"), "takes no value"),
        (Target("sometime"), "no target"),
        (Target(backup="newest"), "label"),
        (Target(timeline="old"), "timeline"),
    ],
)
def test_targets_that_are_none(target: Target, said: str) -> None:
    with pytest.raises(PostgresError, match=said):
        check(target)


def test_the_command_says_when_and_from_where() -> None:
    words = restore_command(Target("time", "2026-11-26T14:05Z", "20261126-021500F"), "/x", "pause")
    assert {
        "--type=time",
        "--target=2026-11-26 14:05:00+00",
        "--target-action=pause",
        "--set=20261126-021500F",
        "--pg1-path=/x",
    } <= set(words)
    assert words[-1] == "restore"
    assert not [word for word in restore_command(Target(), "/x") if word.startswith("--target=")]


def test_a_recovery_stops_before_a_position() -> None:
    assert "--target-exclusive" in restore_command(Target("lsn", "0/3000148"), "/x")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("000000010000000000000003", "0/4000000"),
        ("0000000100000002000000FF", "3/0"),
        ("000000010000000000000002.00000028.backup", "0/3000000"),
        ("00000002.history", None),
        ("000000010000000000000003.partial", None),
        (None, None),
    ],
)
def test_the_end_of_a_segment(name: str | None, end: str | None) -> None:
    assert drill.segment_end(name) == end


def frozen(**tables: list[Any]) -> drill.Frozen:
    return {
        "position": "0/3000148",
        "newest": 100.0,
        "looked": 130.0,
        "tables": tables,
        "archived": "",
        "backed_up": 50.0,
    }


def test_the_same_rows_are_the_same() -> None:
    found = drill.report(frozen(a=[2, "5"], b=[0, "0"]), {"a": [2, "5"], "b": [0, "0"]}, 90.0)
    assert found == {"tables": 2, "rows": 2, "differ": [], "age": 40.0}


def test_a_changed_a_missing_and_an_additional_table_differ() -> None:
    found = drill.report(frozen(a=[2, "5"], b=[1, "1"]), {"a": [2, "6"], "c": [1, "1"]}, 100.0)
    assert found["differ"] == ["a", "b", "c"]


def test_without_a_transaction_in_the_archive_the_backup_is_what_is_left() -> None:
    assert drill.report(frozen(), {}, 0.0)["age"] == 80


def test_nothing_is_lost_when_nothing_newer_existed() -> None:
    assert drill.report(frozen(), {}, 100.0)["age"] == 0


def state(**more: Any) -> dict[str, Any]:
    found = {"data": "present", "fenced": False, "firewalled": False, "running": True, "in_recovery": True}
    return found | {"receiving": True} | more


PRIMARY = state(in_recovery=False, receiving=False)


def test_whichever_is_primary_is_restored() -> None:
    found = restoring.restore({"db-primary": state(), "db-replica": PRIMARY}, ORDER)
    assert (found["member"], found["others"], found["refusal"]) == ("db-replica", ["db-primary"], "")


def test_without_any_data_the_first_is() -> None:
    nothing = state(data="none", running=False, in_recovery=None)
    found = restoring.restore({"db-primary": nothing, "db-replica": nothing}, ORDER)
    assert (found["primary"], found["member"], found["others"]) == ("", "db-primary", [])


def test_a_restore_that_was_cut_off_goes_on_where_it_was() -> None:
    down = {"running": False, "in_recovery": None}
    found = restoring.restore(
        {"db-primary": state(**down), "db-replica": state(data="none", recovered=True, **down)}, ORDER
    )
    assert (found["member"], found["others"]) == ("db-replica", ["db-primary"])


@pytest.mark.parametrize(
    ("data", "fenced", "others"),
    [
        ("present", False, ["db-replica"]),
        ("present", True, ["db-replica"]),
        ("none", True, ["db-replica"]),
        # It has lost its volume: site.yml copies it.
        ("none", False, []),
        ("foreign", True, []),
    ],
)
def test_whoever_an_earlier_run_has_stopped_is_copied_too(data: str, fenced: bool, others: list[str]) -> None:
    replica = state(data=data, fenced=fenced, running=False, in_recovery=None)
    assert restoring.restore({"db-primary": PRIMARY, "db-replica": replica}, ORDER)["others"] == others


def test_a_restore_needs_everybodys_answer_and_no_second_primary() -> None:
    assert (
        "db-replica cannot be asked" in restoring.restore({"db-primary": PRIMARY, "db-replica": None}, ORDER)["refusal"]
    )
    assert "both run" in restoring.restore({"db-primary": PRIMARY, "db-replica": PRIMARY}, ORDER)["refusal"]
    assert restoring.restore({}, [])["refusal"]


def test_a_drill_is_held_beside_a_replica() -> None:
    found = restoring.drill({"db-primary": PRIMARY, "db-replica": state()}, ORDER)
    assert (found["primary"], found["member"], found["refusal"]) == ("db-primary", "db-replica", "")
    assert (
        "none streams"
        in restoring.drill({"db-primary": PRIMARY, "db-replica": state(receiving=False)}, ORDER)["refusal"]
    )
    assert "staging-01 is the only member" in restoring.drill({"staging-01": PRIMARY}, ["staging-01"])["refusal"]
    assert "exactly one" in restoring.drill({"db-primary": None, "db-replica": state()}, ORDER)["refusal"]
