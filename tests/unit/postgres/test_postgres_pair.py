"""Who takes over, who follows, and what is refused with which advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.pair import Decision, decide, lsn, members

from tests.unit.postgres.played_members import primary, state, stopped

MIB = 1024 * 1024
AWAY = {"unreachable": True, "msg": "timed out"}


def hanging(**more: Any) -> dict[str, Any]:
    """A former primary whose PostgreSQL does not answer."""
    return stopped("", container=True, system_identifier=None, timeline=None, position=None, **more)


def on(verb: str, a: Mapping[str, Any], b: Mapping[str, Any], wanted: str = "") -> Decision:
    return decide(verb, members({"a": a, "b": b}), wanted)


def test_the_primary_moves_to_the_replica_that_streams() -> None:
    decision = on("switchover", primary(), state())
    assert (decision.primary, decision.candidate, decision.member) == ("a", "b", "a")
    assert (decision.refusal, decision.stepped_down, decision.position) == ("", False, 0)
    decision = on("switchover", state(), primary({"a": 16 * MIB}))
    assert (decision.primary, decision.candidate) == ("b", "a")


def test_whoever_is_wanted_and_is_primary_stays_it() -> None:
    assert on("switchover", primary(), state(), wanted="b").candidate == "b"
    decision = on("switchover", primary(), state(), wanted="a")
    assert (decision.nothing, decision.candidate) == ("a is primary already.", "")


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (
            AWAY,
            state(),
            "a cannot be reached, and a switchover needs both members. If it is the primary and is gone, let b",
        ),
        ({"failed": True, "msg": "no volume."}, state(), r"a could not be asked \(no volume\), and"),
        (primary(), state(data="none"), "b holds no database of this version: run playbooks/site.yml"),
        (primary(), state(fenced=True), "b is fenced: bring it back with playbooks/rejoin.yml"),
        (primary(firewalled=True), state(), "a is fenced"),
        (primary(), state(system_identifier="7302"), r"different databases: a \(7301\) and b \(7302\)"),
        (
            primary(),
            primary(timeline=2),
            r"Two primaries run: a \(timeline 1\) and b \(timeline 2\)\. Decide whose data",
        ),
        (primary(), stopped("shut down in recovery", standby=True), "b does not run as a replica"),
        (primary({}), state(), "b does not stream from a: wait until it does"),
        (primary(), state(receiving=False), "b does not stream from a"),
        (primary({"b": 17 * MIB}), state(), "b lacks 17 MiB of what a has written"),
        (stopped("in production"), state(), r"a was not shut down, it has failed: start it .* or let b take over"),
        (hanging(), state(system_identifier=None), "PostgreSQL runs on a and does not answer: wait until it does, or"),
        (stopped(engine=False), state(), "Docker does not answer on a: mend that first"),
        (stopped(position=1001), state(), "a was shut down, and b has not received all of it: start a"),
        (stopped(), stopped(), "Neither member runs, and neither is a replica"),
    ],
)
def test_a_switchover_that_is_refused(a: dict[str, Any], b: dict[str, Any], says: str) -> None:
    decision = on("switchover", a, b)
    assert decision.candidate == ""
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(decision.refusal)


def test_a_switchover_that_was_killed_is_completed() -> None:
    # The primary was stopped, and nothing more.
    decision = on("switchover", stopped(position=999), state())
    assert (decision.primary, decision.candidate, decision.stepped_down) == ("a", "b", False)
    # It was marked as a replica, too; then it may also have been started, or the replica have been stopped.
    for a, b in [
        (stopped(position=999, standby=True), state()),
        (stopped(position=999, standby=True), stopped("shut down in recovery", standby=True)),
        (state(receiving=False), state(receiving=False, position=1001)),
    ]:
        decision = on("switchover", a, b)
        assert (decision.refusal, decision.candidate, decision.member) == ("", "b", "a")
        assert decision.stepped_down
        assert decision.position == a["state"]["position"]
    # Both have everything: the one that is wanted.
    for wanted in ("a", "b"):
        assert on("switchover", state(), state(), wanted).candidate == wanted
    # The replica has not received all, and the old primary can only be a replica: it becomes primary again.
    assert on("switchover", stopped(position=1001, standby=True), state()).candidate == "a"
    # It was promoted, and the old primary not started.
    decision = on("switchover", stopped(position=999, standby=True), primary({}, timeline=2))
    assert (decision.candidate, decision.member, decision.stepped_down) == ("b", "a", True)


def test_the_replica_takes_over_from_one_that_is_gone() -> None:
    for a in (AWAY, hanging(), stopped("in production"), stopped(), stopped(engine=False), stopped(fenced=True)):
        decision = on("failover", a, state())
        assert (decision.refusal, decision.primary, decision.candidate) == ("", "a", "b")
    # Its fence holds, and its PostgreSQL runs on behind it.
    assert on("failover", primary(firewalled=True), state()).candidate == "b"


def test_what_is_known_of_a_loss_is_told() -> None:
    told = on("failover", AWAY, state(position=0x3000060)).told
    assert told.startswith(
        "b has everything up to 0/3000060 on timeline 1; the newest transaction it has was committed 3 s ago."
    )
    assert "What a has committed after that is lost" in told
    assert "a was shut down at 0/3E8: nothing is lost." in on("failover", stopped(), state()).told
    assert "24 bytes of its WAL are lost" in on("failover", stopped(position=1024), state()).told


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (primary(), state(), "a is primary and answers, so there is nothing to take over: for a planned change use"),
        (AWAY, primary(timeline=2), "b is primary and answers, so .* to bring a back playbooks/rejoin.yml"),
        (primary(), primary(), "Two primaries run"),
        (state(), state(), "Both members are replicas, so a switchover was not completed"),
        (stopped(standby=True), state(), "a was stopped by a switchover that was not completed"),
        (
            AWAY,
            stopped("shut down in recovery", standby=True),
            "There is no replica .*: a cannot be reached; b does not run",
        ),
        (AWAY, AWAY, "a cannot be reached; b cannot be reached"),
        (AWAY, state(fenced=True), "b is fenced"),
        (AWAY, state(data="none", in_recovery=None), "b holds no database"),
        (AWAY, hanging(), "b does not answer"),
        (stopped(system_identifier="7302"), state(), "different databases"),
        (stopped(timeline=2), state(), "b is on timeline 1 and a on 2: b has not followed since an earlier promotion"),
    ],
)
def test_a_failover_that_is_refused(a: dict[str, Any], b: dict[str, Any], says: str) -> None:
    decision = on("failover", a, b)
    assert decision.candidate == ""
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(decision.refusal)
    assert "only b could take over" in on("failover", AWAY, state(), wanted="a").refusal


@pytest.mark.parametrize("verb", ["rejoin", "rebuild"])
def test_the_other_one_follows_the_primary(verb: str) -> None:
    for b in (AWAY, {"msg": "no Docker"}, stopped(fenced=True), state(receiving=False), state(data="none"), hanging()):
        decision = on(verb, primary(), b)
        assert (decision.refusal, decision.primary, decision.member) == ("", "a", "b")
    # One that is cut off still takes itself for the primary.
    assert on(verb, primary(timeline=2), primary(firewalled=True)).member == "b"
    for a, b, says in [
        (
            stopped(),
            state(),
            "No member runs as primary, so there is none to follow: a does not run; b runs as a replica",
        ),
        (AWAY, state(), "No member runs as primary"),
        (primary(), primary(), "Two primaries run"),
        (
            primary(),
            state(data="foreign", foreign="a database of PostgreSQL 16"),
            "b holds a database of PostgreSQL 16",
        ),
    ]:
        assert says in on(verb, a, b).refusal
    assert "a is the primary" in on(verb, primary(), state(), wanted="a").refusal


def test_another_database_is_only_deleted_by_a_rebuild() -> None:
    other = stopped(system_identifier="7302")
    assert "playbooks/replica_rebuild.yml" in on("rejoin", primary(), other).refusal
    assert on("rebuild", primary(), other).member == "b"


def test_only_pairs_and_only_their_members() -> None:
    for verb in ("switchover", "failover", "rejoin", "rebuild"):
        assert "a is the only member" in decide(verb, members({"a": primary()})).refusal
    assert "there are 0 members (none)" in decide("failover", []).refusal
    assert on("rejoin", primary(), state(), wanted="c").refusal == "There is no member c; there are a and b."


def test_a_position_reads_as_postgresql_writes_it() -> None:
    assert lsn((0x16 << 32) + 0xB374D848) == "16/B374D848"
