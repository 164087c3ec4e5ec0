# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports of other hosts packets get to, held against the flows that say which should be.

A firewall that drops is silent. So any answer is proof that a packet got through: also the refusal of a port at which
nothing listens. An opening is found without a listener, and a flow that is wrongly closed without its service.

Silence is proof of nothing unless the path is known to work. So ports that have answered a moment ago are asked again
in between, in every batch, and a batch in which one of them is missed does not count. Runs on servers, so it uses the
standard library only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from ipaddress import ip_address
from itertools import count, islice, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypedDict, TypeVar

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT, Check
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import ScanInvalid, parse_ports

CHECK = "reachability"
#: Packets sent without looking for answers, and the seconds that are looked for then: 5000 a second.
BURST, BREATH = 50, 0.01
#: Attempts that share a set of controls, and the most controls in it.
BATCH, CONTROLS = 250, 8
#: Attempts before the table of tracked connections is looked at again. With the controls fewer than 2**16 in all.
WAVE = 10_000
#: Rounds in which a port must be silent to count as closed, and rounds made at most: one may be invalid.
SILENT_ROUNDS, ROUNDS = 2, 3
#: Port-unreachable answers that Linux sends one peer at once; then one a second (icmp_ratelimit in ip-sysctl).
ICMP_BURST = 5

TRACKED = Path("/proc/sys/net/netfilter/nf_conntrack_count")
TRACKED_LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")
#: Seconds that an unanswered connection is tracked (nf_conntrack_tcp_timeout_syn_sent), and some more.
TRACKED_SECONDS = 150

T = TypeVar("T")


class Outcome(Enum):
    """What became of a packet; the value is how people are told."""

    ANSWERED = "answers"
    REFUSED = "reachable, nothing listens"
    TURNED_AWAY = "turned away by a firewall or router that says so"
    NOT_SENT = "not sent: this host's own rules or routes forbid it"
    SILENT = "silent"


REACHED = frozenset({Outcome.ANSWERED, Outcome.REFUSED})


class Attempt(NamedTuple):
    """One packet to be sent; ``protocol`` is tcp, udp or icmp (an echo request, port 0)."""

    address: str
    protocol: str
    port: int

    def __str__(self) -> str:
        return f"{self.address} {self.protocol}" + (f"/{self.port}" if self.port else "")


class Wire(Protocol):
    """What sends packets and receives answers; ``wire.RawWire`` is the real one."""

    def send(self, number: int, attempt: Attempt, lane: int) -> None: ...

    def receive(self, seconds: float) -> Iterable[tuple[int, Outcome]]: ...


OpenWire = Callable[[], AbstractContextManager[Wire]]


@dataclass(frozen=True)
class Target:
    """Another host: its name, the address it is reached at, and the flows that are open to it from here."""

    name: str
    address: str
    flows: tuple[Mapping[str, Any], ...]

    def declared(self) -> list[Attempt]:
        """What must get through. Of a range the two ends stand for all."""
        found: list[Attempt] = []
        for flow in self.flows:
            if flow["protocol"] == "icmp":
                found.append(Attempt(self.address, "icmp", 0))
            for text in flow["ports"]:
                ends = parse_ports([str(text)])
                found += [Attempt(self.address, flow["protocol"], port) for port in sorted({ends[0], ends[-1]})]
        return found

    @cached_property
    def _allowed(self) -> frozenset[tuple[str, int]]:
        return frozenset(
            (flow["protocol"], port)
            for flow in self.flows
            for port in ([0] if flow["protocol"] == "icmp" else parse_ports(map(str, flow["ports"])))
        )

    def allows(self, attempt: Attempt) -> bool:
        everything = any(flow["protocol"] == "any" for flow in self.flows)
        return everything or (attempt.protocol, attempt.port) in self._allowed


class Finding(TypedDict):
    """Ports of one protocol, as text such as 22, 80-90 (empty for icmp), and what became of the packets."""

    protocol: str
    ports: str
    outcome: str


class Pair(TypedDict):
    """What was found on the way from this host to another.

    ``unexpected`` should be closed and is reachable, ``closed`` is a flow and is not, ``turned_away`` is closed but not
    silent, ``untold`` is a UDP flow whose service, if there is one, does not answer our message.
    """

    to: str
    address: str
    tried: int
    flows: list[Mapping[str, Any]]
    unexpected: list[Finding]
    closed: list[Finding]
    turned_away: list[Finding]
    untold: list[Finding]


def read_targets(entries: Iterable[Mapping[str, Any]]) -> list[Target]:
    """Targets from plain data. Raises ValueError when an address or a port is none."""
    targets = []
    for entry in entries:
        try:
            address = str(ip_address(entry["address"]))
        except ValueError as error:
            raise ValueError(
                f"{entry['address']!r} is no address of {entry['to']}: give an IPv4 or IPv6 one."
            ) from error
        target = Target(entry["to"], address, tuple(entry["flows"]))
        target.declared()
        targets.append(target)
    return targets


def examine(
    targets: Sequence[Target],
    ports: Sequence[int],
    udp_ports: Sequence[int],
    fallback: Callable[[], Attempt | None],
    open_wire: OpenWire,
    timeout: float,
) -> list[Pair]:
    """Try every flow, and beside them these ports of each target and an echo.

    ``fallback`` gives a port somewhere else that answers, for a host none of whose flows does. Raises ScanInvalid.
    """
    declared = list(dict.fromkeys(attempt for target in targets for attempt in target.declared()))
    found = scan(open_wire, declared, [], timeout, SILENT_ROUNDS + 1)
    controls = _controls([attempt for attempt in declared if attempt.protocol == "tcp" and found[attempt] in REACHED])
    if not controls and targets:
        controls = [_fallback(fallback(), open_wire, timeout)]
    few = [
        Attempt(target.address, protocol, port)
        for protocol, port in [("icmp", 0), *(("udp", port) for port in udp_ports)]
        for target in targets
    ]
    rest = [Attempt(target.address, "tcp", port) for port in ports for target in targets]
    found |= scan(open_wire, _without(few, found), [], timeout, SILENT_ROUNDS + max(0, len(udp_ports) - ICMP_BURST))
    found |= scan(open_wire, _without(rest, found), controls, timeout)
    return [
        judge(target, {a: outcome for a, outcome in found.items() if a.address == target.address}) for target in targets
    ]


def _without(attempts: Iterable[Attempt], known: Mapping[Attempt, Outcome]) -> list[Attempt]:
    return [attempt for attempt in dict.fromkeys(attempts) if attempt not in known]


def _controls(answering: Sequence[Attempt]) -> list[Attempt]:
    """Some of those that answer, from as many targets as there are."""
    by_address: dict[str, list[Attempt]] = {}
    for attempt in answering:
        by_address.setdefault(attempt.address, []).append(attempt)
    rows = zip_longest(*by_address.values())
    return list(islice((attempt for row in rows for attempt in row if attempt is not None), CONTROLS))


def _fallback(control: Attempt | None, open_wire: OpenWire, timeout: float) -> Attempt:
    if control is None:
        raise ScanInvalid(
            "no flow from here gets through, and no other port is known to answer: silence proves nothing"
        )
    if scan(open_wire, [control], [], timeout, SILENT_ROUNDS + 1)[control] not in REACHED:
        raise ScanInvalid(
            f"no flow from here gets through, and {control} does not answer either: silence proves nothing"
        )
    return control


def scan(
    open_wire: OpenWire,
    attempts: Sequence[Attempt],
    controls: Sequence[Attempt],
    timeout: float,
    silent_rounds: int = SILENT_ROUNDS,
) -> dict[Attempt, Outcome]:
    """What becomes of each attempt. Raises ScanInvalid when a control was missed in too many rounds."""
    found: dict[Attempt, Outcome] = {}
    for wave in _chunks(attempts, WAVE):
        wait_for_room(len(wave))
        with open_wire() as wire:
            found |= _Wave(wire, wave, controls, timeout).run(silent_rounds)
    return found


class _Wave:
    """Attempts that are made together, again and again until each has been answered or silent often enough."""

    def __init__(self, wire: Wire, attempts: Sequence[Attempt], controls: Sequence[Attempt], timeout: float) -> None:
        self._wire = wire
        self._controls = controls
        self._timeout = timeout
        self._numbers = count(1)
        #: An attempt keeps its number, so that it is one connection however often it is tried.
        self._attempts = {attempt: next(self._numbers) for attempt in attempts}
        self._answers: dict[int, Outcome] = {}
        self._sent = 0

    def run(self, silent_rounds: int) -> dict[Attempt, Outcome]:
        silent = dict.fromkeys(self._attempts, 0)
        missed: list[Attempt] = []
        for _ in range(silent_rounds + (ROUNDS - SILENT_ROUNDS if self._controls else 0)):
            left = [
                attempt
                for attempt, number in self._attempts.items()
                if number not in self._answers and silent[attempt] < silent_rounds
            ]
            for batch, controls in self._round(left):
                lost = [control for number, control in controls.items() if self._answers.get(number) not in REACHED]
                missed += lost
                for attempt in [] if lost else batch:
                    silent[attempt] += 1
        unproven = [
            a for a, number in self._attempts.items() if number not in self._answers and silent[a] < silent_rounds
        ]
        if unproven:
            raise ScanInvalid(
                f"{missed[-1]} is known to answer and did not while {len(unproven)} others were tried, "
                "so their silence proves nothing"
            )
        return {attempt: self._answers.get(number, Outcome.SILENT) for attempt, number in self._attempts.items()}

    def _round(self, attempts: Sequence[Attempt]) -> list[tuple[Sequence[Attempt], dict[int, Attempt]]]:
        """Send all once and wait; the batches, each with its controls by their number."""
        batches: list[tuple[Sequence[Attempt], dict[int, Attempt]]] = []
        wanted: set[int] = set()
        for batch in _chunks(attempts, BATCH):
            controls = {next(self._numbers): control for control in self._controls}
            batches.append((batch, controls))
            lane = next(iter(controls), 0)  # a source port of their own, or they would be the last batch's again
            own = [(self._attempts[attempt], attempt, 0) for attempt in batch]
            between = [(number, control, lane) for number, control in controls.items()]
            for number, attempt, chosen in _interleaved(own, between):
                wanted.add(number)
                self._send(number, attempt, chosen)
        waited = 0.0
        while waited < self._timeout and not wanted <= self._answers.keys():
            self._receive(0.1)
            waited += 0.1
        return batches

    def _send(self, number: int, attempt: Attempt, lane: int) -> None:
        self._wire.send(number, attempt, lane)
        self._sent += 1
        if self._sent % BURST == 0:
            self._receive(BREATH)

    def _receive(self, seconds: float) -> None:
        for number, outcome in self._wire.receive(seconds):
            if self._answers.get(number) not in REACHED:
                self._answers[number] = outcome


def _interleaved(items: Sequence[T], between: Sequence[T]) -> Iterator[T]:
    """``items``, with those ``between`` spread evenly over them."""
    step = len(items) // (len(between) or 1) + 1
    others = iter(between)
    for start in range(0, len(items), step):
        yield from islice(others, 1)
        yield from items[start : start + step]
    yield from others


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def wait_for_room(wanted: int, pause: Callable[[float], None] = time.sleep) -> None:
    """Wait until these many connections more leave the table of tracked ones half empty. Raises ScanInvalid.

    A packet that is not answered stays in this host's table for two minutes. When that is full, no new connection of
    anybody gets through.
    """
    for _ in range(TRACKED_SECONDS):
        try:
            tracked, limit = int(TRACKED.read_text()), int(TRACKED_LIMIT.read_text())
        except FileNotFoundError:
            return  # this kernel tracks nothing
        if limit == 0 or tracked + wanted <= limit // 2:  # 0: without a limit
            return
        pause(1)
    raise ScanInvalid(f"{tracked} of {limit} connections are tracked on this host already, so nothing more was tried")


def judge(target: Target, outcomes: Mapping[Attempt, Outcome]) -> Pair:
    """What was found, held against the flows."""
    reached = {attempt for attempt, outcome in outcomes.items() if outcome in REACHED}
    missing = {attempt for attempt in outcomes if attempt not in reached and target.allows(attempt)}
    untold = {attempt for attempt in missing if attempt.protocol == "udp" and outcomes[attempt] is Outcome.SILENT}
    away = {attempt for attempt, outcome in outcomes.items() if outcome is Outcome.TURNED_AWAY} - missing

    def findings(attempts: Iterable[Attempt]) -> list[Finding]:
        groups: dict[tuple[str, str], list[int]] = {}
        for attempt in attempts:
            groups.setdefault((attempt.protocol, outcomes[attempt].value), []).append(attempt.port)
        return [
            {"protocol": protocol, "ports": port_text(numbers), "outcome": outcome}
            for (protocol, outcome), numbers in sorted(groups.items())
        ]

    return {
        "to": target.name,
        "address": target.address,
        "tried": len(outcomes),
        "flows": list(target.flows),
        "unexpected": findings(attempt for attempt in reached if not target.allows(attempt)),
        "closed": findings(missing - untold),
        "turned_away": findings(away),
        "untold": findings(untold),
    }


def port_text(ports: Iterable[int]) -> str:
    """Ports as text with ranges, such as 22, 80-90; 0, which stands for none, is left out."""
    ranges: list[list[int]] = []
    for port in sorted(set(ports) - {0}):
        if ranges and ranges[-1][1] == port - 1:
            ranges[-1][1] = port
        else:
            ranges.append([port, port])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


def finding_text(finding: Finding) -> str:
    return f"{finding['protocol']} {finding['ports']}".strip() + f" ({finding['outcome']})"


def summarise(host: str, pairs: Sequence[Pair]) -> Check:
    """One check for all that this host tried."""
    wrong = [
        f"{what} to {pair['to']}: {finding_text(finding)}"
        for pair in pairs
        for what, found in (
            ("open and should be closed", pair["unexpected"]),
            ("closed and should be open", pair["closed"]),
        )
        for finding in found
    ]
    tried = sum(pair["tried"] for pair in pairs)
    detail = "; ".join([f"others: {len(pairs)}, ports tried: {tried}", *(wrong or ["as the flows say"])])
    return {"check": CHECK, "host": host, "ok": not wrong, "detail": detail[:REASON_LIMIT]}
