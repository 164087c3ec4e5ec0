"""Servers that come, go and are made anew while users go on asking, and the page for when nobody is to be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher import launcher, on, recap, status, succeed
from tests.real import users
from tests.real.database import other, primary, streaming, until
from tests.real.test_6_scaling import CONFIRMED, topology
from tests.real.users import NAME, asking, code, get


def names() -> set[str]:
    return {server["name"] for server in status()["servers"]}


@pytest.fixture
def _two_that_answer() -> Iterator[None]:
    """Both servers take traffic, and there are no others, before and after."""
    until(lambda: users.healthy("app-01", "app-02"), "both servers take traffic")
    yield
    if not users.healthy("app-01", "app-02"):
        # First, since it switches on a server that a test has left without power, whom maintenance would not reach.
        succeed("run", "playbooks/scale.yml", *CONFIRMED)
        for more in ((), ("-e", "server=app-02")):
            succeed("run", "playbooks/maintenance.yml", "-e", "maintenance=off", *more)
        succeed("deploy")
        until(lambda: users.healthy("app-01", "app-02"), "both servers take traffic")


@pytest.mark.full  # tests/integration/test_servers_playbooks.py asks the same of the embedded API
def test_nothing_goes_unasked(tmp_path: Path) -> None:
    one = ("-e", topology(tmp_path, 1))
    told = launcher("run", "playbooks/retire.yml", *one)
    assert told.code != 0
    assert "app-02" in told.text
    assert "confirm it with -e confirm=lab" in told.text
    told = launcher("run", "playbooks/retire.yml", "-e", topology(tmp_path, 0), *CONFIRMED)
    assert told.code != 0
    assert "no server of the application is left" in told.text
    told = launcher("run", "playbooks/replace_server.yml", "-e", "server=app-2", *CONFIRMED)
    assert "did you mean app-02?" in told.text
    assert {"app-01", "app-02"} <= names()


def test_the_primary_is_not_replaced() -> None:
    host = primary()  # the one that really is: another one would be deleted
    told = launcher("run", "playbooks/replace_server.yml", "-e", f"server={host}", *CONFIRMED)
    assert told.code != 0
    assert f"{host} is the primary of the database" in told.text
    assert host in names()


@pytest.mark.usefixtures("_two_that_answer")
def test_users_get_a_page_while_the_application_is_away() -> None:
    words = ("run", "playbooks/maintenance.yml", "-e")
    succeed(*words, "maintenance=on")
    try:
        assert "Retry-After: 120".lower() in get(f"https://{NAME}/", "-i").lower()
        assert code("/") == "503"
        assert code("/up") == "200"
        assert sum(counts.changed for counts in recap(succeed(*words, "maintenance=on")).values()) == 0
        on("app-01", "systemctl", "kill", "--signal=KILL", "bulwark-gate.service")
        until(lambda: [code("/") for _ in range(4)] == ["503"] * 4, "the page is there again")
        silences = json.loads(on("monitor-01", "curl", "-s", "http://10.0.0.8:9093/api/v2/silences"))
        assert [one["status"]["state"] for one in silences if one["comment"] == "maintenance"][:1] == ["active"]
    finally:
        succeed(*words, "maintenance=off")
    until(lambda: [code("/") for _ in range(4)] == ["200"] * 4, "the application is there again")
    silences = json.loads(on("monitor-01", "curl", "-s", "http://10.0.0.8:9093/api/v2/silences"))
    assert {one["status"]["state"] for one in silences if one["comment"] == "maintenance"} == {"expired"}
    assert sum(counts.changed for counts in recap(succeed(*words, "maintenance=off")).values()) == 0


@pytest.mark.full
@pytest.mark.usefixtures("_two_that_answer")
def test_one_server_rests_without_a_failed_request() -> None:
    words = ("run", "playbooks/maintenance.yml", "-e", "server=app-02", "-e")
    with asking() as requests:
        succeed(*words, "maintenance=on")
        assert users.health()["app-02"] == "unhealthy", "it ends once the load balancer has noticed"
        told = launcher("run", "playbooks/maintenance.yml", "-e", "server=app-01", "-e", "maintenance=on")
        assert "finds no other server than app-01 healthy" in told.text
        told = launcher("run", "playbooks/maintenance.yml", "-e", "maintenance=off")
        assert "At rest by themselves, and still so: app-02" in told.text
        assert users.health()["app-02"] == "unhealthy"
        succeed(*words, "maintenance=off")
        until(lambda: users.healthy("app-01", "app-02"), "app-02 is back")
    assert requests.failed() == []


def described(host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(users.shell(f"hcloud server describe {host} -o json"))
    return found


def place(server: dict[str, Any]) -> dict[str, Any]:
    """What a server that is made anew has of its predecessor."""
    address = (server["public_net"]["ipv4"] or {}).get("ip")
    private = [net["ip"] for net in server["private_net"]]
    return {"private": private, "public": address, **{name: server[name] for name in ("labels", "volumes")}}


@pytest.mark.full
@pytest.mark.usefixtures("_two_that_answer")
@pytest.mark.parametrize("role", ["app", "db", "bastion"])
def test_a_server_is_made_anew_in_its_place(role: str) -> None:
    host = {"app": "app-02", "db": other(primary()), "bastion": "bastion-server"}[role]
    before = described(host)
    if role == "app":
        users.kill(host)
    else:
        users.shell(f"hcloud server poweroff {host}")
    with asking() as requests:
        told = succeed("run", "playbooks/replace_server.yml", "-e", f"server={host}", *CONFIRMED)
    assert requests.failed() == []
    after = described(host)
    assert after["id"] != before["id"]
    assert place(after) == place(before)
    if role == "app":
        assert "Next: ./bulwark deploy" in told
        succeed("deploy")
        until(lambda: users.healthy("app-01", "app-02"), "app-02 takes traffic")
    until(lambda: streaming(primary()), "the replica follows")
    assert sum(counts.changed for counts in recap(succeed("run", "playbooks/site.yml")).values()) == 0
