"""Settings, pg_hba.conf and the files of a member."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.configuration import (
    Configuration,
    Declared,
    MembersError,
    configuration,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.hba import HbaError, document
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.settings import (
    Server,
    SettingsError,
    kilobytes,
    quoted,
    settings,
)

GUIDE = {
    "max_connections": 100,
    "shared_buffers": "4GB",
    "effective_cache_size": "12GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "1GB",
    "autovacuum_work_mem": "512MB",
    "max_worker_processes": 8,
    "max_parallel_workers": 6,
    "max_parallel_workers_per_gather": 4,
    "max_wal_senders": 10,
    "wal_level": "replica",
}
PAIR = [{"name": "db-primary", "address": "10.0.0.6"}, {"name": "db-replica", "address": "10.0.0.7"}]
LINE = {
    "type": "hostssl",
    "databases": ["rails_production"],
    "users": ["rails_app"],
    "address": "10.0.0.3/32",
    "method": "scram-sha-256",
}


def files(**more: Any) -> Configuration:
    given: dict[str, Any] = {
        "member": "db-primary",
        "members": PAIR,
        "major": 17,
        "memory": 16384,
        "cores": 8,
        "overrides": {},
        "lines": [LINE],
        "synchronous": False,
    }
    return configuration(Declared(**(given | more)))


def lines(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines())


def test_a_server_with_16_gb_gets_the_guides_values() -> None:
    found = settings(Server(16384, 8), {})
    assert {name: found[name] for name in GUIDE} == GUIDE


@pytest.mark.parametrize("memory", [1000, 1024, 2000, 4096, 7800, 16384, 65536, 524288])
@pytest.mark.parametrize("cores", [1, 2, 4, 64])
def test_no_server_gets_more_than_it_has(memory: int, cores: int) -> None:
    found = settings(Server(memory, cores), {})
    assert 0 < kilobytes("shared_buffers", found["shared_buffers"]) <= memory * 1024 // 4
    assert int(found["max_parallel_workers_per_gather"]) <= int(found["max_parallel_workers"])
    assert int(found["max_parallel_workers"]) <= int(found["max_worker_processes"])


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"shared_buffers": "32GB"}, "shared_buffers is 32GB, and the server has 16384 MB"),
        ({"shared_buffers": 4194304}, "shared_buffers is 4194304, and"),  # in blocks of 8 kB
        ({"work_mem": "1GB"}, "are 1"),
        ({"shared_buffers": "many"}, 'shared_buffers is "many"; write a size like'),
        ({"hba_file": "/tmp/x"}, "names hba_file, which the role decides"),
        ({"Primary_ConnInfo": "x"}, "names Primary_ConnInfo, which the role decides"),
        ({"log_directory = 'x'\nfsync": 0}, "which is not the name of a setting"),
        ({"log_line_prefix": "a\nfsync = off"}, "log_line_prefix must be one number, text or yes/no"),
        ({"shared_preload_libraries": ["a"]}, "shared_preload_libraries must be one number"),
        ({"max_connections": "a lot"}, 'max_connections is "a lot"; it must be a whole number'),
    ],
)
def test_what_cannot_be_had_is_refused(overrides: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingsError, match=r"^[^\n]+$") as refused:
        settings(Server(16384, 8), overrides)
    assert says in str(refused.value)


def test_a_server_without_memory_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least 1000 MB"):
        settings(Server(0, 8), {})


def test_values_are_quoted_as_the_file_wants_them() -> None:
    assert [quoted(value) for value in (True, 5, 0.9, "it's a \\")] == ["on", "5", "0.9", "'it''s a \\\\'"]


def test_a_members_files_lead_to_the_other_member() -> None:
    found = files(overrides={"work_mem": "8MB"})
    conf = lines(found["postgresql_conf"])
    assert conf["work_mem"] == "'8MB'"
    assert conf["primary_slot_name"] == "'db_primary'"
    assert "host=10.0.0.7 " in conf["primary_conninfo"]
    assert "sslmode=verify-full" in conf["primary_conninfo"]
    assert "password" not in conf["primary_conninfo"]
    assert conf["synchronous_standby_names"] == "''"
    assert found["peer_slots"] == ["db_replica"]


def test_both_members_have_the_same_settings_but_for_who_they_are() -> None:
    first, second = (lines(files(member=name)["postgresql_conf"]) for name in ("db-primary", "db-replica"))
    assert {name for name in first if first[name] != second[name]} == {
        "cluster_name",
        "primary_conninfo",
        "primary_slot_name",
    }


def test_synchronous_waits_for_any_other_member() -> None:
    conf = lines(files(synchronous=True)["postgresql_conf"])
    assert conf["synchronous_standby_names"] == """'ANY 1 ("db-replica")'"""


def test_alone_it_follows_nobody() -> None:
    found = files(members=PAIR[:1])
    assert "primary_conninfo" not in lines(found["postgresql_conf"])
    assert found["peers"] == []


def test_a_setting_is_only_written_for_a_version_that_knows_it() -> None:
    assert "allow_alter_system" in lines(files()["postgresql_conf"])
    assert "allow_alter_system" not in lines(files(major=16)["postgresql_conf"])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"member": "db-3"}, "does not list db-3"),
        ({"members": [*PAIR, {"name": "db.primary", "address": "10.0.0.8"}]}, "differs in its punctuation"),
        ({"members": [*PAIR, {"name": "db-3", "address": "db-3"}]}, '"db-3" of db-3 is not an address'),
        ({"members": PAIR[:1], "synchronous": True}, "needs a second member"),
    ],
)
def test_members_that_cannot_be_are_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(MembersError, match=says):
        files(**more)


def test_the_superuser_comes_through_the_socket_and_nobody_else_does() -> None:
    rows = [line.split() for line in document([LINE]).splitlines()]
    assert rows == [
        ["local", "all", "postgres", "peer"],
        ["local", "all", "all", "reject"],
        ["hostssl", '"rails_production"', '"rails_app"', "10.0.0.3/32", "scram-sha-256"],
    ]


def test_words_with_a_meaning_keep_it_among_databases_only() -> None:
    text = document([LINE | {"databases": ["all", "replication"], "users": ["replication"]}])
    assert 'all,replication  "replication"  10.0.0.3/32' in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"type": "host"}, "must have the type hostssl"),
        ({"method": "trust"}, "the method scram-sha-256"),
        ({"address": "10.0.0.3/8"}, "must name a network"),
        ({"address": "all"}, "must name a network"),
        ({"users": []}, "names no users"),
        ({"users": ["all"]}, "lets all in over the network"),
        ({"users": ["postgres"]}, "lets postgres in over the network"),
        ({"users": ["+admins"]}, "which is no name"),
        ({"databases": ['x" all']}, "which is no name"),
    ],
)
def test_a_line_that_opens_too_much_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(HbaError, match=says.replace("(", r"\(")):
        document([LINE | change])
