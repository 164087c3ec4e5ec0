"""`./bulwark down` leaves nothing behind. Runs by itself, after everything that needs a lab or an engine has ended."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.launcher import launcher, status, succeed


def shown(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()


def ours() -> dict[str, list[str]]:
    """What there is on this machine that the lab could have made, by kind."""
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        marks = ("-m lab serve", "bulwark/dnsmasq", "bulwark/engine", "bulwark/load_balancers", "bulwark/cloudflare")
        if any(mark in words for mark in marks):
            commands.append(words)
    return {
        "namespaces": [line for line in shown("ip", "netns", "list") if line.startswith("bulwark")],
        "interfaces": [line for line in shown("ip", "-o", "link") if "bulwark" in line],
        "routes": [
            line
            for line in shown("ip", "route", "show", "table", "all")
            if "169.254.77." in line or "198.51.100." in line
        ],
        "rules": [line for line in shown("nft", "list", "tables") if "bulwark" in line],
        "loop devices": [
            line
            for line in shown("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")
            if "bulwark" in line
        ],
        "mounts": [
            line for line in Path("/proc/mounts").read_text().splitlines() if "bulwark" in line and "/netns" not in line
        ],
        "processes": commands,
    }


@pytest.fixture(scope="module")
def _was_up() -> None:
    """Taking down what is not up would show nothing."""
    if launcher("status").code != 0:
        succeed("up")
    assert len(status()["servers"]) == 7
    assert all(ours()[kind] for kind in ("namespaces", "interfaces", "rules", "loop devices", "processes"))


@pytest.mark.usefixtures("_was_up")
def test_down_leaves_nothing_behind() -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    remembered = Path.home() / ".local/state/bulwark/ip_forward"
    before = remembered.read_text() if remembered.exists() else None
    succeed("down")
    assert {kind: found for kind, found in ours().items() if found} == {}
    assert before is None or forwarding.read_text() == before
    assert not remembered.exists()


def test_commands_say_that_the_lab_is_down() -> None:
    for words in (["status"], ["exec", "app-01", "true"], ["run", "playbooks/site.yml"], ["user", "true"]):
        answer = launcher(*words)
        assert answer.code != 0
        assert "./bulwark up" in answer.text, words
        assert "Traceback" not in answer.text


def test_down_may_be_repeated() -> None:
    succeed("down")
