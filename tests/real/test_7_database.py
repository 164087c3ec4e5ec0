"""The database on the lab, in the order in which it is needed: switchover, failover, rejoin, drill, restore."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import lifecycle, settings
from tests.launcher import launcher, on, recap, succeed
from tests.real.database import (
    MEMBERS,
    other,
    play,
    power,
    primary,
    sql,
    streaming,
    until,
    writer,
)

FILES = settings.OBJECTS / "bulwark-lab-backups" / "content"


@contextmanager
def object_storage(mode: str) -> Iterator[None]:
    """Object storage that is away, or refuses."""

    def put(word: str) -> None:
        request = urllib.request.Request(
            f"http://{settings.API_HOST}:{settings.MANAGEMENT_PORT}/_lab/object_storage",
            json.dumps({"mode": word}).encode(),
            {"Authorization": f"Bearer {lifecycle.token()}", "Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 because it is a fixed address on loopback

    put(mode)
    try:
        yield
    finally:
        put("ok")


#: What of site.yml concerns the pair.
PAIR = ("--tags", "postgres_primary,postgres_replica")


def quiet(*words: str) -> None:
    """A run of site.yml that must change nothing."""
    hosts = recap(succeed("run", "playbooks/site.yml", *words))
    assert {name: counts for name, counts in hosts.items() if counts.changed or counts.failed} == {}


def test_what_the_guide_checks_by_hand_is_part_of_verify(first_up: str) -> None:
    for check in ("one primary", "database row", "database for writing", "database for reading", "object storage"):
        assert re.search(rf"^  {check}\s+\d host", first_up, re.MULTILINE), check


def test_a_switchover_loses_nothing_and_site_yml_does_not_undo_it() -> None:
    before = primary()
    with writer("switchover") as client:
        play("switchover")
        client.goes_on()
    assert primary() == other(before)
    found = client.report()
    assert found["acknowledged"] > 0
    assert found["lost"] == []
    until(lambda: streaming(other(before)), "streaming the other way round")
    quiet()
    assert primary() == other(before)


def test_the_replica_takes_over_from_a_dead_server_which_then_rejoins() -> None:
    old = primary()
    sql(old, "CREATE TABLE survives (i int); INSERT INTO survives VALUES (42)")
    until(lambda: sql(other(old), "SELECT to_regclass('survives') IS NOT NULL") == "t", "the table on the replica")
    power(old, "off")
    said = play("failover")
    assert primary() == other(old)
    assert "off" in said
    assert sql(other(old), "SELECT i FROM survives") == "42"
    play("rejoin")
    until(lambda: streaming(other(old)), "streaming")
    sql(other(old), "DROP TABLE survives")
    quiet(*PAIR)
    assert primary() == other(old)


def test_a_running_primary_is_not_failed_over() -> None:
    answer = launcher("run", "playbooks/failover.yml", "-e", "confirm=lab")
    assert answer.code != 0
    assert "switchover" in answer.text


@pytest.mark.parametrize("verb", ["switchover", "failover", "rejoin", "replica_rebuild", "restore"])
def test_nothing_happens_without_the_environments_name(verb: str) -> None:
    before = primary()
    answer = launcher("run", f"playbooks/{verb}.yml", "-e", "confirm=production")
    assert answer.code != 0
    assert "confirm" in answer.text
    assert recap(answer.text) == {} or sum(counts.changed for counts in recap(answer.text).values()) == 0
    assert primary() == before


def test_a_drill_compares_every_table() -> None:
    sql(primary(), "CREATE TABLE IF NOT EXISTS drilled AS SELECT generate_series(1, 1000) AS i", "rails_production")
    said = succeed("run", "playbooks/restore_drill.yml")
    found = re.search(r"(\d+)\s+tables\s+with\s+(\d+)\s+rows\s+were\s+recovered", said)
    assert found
    assert int(found[1]) > 0
    assert int(found[2]) >= 1000
    assert on(MEMBERS[0], "ls", "/var/lib/postgresql/17") == "data"


def test_a_flipped_bit_in_the_backup_is_detected() -> None:
    files = [path for path in FILES.iterdir() if "bundle" in path.name]
    assert files, "there is no file of a backup"
    newest = max(files, key=lambda path: path.stat().st_mtime)
    with damaged(newest):
        answer = launcher("run", "playbooks/restore_drill.yml")
        assert answer.code != 0
        assert "cannot be" in answer.text
    succeed("run", "playbooks/restore_drill.yml")


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """A file with one bit in its middle flipped."""
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)


def test_the_database_goes_on_while_the_object_storage_is_away() -> None:
    host = primary()
    started = sql(host, "SELECT min(backend_start) FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    with object_storage("away"):
        sql(host, "CREATE TABLE away (i int); SELECT pg_switch_wal()", "rails_production")
        until(lambda: int(sql(host, "SELECT failed_count FROM pg_stat_archiver")) > 0, "an attempt that failed")
        answer = launcher("run", "playbooks/site.yml", *PAIR)
        assert answer.code != 0
        assert "does not answer" in answer.text
        answer = launcher("run", "playbooks/restore.yml", "-e", "confirm=lab")
        assert answer.code != 0
        assert "does not answer" in answer.text
    with object_storage("refusing"):
        answer = launcher("run", "playbooks/site.yml", *PAIR)
        assert answer.code != 0
        assert "refuses the access key" in answer.text
    sql(host, "DROP TABLE away", "rails_production")
    assert sql(host, "SELECT min(backend_start) FROM pg_stat_activity WHERE backend_type = 'checkpointer'") == started
    assert primary() == host


def test_a_restore_brings_back_what_was_dropped_on_all_members() -> None:
    host = primary()
    sql(host, "CREATE TABLE precious AS SELECT generate_series(1, 500) AS i", "rails_production")
    sql(host, "SELECT pg_create_restore_point('before the accident')")
    sql(host, "DROP TABLE precious", "rails_production")
    sql(host, "SELECT pg_switch_wal()")
    target = ("-e", "postgres_backup_target=name", "-e", "postgres_backup_target_value='before the accident'")
    play("restore", *target)
    assert primary() == host
    until(lambda: streaming(host), "streaming")
    for member in MEMBERS:
        assert sql(member, "SELECT count(*) FROM precious", "rails_production") == "500"
    sql(host, "DROP TABLE precious", "rails_production")
    quiet(*PAIR)


def test_a_restore_to_what_the_archive_does_not_reach_changes_nothing() -> None:
    host = primary()
    timeline = sql(host, "SELECT timeline_id FROM pg_control_checkpoint()")
    answer = launcher(
        *("run", "playbooks/restore.yml", "-e", "confirm=lab", "-e", "postgres_backup_target=name"),
        *("-e", "postgres_backup_target_value=never-made"),
    )
    assert answer.code != 0
    assert "ends before the target" in answer.text
    assert primary() == host
    assert sql(host, "SELECT timeline_id FROM pg_control_checkpoint()") == timeline
    assert streaming(host)


@pytest.mark.full
def test_after_the_loss_of_every_server_and_volume_the_database_comes_back() -> None:
    host = primary()
    sql(host, "CREATE TABLE treasure AS SELECT generate_series(1, 700) AS i", "rails_production")
    before = sql(host, "SELECT pg_walfile_name(pg_switch_wal())")
    until(lambda: sql(host, "SELECT last_archived_wal FROM pg_stat_archiver") >= before, "the segment in the archive")
    for member in MEMBERS:
        succeed("shell", feed=f"hcloud server delete {member} && hcloud volume delete {volume(member)}")
    answer = launcher("run", "playbooks/site.yml")
    assert answer.code != 0
    assert "restore.yml" in answer.text
    play("restore")
    succeed("run", "playbooks/site.yml")
    for member in MEMBERS:
        assert sql(member, "SELECT count(*) FROM treasure", "rails_production") == "700"
    sql(primary(), "DROP TABLE treasure", "rails_production")
    quiet()


def volume(host: str) -> str:
    """Name of a member's volume."""
    listed = json.loads(succeed("shell", feed="hcloud volume list -o json"))
    servers = json.loads(succeed("shell", feed="hcloud server list -o json"))
    number = next(server["id"] for server in servers if server["name"] == host)
    return next(found["name"] for found in listed if found["server"] == number)
