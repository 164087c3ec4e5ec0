"""What a server waits for, and whether it is as good as before: pure functions, and the gate that waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Answer
from ansible_collections.bulwark.hetzner.plugins.module_utils.system_upgrade import state
from ansible_collections.bulwark.hetzner.plugins.module_utils.system_upgrade.state import Health, State, UpgradeError

SIMULATED = """\
Reading package lists...
Inst libzstd1 [1.5.7+dfsg-1] (1.5.7+dfsg-1+deb13u1 Debian-Security:13/stable-security [amd64])
Inst linux-image-7 (7.1 Debian:13/stable [amd64]) []
Conf libzstd1 (1.5.7+dfsg-1+deb13u1 Debian-Security:13/stable-security [amd64])
Remv old [1]
"""
MAPS = "7f00-7f01 r-xp 00000000 00:2a 1234    {path}\n"


def test_packages_of_a_simulated_upgrade() -> None:
    assert state.packages(SIMULATED) == ("libzstd1", "linux-image-7")
    assert state.packages("0 upgraded, 0 newly installed") == ()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/lib/x86_64-linux-gnu/libzstd.so.1.5.7 (deleted)", True),
        ("/usr/sbin/sshd (deleted)", True),
        ("/lib64/ld-linux-x86-64.so.2 (deleted)", True),
        ("/usr/lib/x86_64-linux-gnu/libzstd.so.1.5.7", False),
        ("/dev/shm/PostgreSQL.42 (deleted)", False),
        ("/memfd:usr/lib (deleted)", False),
        ("/tmp/usr/lib/x.so (deleted)", False),
    ],
)
def test_files_of_packages_that_were_replaced(path: str, expected: bool) -> None:
    assert state.replaced(MAPS.format(path="/usr/lib/other.so") + MAPS.format(path=path)) is expected


def test_why_a_server_has_to_be_restarted() -> None:
    assert state.reasons(False, "6.12.9-amd64", [], []) == ()
    assert state.reasons(True, "6.12.9-amd64", [], []) == ("an update asks for it",)
    kernels = ["vmlinuz-6.12.9-amd64", "vmlinuz-6.12.10-amd64"]
    assert state.reasons(False, "6.12.9-amd64", kernels, []) == (
        "kernel 6.12.10-amd64 is installed and 6.12.9-amd64 runs",
    )
    assert state.reasons(False, "6.12.10-amd64", kernels, []) == ()
    # One that somebody boots from elsewhere.
    assert state.reasons(False, "6.13.0-custom", kernels, []) == ()
    assert state.reasons(False, "6", [], ["ssh.service", "ssh.service"]) == (
        "ssh.service runs files that were replaced",
    )


@pytest.mark.parametrize(
    ("reboot", "up", "touched", "expected"),
    [
        ("required", 9999, True, []),
        ("always", 9999, False, ["as asked"]),
        ("always", 60, False, []),
        ("always", 60, True, ["as asked"]),
    ],
)
def test_when_a_server_is_restarted(reboot: str, up: float, touched: bool, expected: list[str]) -> None:
    assert state.restart(State(up_seconds=up), reboot, 3600, touched) == expected
    assert state.restart(State(reboot=("why",), up_seconds=up), reboot, 3600, touched) == ["why"]


def test_the_time_of_a_boot() -> None:
    assert state.moment("UserspaceTimestamp=Thu 2026-11-26 22:46:04.500000 UTC\n") == 1795733164.5
    assert state.moment("UserspaceTimestamp=\n") == 0.0


GOOD = Health("running", units=("a.service", "b.timer"), containers=("web",))
BEFORE: dict[str, Sequence[str]] = {"failed": [], "units": ["a.service", "b.timer"], "containers": ["web"]}


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (GOOD, []),
        (Health("starting", units=GOOD.units, containers=("web",)), ["systemd is starting"]),
        (
            Health("degraded", failed=("a.service",), units=("b.timer",), down=("a.service",), containers=("web",)),
            ["a.service failed"],
        ),
        (
            Health("running", units=("a.service",), down=("b.timer",), containers=("web",)),
            ["b.timer ran before and not now"],
        ),
        # Its package no longer has it.
        (Health("running", units=("a.service",), containers=("web",)), []),
        (Health("running", units=GOOD.units), ["the container web ran before and not now"]),
    ],
)
def test_what_is_worse_than_before(now: Health, expected: list[str]) -> None:
    assert state.wrong(now, BEFORE) == expected


def test_what_had_failed_before_keeps_nobody() -> None:
    now = Health("degraded", failed=("old.service",), units=GOOD.units, containers=("web",))
    assert state.wrong(now, BEFORE | {"failed": ["old.service"]}) == []
    assert state.wrong(now, BEFORE) == ["old.service failed"]


class Site:
    """Answers that come one after the other."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def get(self, url: str) -> Answer:
        return self.answers.pop(0)


@pytest.fixture
def healths(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def put(*found: Health | UpgradeError) -> None:
        left = list(found)

        def health(run: Any) -> Health:
            now = left.pop(0)
            if isinstance(now, UpgradeError):
                raise now
            return now

        monkeypatch.setattr(state, "health", health)

    return put


def nobody(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
    raise AssertionError(words)


def test_the_gate_waits(healths: Callable[..., None]) -> None:
    healths(UpgradeError("Docker does not answer"), Health("starting"), GOOD, GOOD)
    site = Site(Answer(503, reason="503 Service Unavailable"), Answer(200))
    pauses: list[float] = []
    assert state.gate(nobody, BEFORE, ["http://127.0.0.1/"], 60, site, pauses.append) == []  # type: ignore[arg-type]  # because only asked
    assert len(pauses) == 3


def test_the_gate_tells_what_is_wrong_in_the_end(healths: Callable[..., None]) -> None:
    healths(GOOD)
    site = Site(Answer(reason="Connection refused"))
    assert state.gate(nobody, BEFORE, ["http://127.0.0.1/"], 0, site) == [  # type: ignore[arg-type]  # because Site only answers
        "http://127.0.0.1/ does not answer (Connection refused)"
    ]
    healths(UpgradeError("Docker does not answer"))
    assert state.gate(nobody, BEFORE, [], 0) == ["Docker does not answer"]


def test_lists_that_cannot_be_fetched() -> None:
    taken = (100, "", "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)")
    answers = [taken, (0, "", "")]
    state.refresh(lambda words, feed="": answers.pop(0), 60, lambda seconds: None)
    assert answers == []
    with pytest.raises(UpgradeError, match="apt cannot fetch its lists: Could not get lock"):
        state.refresh(lambda words, feed="": taken, 0)
    with pytest.raises(UpgradeError, match="does not resolve"):
        state.refresh(lambda words, feed="": (100, "", "E: mirror does not resolve"), 60)


def test_apt_that_cannot_tell() -> None:
    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        return (100, "", "E: broken sources") if words[0] == "apt-get" else (0, "", "")

    with pytest.raises(UpgradeError, match="broken sources"):
        state.read(run)
