"""Changes of roles in a pair, while a client writes. Every test leaves a primary and a replica that streams."""

import os
import signal
import subprocess
import time

import pytest
from pair import (
    DATA,
    NAMES,
    Playbook,
    address,
    asked,
    changed,
    is_primary,
    parts,
    play,
    refused,
    shell,
    sql,
    streams,
    until,
    writing,
)

# Every test looks at both servers, so it runs once and not once for each.
testinfra_hosts = [f"docker://{NAMES[0]}"]

#: Seconds that a client waits at most while the primary moves as planned.
MOST_OUTAGE = 5

#: Where a switchover is killed: as each step begins, and so many seconds later. Every run has three of them.
KILLED = [
    (step, later)
    for step in (
        "Let the primary step down",
        "Let the replica take over",
        "Let the old primary follow",
        "Say what was done",
    )
    for later in (0, 0.7)
]


def fail(primary):
    """PostgreSQL is gone at once, and does not come back by itself."""
    shell(primary, "docker kill --signal KILL bulwark-postgres; systemctl stop bulwark-postgres")


def complete(primary, replica):
    """Everything that belongs to the parts they have now."""
    assert parts() == (primary, replica)
    slots = "SELECT string_agg(slot_name || ' ' || active, ',') FROM pg_replication_slots"
    assert sql(primary, slots) == f"{replica.replace('-', '_')} true"
    assert sql(replica, slots) == ""
    assert shell(primary, "ls /run/bulwark-postgres") == "primary\nwhy"
    assert shell(replica, "ls /run/bulwark-postgres") == "why"
    for name in NAMES:
        assert shell(name, f"ls {DATA}; ls {DATA}/17").split() == ["17", "data", "data"]
        assert "bulwark_fence" not in shell(name, "nft list tables")


def test_a_switchover_there_and_back_loses_nothing_and_is_short():
    primary, replica = parts()
    with writing() as seen:
        play("switchover")
        complete(replica, primary)
        play("switchover")
    complete(primary, replica)
    assert seen["lost"] == []
    assert seen["longest_outage"] <= MOST_OUTAGE


def test_a_switchover_to_the_primary_changes_nothing():
    primary, _ = parts()
    assert changed(play("switchover", "-e", f"member={primary}")) == 0
    assert parts()[0] == primary


@pytest.mark.parametrize(("step", "later"), KILLED if "BULWARK_FULL" in os.environ else KILLED[::3])
def test_a_switchover_that_is_killed_is_completed_by_the_next(step, later):
    primary, replica = parts()
    with writing() as seen:
        run = Playbook("playbooks/switchover.yml", "-e", f"member={replica}")
        run.until_it_says(step)
        time.sleep(later)
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        time.sleep(3)  # what is under way on a server goes on there
        play("switchover", "-e", f"member={replica}")
    complete(replica, primary)
    assert seen["lost"] == []


def test_when_the_replica_does_not_take_over_the_old_primary_goes_on():
    primary, replica = parts()
    with writing() as seen:
        run = Playbook("playbooks/switchover.yml", "-e", "postgres_pair_seconds=5")
        # After both were asked, or it would be refused.
        run.until_it_says("Refuse what cannot be")
        sql(replica, "SELECT pg_wal_replay_pause()")
        ended_well, said = run.end()
        assert not ended_well
        assert f"{replica} did not take over, so {primary} was started as primary again. It has replayed up to" in said
        until(lambda: is_primary(primary))
    sql(replica, "SELECT pg_wal_replay_resume()")
    complete(primary, replica)
    assert seen["lost"] == []


def test_what_must_be_refused():
    primary, replica = parts()
    assert f"{primary} is primary and answers, so there is nothing to take over" in refused("failover")
    for confirm in ("", "production"):
        assert "confirm it with -e confirm=molecule" in refused("switchover", confirm=confirm)
    sql(replica, "SELECT pg_wal_replay_pause()")
    assert f"{replica} has paused its replay" in refused("switchover")
    sql(replica, "SELECT pg_wal_replay_resume()")
    for verb in ("rejoin", "replica_rebuild"):
        assert f"{primary} is the primary: its data is what" in refused(verb, "-e", f"member={primary}")
    assert f"{primary} is the only member of the database, or the only one" in refused("switchover", "--limit", primary)
    shell(replica, "systemctl stop bulwark-postgres")
    assert f"{replica} does not run as a replica: bring it back with playbooks/rejoin.yml" in refused("switchover")
    shell(primary, "systemctl stop bulwark-postgres")
    for verb in ("rejoin", "replica_rebuild"):
        assert "No member runs as primary, so there is none to follow" in refused(verb)
    assert "There is no replica that could take over" in refused("failover")
    shell(primary, "systemctl start bulwark-postgres")
    play("rejoin")
    complete(primary, replica)


def test_a_failover_from_a_killed_primary_and_its_way_back():
    primary, replica = parts()
    sql(primary, "CREATE TABLE IF NOT EXISTS kept (line text)")
    with writing() as seen:
        # From here on nothing is sent to the replica any more.
        shell(primary, "pkill -STOP -f '^postgres: .* walsender'")
        sql(primary, "INSERT INTO kept VALUES ('nobody else has this')")
        fail(primary)
        said = play("failover")
    assert f"{replica} is primary. Fence of {primary}: PostgreSQL is stopped" in said
    assert len(seen["lost"]) < 50

    # It stays primary when its process ends although nobody answers, and the old one stays down whatever is tried.
    shell(replica, "docker kill --signal KILL bulwark-postgres")
    until(lambda: is_primary(replica))
    shell(primary, "systemctl restart bulwark-postgres")
    until(lambda: shell(primary, "cat /run/bulwark-postgres/why").startswith("stays down: it is fenced"))
    assert "is fenced" in refused("switchover")

    said = play("rejoin", "--diff")
    assert "+rewound it to " in said
    complete(replica, primary)
    assert sql(primary, "SELECT count(*) FROM kept") == "0"


def test_a_primary_whose_docker_hangs_is_cut_off():
    primary, replica = parts()
    shell(primary, "pkill -STOP dockerd")
    try:
        with writing(replica):
            said = play("failover")
        assert f"Fence of {primary}: nothing reaches or leaves its port 5432 any more" in said
        assert is_primary(replica)
        # PostgreSQL runs there still, and nobody reaches it.
        assert shell(primary, "pgrep --count --full '^postgres: .* walwriter'") == "1"
        reached = f"timeout 3 bash -c '</dev/tcp/{address(primary)}/5432' && echo yes || echo no"
        assert shell(replica, reached) == "no"
    finally:
        shell(primary, "pkill -CONT dockerd")
    until(lambda: asked(primary, "SELECT 1") == "1")
    play("rejoin")
    complete(replica, primary)


def test_without_a_fence_nobody_takes_over():
    primary, replica = parts()
    # Nothing on it answers, and for all anybody knows it takes writes; there is no cloud to ask.
    subprocess.run(["docker", "pause", primary], check=True)
    try:
        said = refused("failover")
    finally:
        subprocess.run(["docker", "unpause", primary], check=True)
    assert f"{primary} may still take writes, so nobody takes over." in said
    complete(primary, replica)


def test_a_failover_that_was_killed_is_completed_by_the_next():
    primary, replica = parts()
    fail(primary)
    run = Playbook("playbooks/failover.yml")
    run.until_it_says("Let the replica take over]")
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    time.sleep(3)
    if not is_primary(replica):
        play("failover")
    play("rejoin")
    complete(replica, primary)


def test_a_former_primary_that_was_shut_down_is_a_replica_without_more_ado():
    primary, replica = parts()
    shell(primary, "systemctl stop bulwark-postgres")
    assert f"{primary} was shut down at" in play("failover")
    play("rejoin")
    complete(replica, primary)


def test_a_rewind_that_was_cut_off_ends_in_a_new_copy():
    primary, replica = parts()
    shell(replica, f"systemctl stop bulwark-postgres && touch {DATA}/fenced {DATA}/rewinding")
    assert "+copied the primary" in play("rejoin", "--diff")
    complete(primary, replica)


def test_another_database_is_kept_until_a_rebuild_is_asked_for():
    primary, replica = parts()
    shell(replica, f"systemctl stop bulwark-postgres && rm -r {DATA}/17/data")
    image = shell(replica, "docker inspect --format '{{.Config.Image}}' bulwark-postgres")
    words = f"--rm --user 999:999 --volume {DATA}:{DATA} --entrypoint initdb {image} {DATA}/17/data"
    shell(replica, f"docker run {words}")
    assert "To delete what" in refused("rejoin")
    assert shell(replica, f"cat {DATA}/17/data/PG_VERSION") == "17"
    assert "+deleted its data and copied the primary" in play("replica_rebuild", "--diff")
    complete(primary, replica)


# The last two: after all of that.
def test_a_run_of_the_roles_changes_nothing_whoever_is_primary():
    for _ in range(2):
        play("switchover")
        assert changed(play("", path="molecule/postgres_pair/converge.yml")) == 0
    assert all(streams(name) != is_primary(name) for name in NAMES)


def test_no_secret_shows():
    for name in NAMES:
        shown = shell(name, "docker inspect bulwark-postgres; docker logs bulwark-postgres 2>&1; journalctl --all")
        for secret in ("this\\one", "and-not-this-one", "SCRAM-SHA-256$", "a-fourth-password", "not: a"):
            assert secret not in shown
