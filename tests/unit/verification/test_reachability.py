"""What is concluded from answers and from silence, on a wire that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import reachability
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.reachability import (
    BATCH,
    Attempt,
    Outcome,
    Pair,
    Target,
    examine,
    finding_text,
    port_text,
    read_targets,
    scan,
    summarise,
    wait_for_room,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import ScanInvalid

DB, APP, ELSEWHERE = "10.0.0.6", "10.0.0.3", Attempt("198.51.100.80", "tcp", 80)
DATABASE = {"name": "database", "protocol": "tcp", "ports": ["5432"]}
ANSWERED, REFUSED, SILENT = Outcome.ANSWERED, Outcome.REFUSED, Outcome.SILENT


class FakeWire:
    """Answers as ``world`` says, at once. ``loses(attempt, nth)`` takes the nth packet of an attempt away."""

    def __init__(self, world: dict[Attempt, Outcome], loses: Callable[[Attempt, int], bool] = lambda *_: False) -> None:
        self.world = world
        self.loses = loses
        self.sent: list[tuple[int, Attempt, int]] = []
        self._answers: list[tuple[int, Outcome]] = []

    def send(self, number: int, attempt: Attempt, lane: int) -> None:
        self.sent.append((number, attempt, lane))
        nth = sum(other == attempt for _, other, _ in self.sent)
        if attempt in self.world and not self.loses(attempt, nth):
            self._answers.append((number, self.world[attempt]))

    def receive(self, seconds: float) -> Iterable[tuple[int, Outcome]]:
        answers, self._answers = self._answers, []
        return answers

    @contextmanager
    def opened(self) -> Iterator[FakeWire]:
        yield self

    def times(self, attempt: Attempt) -> int:
        return sum(other == attempt for _, other, _ in self.sent)


def tcp(port: int, address: str = DB) -> Attempt:
    return Attempt(address, "tcp", port)


def look(
    wire: FakeWire, *targets: Target, ports: tuple[int, ...] = (22, 7777), fallback: Attempt | None = None
) -> dict[str, Pair]:
    pairs = examine(targets, ports, [53], lambda: fallback, wire.opened, 0.1)
    return {pair["to"]: pair for pair in pairs}


def db(*flows: dict[str, Any]) -> Target:
    return Target("db-primary", DB, flows)


def test_a_flow_without_a_listener_is_open_and_silence_is_closed() -> None:
    found = look(FakeWire({tcp(5432): REFUSED}), db(DATABASE))["db-primary"]
    assert found["unexpected"] == found["closed"] == found["turned_away"] == []
    assert found["tried"] == 5  # the flow, two ports, an echo, UDP
    assert summarise("app-01", [found]) == {
        "check": "reachability",
        "host": "app-01",
        "ok": True,
        "detail": "others: 1, ports tried: 5; as the flows say",
    }


@pytest.mark.parametrize("outcome", [ANSWERED, REFUSED])
@pytest.mark.parametrize("attempt", [tcp(7777), Attempt(DB, "udp", 53), Attempt(DB, "icmp", 0)])
def test_an_opening_is_found_with_and_without_a_listener(attempt: Attempt, outcome: Outcome) -> None:
    found = look(FakeWire({tcp(5432): ANSWERED, attempt: outcome}), db(DATABASE))["db-primary"]
    ports = str(attempt.port or "")
    assert found["unexpected"] == [{"protocol": attempt.protocol, "ports": ports, "outcome": outcome.value}]
    check = summarise("app-01", [found])
    assert not check["ok"]
    assert "open and should be closed to db-primary" in check["detail"]


@pytest.mark.parametrize("outcome", [None, Outcome.TURNED_AWAY, Outcome.NOT_SENT])
def test_a_flow_that_gets_no_answer_is_wrongly_closed(outcome: Outcome | None) -> None:
    ping = {"name": "ping", "protocol": "icmp", "ports": []}
    world = {Attempt(DB, "icmp", 0): ANSWERED} | ({tcp(5432): outcome} if outcome else {})
    found = look(FakeWire(world | {ELSEWHERE: ANSWERED}), db(DATABASE, ping), fallback=ELSEWHERE)["db-primary"]
    assert found["closed"] == [{"protocol": "tcp", "ports": "5432", "outcome": (outcome or SILENT).value}]
    assert found["unexpected"] == found["turned_away"] == []
    assert "closed and should be open to db-primary: tcp 5432" in summarise("app-01", [found])["detail"]


def test_closed_but_not_silent_is_shown() -> None:
    found = look(FakeWire({tcp(5432): ANSWERED, tcp(22): Outcome.TURNED_AWAY}), db(DATABASE))["db-primary"]
    assert found["unexpected"] == found["closed"] == []
    assert [finding_text(finding) for finding in found["turned_away"]] == [
        "tcp 22 (turned away by a firewall or router that says so)"
    ]


def test_a_silent_udp_flow_cannot_be_told() -> None:
    syslog = {"name": "syslog", "protocol": "udp", "ports": ["514"]}
    found = look(FakeWire({tcp(5432): ANSWERED}), db(DATABASE, syslog))["db-primary"]
    assert found["closed"] == []
    assert [finding["ports"] for finding in found["untold"]] == ["514"]
    assert summarise("app-01", [found])["ok"]


def test_a_lost_packet_is_sent_again() -> None:
    wire = FakeWire({tcp(5432): ANSWERED, tcp(7777): REFUSED}, lambda attempt, nth: attempt == tcp(7777) and nth == 1)
    assert look(wire, db(DATABASE))["db-primary"]["unexpected"][0]["ports"] == "7777"


def test_controls_stand_in_every_batch_and_are_connections_of_their_own() -> None:
    wire = FakeWire({tcp(5432): ANSWERED})
    attempts = [tcp(port) for port in range(1, 3 * BATCH)]
    assert set(scan(wire.opened, attempts, [tcp(5432)], 0.1).values()) == {SILENT}
    sent = wire.sent[: len(wire.sent) // 2]  # the first of two rounds
    assert [index for index, (_, attempt, _) in enumerate(sent) if attempt == tcp(5432)] == [0, 251, 502]
    assert len({lane for _, attempt, lane in wire.sent if attempt == tcp(5432)}) == 6
    assert len({number for number, attempt, _ in wire.sent if attempt == tcp(1)}) == 1


def test_one_missed_control_costs_a_round() -> None:
    wire = FakeWire({tcp(5432): ANSWERED}, lambda attempt, nth: attempt == tcp(5432) and nth == 1)
    assert scan(wire.opened, [tcp(7777)], [tcp(5432)], 0.1) == {tcp(7777): SILENT}
    assert wire.times(tcp(7777)) == 3


@pytest.mark.parametrize("lost", [(1, 2), (1, 3), (2, 3)])
def test_a_control_missed_again_makes_the_scan_invalid(lost: tuple[int, int]) -> None:
    wire = FakeWire({tcp(5432): ANSWERED}, lambda attempt, nth: attempt == tcp(5432) and nth in lost)
    with pytest.raises(ScanInvalid, match=r"10\.0\.0\.6 tcp/5432 is known to answer and did not while 1 others"):
        scan(wire.opened, [tcp(7777)], [tcp(5432)], 0.1)


def test_what_answered_in_a_bad_round_has_answered() -> None:
    wire = FakeWire({tcp(7777): ANSWERED})
    assert scan(wire.opened, [tcp(7777)], [tcp(5432)], 0.1) == {tcp(7777): ANSWERED}


def test_a_host_without_flows_asks_somebody_else() -> None:
    found = look(FakeWire({ELSEWHERE: ANSWERED, tcp(22): REFUSED}), db(), fallback=ELSEWHERE)
    assert [finding["ports"] for finding in found["db-primary"]["unexpected"]] == ["22"]


@pytest.mark.parametrize(
    ("fallback", "reason"), [(None, "no other port is known"), (ELSEWHERE, "does not answer either")]
)
def test_without_anything_that_answers_nothing_is_proven(fallback: Attempt | None, reason: str) -> None:
    with pytest.raises(ScanInvalid, match=reason):
        look(FakeWire({}), db(DATABASE), fallback=fallback)


def test_a_host_alone_has_nothing_to_look_at() -> None:
    assert look(FakeWire({})) == {}


def test_only_the_ends_of_a_wide_flow_must_answer_and_all_of_it_may() -> None:
    wide = {"name": "wide", "protocol": "tcp", "ports": ["1000-60000"]}
    world = {tcp(port): REFUSED for port in (1000, 7777, 60000)}
    wire = FakeWire(world)
    found = look(wire, db(wide))["db-primary"]
    assert found["unexpected"] == found["closed"] == []
    assert wire.times(tcp(1001)) == 0


def test_everything_may_be_open() -> None:
    anything = {"name": "all", "protocol": "any", "ports": []}
    world = {tcp(22): REFUSED, ELSEWHERE: ANSWERED, tcp(7777): REFUSED, Attempt(DB, "icmp", 0): ANSWERED}
    assert look(FakeWire(world), db(anything), fallback=ELSEWHERE)["db-primary"]["unexpected"] == []


def test_controls_come_from_many_targets() -> None:
    ports = [str(port) for port in range(1, 20)]
    targets = [Target(name, name, ({"name": "many", "protocol": "tcp", "ports": ports},)) for name in (DB, APP)]
    wire = FakeWire({tcp(port, address): REFUSED for port in range(1, 20) for address in (DB, APP)})
    look(wire, *targets)
    again = {attempt for _, attempt, _ in wire.sent if wire.times(attempt) > 1 and wire.world.get(attempt)}
    assert again == {tcp(port, address) for port in range(1, 5) for address in (DB, APP)}


@pytest.mark.parametrize(("ports", "text"), [([0], ""), ([22], "22"), ([3, 1, 2, 9], "1-3, 9"), ([], "")])
def test_ports_as_text(ports: list[int], text: str) -> None:
    assert port_text(ports) == text


def test_addresses_are_normalised_and_what_is_none_is_refused() -> None:
    entry = {"to": "db-primary", "address": "2001:DB8:0::6", "flows": []}
    assert read_targets([entry])[0].address == "2001:db8::6"
    with pytest.raises(ValueError, match="'db' is no address of db-primary"):
        read_targets([{**entry, "address": "db"}])
    with pytest.raises(ValueError, match="'http' is no port"):
        read_targets([{**entry, "flows": [{**DATABASE, "ports": ["http"]}]}])


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("TRACKED", "100"), ("TRACKED_LIMIT", "1000")):
        (tmp_path / name).write_text(value)
        monkeypatch.setattr(reachability, name, tmp_path / name)
    return tmp_path


def test_connections_that_are_tracked_are_waited_for(tracking: Path) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        (tracking / "TRACKED").write_text(str(100 - len(pauses)))

    wait_for_room(403, pause)
    assert len(pauses) == 3


def test_a_full_table_is_not_made_fuller(tracking: Path) -> None:
    with pytest.raises(ScanInvalid, match="100 of 1000 connections are tracked"):
        wait_for_room(401, lambda _: None)


def test_a_kernel_that_tracks_nothing_has_room(tracking: Path) -> None:
    (tracking / "TRACKED").unlink()
    wait_for_room(10**6, lambda _: pytest.fail("nothing to wait for"))
