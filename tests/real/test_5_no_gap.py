"""Nothing gets in for a moment either: somebody knocks all the time while a server is worked on, and nobody answers.

The port of a flow is knocked at as well. Its answers show that the knocks arrive.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.checkout import ROOT
from tests.launcher import launcher, on, recap, succeed
from tests.real.database import until
from tests.real.prober import Knocks, knocking
from tests.real.test_2_reboots import reboot_from_within
from tests.real.test_4_reachability import STRAY, STRAY_PORT, stray_container

HOST, ADDRESS, STRANGER = "db-primary", "10.0.0.6", "app-02"
HOST_PORT, FLOW_PORT = 8081, 5432
CLOSED = [f"{ADDRESS}:{HOST_PORT}", f"{ADDRESS}:{STRAY_PORT}", f"{ADDRESS}:22"]
FLOW = f"{ADDRESS}:{FLOW_PORT}"


@pytest.fixture(scope="module")
def _listening() -> Iterator[None]:
    """A service of the host and one that Docker publishes, both at ports that no flow is for."""
    listen = ["systemd-run", "--quiet", "--collect", "--unit", "bulwark-trial-listener", "python3", "-m", "http.server"]
    with stray_container(HOST):
        on(HOST, *listen, str(HOST_PORT))
        yield
        launcher("exec", HOST, "systemctl", "stop", "bulwark-trial-listener")


def nobody_got_in(knocks: Knocks) -> None:
    print(" ".join(f"{target}: {knocks.passed[target]}/{knocks.sent[target]}" for target in knocks.sent))
    assert {target: knocks.passed[target] for target in CLOSED if knocks.passed[target]} == {}
    assert all(knocks.sent[target] > 50 for target in CLOSED), "too few knocks to prove anything"
    assert knocks.passed[FLOW] > 50, "the flow did not answer, so silence proves nothing"


EVENTS = {
    "ufw reload": "for i in 1 2 3 4; do ufw reload; done",
    "ufw off and on": "ufw disable; ufw --force enable",
    "docker, then ufw": "systemctl restart docker; systemctl restart ufw",
    "ufw, then docker": "systemctl restart ufw; systemctl restart docker",
    "guard": "for i in 1 2 3 4; do systemctl restart bulwark-guard; done",
    "networks of Docker's": "for i in $(seq 10); do docker network create trial-$i; done; "
    "docker network rm $(seq -f trial-%g 10)",
    "container made again": f"docker rm -f {STRAY}; "
    f"docker run --init -d --name {STRAY} -p {STRAY_PORT}:{STRAY_PORT} {STRAY} python3 -m http.server {STRAY_PORT}",
}


@pytest.mark.usefixtures("_listening")
@pytest.mark.parametrize("event", EVENTS)
def test_no_gap_during(event: str) -> None:
    with knocking(STRANGER, *CLOSED, FLOW) as knocks:
        on(HOST, "bash", "-ec", EVENTS[event])
        time.sleep(2)  # what comes late, such as rules that Docker puts back
    nobody_got_in(knocks)


@pytest.mark.usefixtures("_listening")
def test_no_gap_while_a_run_mends_what_was_changed_by_hand() -> None:
    on(HOST, "ufw", "allow", str(HOST_PORT))
    on(HOST, "bash", "-ec", "ufw disable; echo '{}' >/etc/docker/daemon.json")
    command = ("run", "playbooks/site.yml", "--limit", HOST, "--tags", "ufw_zero_trust,docker")
    foreseen = recap(succeed(*command, "--check", "--diff"))
    assert foreseen[HOST].changed > 0, "check mode does not see it"
    with knocking(STRANGER, *CLOSED, FLOW) as knocks:
        hosts = recap(succeed(*command))
    nobody_got_in(knocks)
    assert hosts[HOST].changed > 0
    assert str(HOST_PORT) not in on(HOST, "ufw", "status")
    assert recap(succeed(*command))[HOST].changed == 0


@pytest.mark.usefixtures("_listening")
def test_no_gap_during_a_reboot() -> None:
    with knocking(STRANGER, *CLOSED, FLOW) as knocks:
        reboot_from_within(HOST)
        until(lambda: launcher("exec", HOST, "docker", "start", STRAY).code == 0, "Docker is back")
        time.sleep(3)
    nobody_got_in(knocks)


@pytest.mark.parametrize("seconds", [3.0, 4.5, 6.0])
def test_a_run_that_is_killed_leaves_a_host_neither_open_nor_locked(seconds: float) -> None:
    """Killed at some moment of its work on the firewall; the next run ends right."""
    on(HOST, "bash", "-ec", f"ufw allow {HOST_PORT}")
    command = ("playbooks/site.yml", "--limit", HOST, "--tags", "ufw_zero_trust")
    with knocking(STRANGER, *CLOSED, FLOW) as knocks:
        kill_after(seconds, "./bulwark", "run", *command)
        time.sleep(1)
    nobody_got_in(knocks)
    assert recap(succeed("run", *command))[HOST].unreachable == 0
    assert recap(succeed("run", *command))[HOST].changed == 0


def kill_after(seconds: float, *words: str) -> None:
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
