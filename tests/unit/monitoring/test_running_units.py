"""Units of systemd: what differs, in which order it is mended, and what is said about one that does not answer."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Answer, Web
from ansible_collections.bulwark.hetzner.plugins.module_utils.running_units import (
    Seen,
    Unit,
    UnitError,
    Units,
    moment,
    plan,
)

GOOD = Seen(loaded=True, enabled=True, active=True, since=200.0)
SHOWN = """LoadState=loaded
UnitFileState=enabled
ActiveState={state}
NeedDaemonReload=no
MainPID=0
StateChangeTimestamp=Thu 2026-11-26 18:55:01.123456 UTC
"""


def verbs(seen: Seen, newest: float = 100.0, reloads: bool = False) -> list[str]:
    return [step.verb for step in plan([Unit("x", reloads=reloads)], [], {"x": seen}, {"x": newest})]


@pytest.mark.parametrize(
    ("seen", "newest", "steps"),
    [
        (GOOD, 100.0, []),
        (GOOD, 300.0, ["restart"]),
        # The same moment: nobody knows which came first.
        (GOOD, 200.0, ["restart"]),
        (Seen(loaded=True), 0.0, ["enable", "start"]),
        (Seen(loaded=True, enabled=True, active=True, since=200.0, replaced=True), 0.0, ["restart"]),
        (Seen(loaded=True, enabled=True, active=True, since=200.0, unit_read=False), 300.0, ["read", "restart"]),
    ],
)
def test_what_differs(seen: Seen, newest: float, steps: list[str]) -> None:
    assert verbs(seen, newest) == steps


def test_who_can_reload_is_not_restarted_for_its_files() -> None:
    assert verbs(GOOD, 300.0, reloads=True) == ["reload"]
    # Its command line may be another.
    unread = Seen(loaded=True, enabled=True, active=True, since=200.0, unit_read=False)
    assert verbs(unread, 300.0, reloads=True) == ["read", "restart"]


def test_what_nobody_needs_is_stopped_where_it_is_there() -> None:
    seen = {"here": GOOD, "away": Seen(), "off": Seen(loaded=True)}
    assert [(step.verb, step.unit) for step in plan([], list(seen), seen, {})] == [("stop", "here")]


def test_a_time_of_systemds() -> None:
    assert moment("Thu 2026-11-26 18:55:01.123456 UTC") == 1795719301.123456
    assert moment("") == 0


class Silent(Web):
    def get(self, url: str, user: tuple[str, str] | None = None) -> Answer:
        return Answer(reason="connection refused")


def units(state: str, ran: list[str]) -> Units:
    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        ran.append(" ".join(words))
        if words[1] == "show":
            return 0, SHOWN.format(state=state), ""
        return 0, "cannot bind" if words[0] == "journalctl" else "", ""

    return Units(run, seconds=1, web=Silent(), pause=lambda _: None)


def test_who_does_not_answer_is_named_with_its_last_words() -> None:
    with pytest.raises(UnitError, match=r"x does not answer within 1 s: connection refused.*cannot bind"):
        units("active", []).settle([Unit("x", ready="http://x/")], [], check_mode=False)


def test_who_ends_again_is_named() -> None:
    with pytest.raises(UnitError, match="x does not answer within 1 s: it ends again"):
        units("failed", []).settle([Unit("x")], [], check_mode=False)


def test_check_mode_takes_no_step() -> None:
    ran: list[str] = []
    (step,) = units("failed", ran).settle([Unit("x")], [], check_mode=True)
    assert step.verb == "start"
    assert all(line.startswith("systemctl show") for line in ran)
