"""Servers work again after a reboot without a run, and changes by hand are mended by one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.launcher import launcher, on, recap, succeed
from tests.real.database import until
from tests.real.test_1_first_run import BASTION, PRIVATE, seen_from_outside, status_of


@pytest.fixture(scope="module")
def api() -> Iterator[httpx.Client]:
    """A client of the embedded API, as the administrator has it."""
    token, endpoint = succeed("shell", feed="echo $HCLOUD_TOKEN; echo $HCLOUD_ENDPOINT").splitlines()
    with httpx.Client(base_url=endpoint, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        yield client


def server_id(api: httpx.Client, name: str) -> int:
    return int(api.get("/servers", params={"name": name}).json()["servers"][0]["id"])


def act(api: httpx.Client, server: int, action: str) -> int:
    """Start an action; returns its number."""
    return int(api.post(f"/servers/{server}/actions/{action}").raise_for_status().json()["action"]["id"])


def finish(api: httpx.Client, action: int) -> None:
    for _ in range(400):
        found = api.get(f"/actions/{action}").raise_for_status().json()["action"]
        if found["status"] != "running":
            assert found["status"] == "success", found
            return
        time.sleep(0.5)
    pytest.fail(f"action {action} does not end")


def eventually(host: str, expected: str, attempts: int = 60) -> None:
    """Wait until a server goes out as it should; a booting one needs some seconds."""
    answer = ""
    for _ in range(attempts):
        said = launcher("exec", host, "curl", "-4", "-s", "-m", "3", "http://ifconfig.me")
        answer = said.text.strip()
        if said.code == 0 and answer == expected:
            return
        time.sleep(1)
    pytest.fail(f"{host} is seen from outside as {answer!r}, not as {expected}")


def started(host: str) -> str:
    """When its first process began, in ticks of the kernel; nothing while it cannot be asked."""
    said = launcher("exec", host, "cat", "/proc/1/stat")
    return said.text.split()[21] if said.code == 0 else ""


def reboot_from_within(host: str) -> None:
    """As somebody on the server does it; ends when it goes out to the internet again."""
    before = started(host)
    launcher("exec", host, "systemctl", "reboot")
    until(lambda: started(host) not in ("", before), f"a reboot of {host}")
    eventually(host, status_of(BASTION)["public_ip"])


def test_every_server_rebooted_through_the_api_works_again(api: httpx.Client) -> None:
    address = status_of(BASTION)["public_ip"]
    before = {host: started(host) for host in (*PRIVATE, BASTION)}
    actions = [act(api, server["id"], "reboot") for server in api.get("/servers").json()["servers"]]
    for action in actions:
        finish(api, action)
    for host in (*PRIVATE, BASTION):
        eventually(host, address)
    after = {host: started(host) for host in (*PRIVATE, BASTION)}
    assert [host for host in before if before[host] == after[host]] == [], "these were not rebooted at all"


def test_reboot_from_within_comes_back() -> None:
    reboot_from_within("jobs-01")


def test_what_was_broken_or_deleted_behind_our_back_is_there_again(api: httpx.Client) -> None:
    on("app-01", "rm", "/etc/systemd/network/05-bulwark-private.network")
    on(BASTION, "nft", "delete", "table", "ip", "bulwark_nat")
    before = server_id(api, "jobs-01")
    api.delete(f"/servers/{before}").raise_for_status()
    for _ in range(60):
        if api.get(f"/servers/{before}").status_code == 404:
            break
        time.sleep(0.5)
    hosts = recap(succeed("run", "playbooks/site.yml"))
    assert hosts["app-01"].changed > 0
    assert hosts[BASTION].changed > 0
    assert server_id(api, "jobs-01") != before
    for host in ("app-01", "jobs-01"):
        assert seen_from_outside(host) == status_of(BASTION)["public_ip"]


@pytest.mark.full
def test_once_mended_nothing_is_left_to_do() -> None:
    assert sum(counts.changed for counts in recap(succeed("run", "playbooks/site.yml")).values()) == 0


def wait_for_status(name: str, wanted: str) -> None:
    for _ in range(60):
        if status_of(name)["status"] == wanted:
            return
        time.sleep(0.5)
    pytest.fail(f"{name} is {status_of(name)['status']}, not {wanted}")


def test_power_cycle_of_the_bastion(api: httpx.Client) -> None:
    bastion = server_id(api, BASTION)
    act(api, bastion, "poweroff")
    wait_for_status(BASTION, "off")
    assert launcher("exec", "app-01", "curl", "-4", "-s", "-m", "3", "http://ifconfig.me").code != 0
    act(api, bastion, "poweron")
    eventually("app-01", status_of(BASTION)["public_ip"])
