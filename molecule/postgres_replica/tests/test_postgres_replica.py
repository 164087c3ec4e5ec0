"""A pair whose replica was copied again after half a copy: what it replicates, and who may start after a failover."""

import time

import pytest
import testinfra

FIRST, SECOND = (testinfra.get_host(f"docker://molecule-postgres-{number}") for number in (1, 2))
READY = "docker exec bulwark-postgres pg_isready -q"

# Every test looks at both servers, so it runs once and not once for each.
testinfra_hosts = ["docker://molecule-postgres-1"]


def sql(host, query, database="postgres"):
    return host.check_output("docker exec --user 999 bulwark-postgres psql -U postgres -d %s -Atc %s", database, query)


def until(holds):
    """Wait for something that takes a moment."""
    for _ in range(300):
        if holds():
            return
        time.sleep(0.2)
    pytest.fail("it did not come about within a minute")


def streams():
    query = "SELECT status FROM pg_stat_wal_receiver"
    words = "docker exec --user 999 bulwark-postgres psql -U postgres -Atc %s"
    return SECOND.run(words, query).stdout.strip() == "streaming"


def answers(host):
    return host.run(READY).rc == 0


def why(host):
    return host.file("/run/bulwark-postgres/why").content_string


@pytest.fixture
def table():
    sql(FIRST, "CREATE TABLE lines (line text)", "rails_production")
    yield "lines"
    sql(FIRST, "DROP TABLE lines", "rails_production")


def test_what_is_written_on_the_primary_is_read_on_the_replica(table):
    sql(FIRST, "INSERT INTO lines VALUES ('hello')", "rails_production")
    target = sql(FIRST, "SELECT pg_current_wal_lsn()")
    until(lambda: sql(SECOND, f"SELECT pg_last_wal_replay_lsn() >= '{target}'") == "t")
    assert sql(SECOND, "SELECT line FROM lines", "rails_production") == "hello"
    assert sql(SECOND, "SELECT pg_is_in_recovery()") == "t"


def test_it_streams_through_its_own_slot_with_tls():
    until(streams)
    query = "SELECT application_name, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)"
    assert sql(FIRST, query) == "molecule-postgres-2|t"
    assert sql(FIRST, "SELECT slot_name, active FROM pg_replication_slots") == "molecule_postgres_2|t"
    assert sql(FIRST, "SHOW max_slot_wal_keep_size") == "10GB"


def test_nothing_is_left_of_half_a_copy():
    assert not SECOND.file("/var/lib/postgresql/17/partial").exists
    assert SECOND.file("/var/lib/postgresql/17/data/standby.signal").exists


def test_both_have_the_same_settings():
    query = (
        "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings "
        "WHERE source = 'configuration file' AND name NOT IN ('cluster_name', 'primary_conninfo', 'primary_slot_name')"
    )
    assert sql(FIRST, query) == sql(SECOND, query)


def test_a_primary_waits_after_a_boot_until_it_knows_that_no_other_was_promoted():
    SECOND.check_output("systemctl stop bulwark-postgres")
    # What a boot does: the memory of having been primary is gone.
    FIRST.check_output("systemctl stop bulwark-postgres && rm /run/bulwark-postgres/primary")
    try:
        FIRST.check_output("systemctl start bulwark-postgres")
        until(lambda: why(FIRST).startswith("waits: "))
        assert not answers(FIRST)
    finally:
        SECOND.check_output("systemctl start bulwark-postgres")
    until(lambda: answers(FIRST))
    assert "is a replica and knows no newer primary" in why(FIRST)


def test_a_primary_whose_process_ended_starts_without_its_peer():
    SECOND.check_output("systemctl stop bulwark-postgres")
    try:
        FIRST.check_output("systemctl restart bulwark-postgres")
        until(lambda: answers(FIRST))
        assert "it was primary since the last boot" in why(FIRST)
    finally:
        SECOND.check_output("systemctl start bulwark-postgres")
    until(streams)


def test_no_secret_shows():
    for host in (FIRST, SECOND):
        shown = host.check_output(
            "docker inspect bulwark-postgres; docker logs bulwark-postgres 2>&1; journalctl --all"
        )
        for secret in ("this\\one", "and-not-this-one", "SCRAM-SHA-256$", "a-fourth-password", "not: a"):
            assert secret not in shown


# The last: nothing brings the first back as a primary, and rejoining is another playbook's business.
def test_a_former_primary_stays_down_when_the_other_was_promoted():
    FIRST.check_output("docker kill --signal KILL bulwark-postgres; systemctl stop bulwark-postgres")
    sql(SECOND, "SELECT pg_promote()")
    FIRST.run("systemctl start bulwark-postgres")
    until(lambda: why(FIRST).startswith("stays down: molecule-postgres-2 is primary"))
    assert not answers(FIRST)
    assert FIRST.run("/usr/local/lib/bulwark/postgres check").rc == 3

    # And when the new primary is a replica of somebody else by now, or down, its timeline still tells.
    SECOND.check_output("touch /var/lib/postgresql/17/data/standby.signal && systemctl restart bulwark-postgres")
    until(lambda: answers(SECOND))
    checked = FIRST.run("/usr/local/lib/bulwark/postgres check")
    assert (checked.rc, "has followed a newer primary, on timeline 2" in checked.stdout) == (3, True)
