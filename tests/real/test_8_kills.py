"""Kills of the primary under load: with synchronous replication no acknowledged commit is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.launcher import on, succeed
from tests.real.database import CONTAINER, other, play, power, primary, sql, streaming, until, writer

FEW, MANY = 5, 50
KINDS = ("process", "container", "server", "network")


def converge(*words: str) -> None:
    succeed("run", "playbooks/converge.yml", "--tags", "postgres_primary,postgres_replica", *words)


@pytest.fixture(scope="class")
def synchronous() -> Iterator[None]:
    converge("-e", '{"postgres_synchronous": true}')
    yield
    converge()


def kill(kind: str, host: str) -> None:
    match kind:
        case "process":
            script = "kill -KILL $(head -n 1 $PGDATA/postmaster.pid)"
            on(host, "docker", "exec", "-u", "999:999", CONTAINER, "sh", "-c", script)
        case "container":
            on(host, "docker", "kill", "--signal", "KILL", CONTAINER)
        case "server":
            power(host, "off")
        case "network":
            on(host, "ip", "link", "set", "enp7s0", "down")


@pytest.mark.usefixtures("synchronous")
class TestSynchronous:
    @pytest.mark.parametrize(
        "number", [pytest.param(n, marks=[] if n < FEW else [pytest.mark.full], id=f"{n:02d}") for n in range(MANY)]
    )
    def test_no_acknowledged_commit_is_lost(self, number: int) -> None:
        kind = KINDS[number % len(KINDS)]
        old = primary()
        until(lambda: streaming(old), "streaming")
        with writer(f"kill-{number}") as client:
            client.goes_on()
            kill(kind, old)
            if kind in {"server", "network"}:
                play("failover")
                # Until it is back, a commit waits for it.
                play("rejoin")
            client.goes_on()
        found = client.report()
        assert found["acknowledged"] > 0
        assert found["lost"] == []


def test_the_check_can_see_a_loss() -> None:
    """Control: asynchronous, and the replica gets nothing any more before the primary dies."""
    old = primary()
    until(lambda: streaming(old), "streaming")
    assert sql(old, "SHOW synchronous_standby_names") == ""
    address = sql(old, "SELECT client_addr FROM pg_stat_replication")
    cut = "add table inet control; add chain inet control in { type filter hook input priority -200; }; "
    with writer("control") as client:
        client.goes_on()
        on(old, "nft", f"{cut}add rule inet control in ip saddr {address} drop")
        client.goes_on()
        power(old, "off")
        play("failover")
        client.goes_on()
    assert client.report()["lost"] != []
    play("rejoin")
    until(lambda: streaming(other(old)), "streaming")
