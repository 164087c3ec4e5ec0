# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which servers are upgraded, what is refused, and what a person is told of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

#: The order. Who has several roles takes the last of them; a primary comes after every replica.
RANKS = ("monitoring", "jobs", "app", "db", "primary", "bastion")


class PlanError(Exception):
    """It cannot be done; the message says why and what to do instead."""


@dataclass(frozen=True)
class Plan:
    """``first`` and ``last`` in their order; between them the primary moves to ``switchover``, if that is anybody."""

    refusal: str = ""
    first: tuple[str, ...] = ()
    switchover: str = ""
    last: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    def plain(self) -> dict[str, list[str] | str]:
        """As Ansible takes it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Host:
    """A server as it was asked: what it waits for, and of a database server what PostgreSQL is there."""

    name: str
    roles: Sequence[str]
    state: Mapping[str, Any]
    restart: Sequence[str]
    health: Mapping[str, Any]
    database: Mapping[str, Any]

    @property
    def waits(self) -> bool:
        return bool(self.state["pending"] or self.state["unfinished"] or self.restart)

    @property
    def member(self) -> bool:
        return "db" in self.roles

    @property
    def primary(self) -> bool:
        return self.member and self.database.get("in_recovery") is False

    @property
    def rank(self) -> int:
        kinds = [*self.roles, *(["primary"] if self.primary else [])]
        return max((RANKS.index(kind) for kind in kinds if kind in RANKS), default=0)


def plan(
    results: Mapping[str, Mapping[str, Any]],
    members: Sequence[str],
    apps: Sequence[str],
) -> Plan:
    """From what was learnt of each server, by name: ``roles``, ``system`` and ``database`` as Ansible registered them.

    ``members`` and ``apps`` are all database and application servers of the environment, asked or not.
    """
    try:
        return _plan([_host(name, result) for name, result in results.items()], members, apps)
    except PlanError as error:
        return Plan(refusal=str(error))


def _host(name: str, result: Mapping[str, Any]) -> Host:
    system, database = result["system"], result.get("database") or {}
    if system.get("unreachable") or database.get("unreachable"):
        raise PlanError(
            f"{name} cannot be reached, so nothing was begun: see to it that it runs, or leave it out with --limit."
        )
    if "state" not in system:
        said = str(system.get("msg", "no answer")).rstrip(".")
        raise PlanError(f"{name} could not be asked, so nothing was begun: {said}.")
    told = database.get("state", {})
    return Host(name, result["roles"], system["state"], system["restart"], system["health"], told)


def _plan(hosts: Sequence[Host], members: Sequence[str], apps: Sequence[str]) -> Plan:
    order = sorted((host for host in hosts if host.waits), key=lambda host: host.rank)
    switchover = _switchover(hosts, members)
    at = RANKS.index("primary")
    lines = [_line(host) for host in order]
    lines += [", ".join([f"{host.name}: nothing to do", *_failed(host)]) for host in hosts if not host.waits]
    for host in order:
        lines += _warnings(host, len(hosts), switchover, members, apps)
    return Plan(
        first=tuple(host.name for host in order if host.rank < at),
        switchover=switchover,
        last=tuple(host.name for host in order if host.rank >= at),
        lines=tuple(lines),
    )


def _switchover(hosts: Sequence[Host], members: Sequence[str]) -> str:
    """Who becomes primary before the primary's turn; empty where nobody has to."""
    asked = [host for host in hosts if host.member]
    if len(members) < 2 or not any(host.waits for host in asked):
        return ""
    primaries = [host for host in asked if host.primary]
    missing = sorted(set(members) - {host.name for host in asked})
    if not primaries:
        if missing and all(host.database.get("in_recovery") for host in asked):
            return ""  # a replica by itself
        raise PlanError(
            f"{' and '.join(host.name for host in asked)} should be the database and no primary runs there, so nothing "
            "was begun: bring the pair back with playbooks/switchover.yml, failover.yml or rejoin.yml first."
        )
    primary = primaries[0]
    if not primary.waits:
        return ""
    if missing:
        raise PlanError(
            f"{primary.name} is primary, and {missing[0]}, which would take over before its turn, is not among the "
            "servers of this run, so nothing was begun: take both into --limit, or move the primary with "
            "playbooks/switchover.yml first."
        )
    if len(members) > 2:
        raise PlanError(
            f"{primary.name} is primary of {len(members)} database servers, and it moves in a pair only, so nothing "
            f"was begun: leave it out, with --limit '!{primary.name}'."
        )
    lag = primary.database.get("lag", {})
    ready = [host.name for host in asked if host.database.get("in_recovery") and host.name in lag]
    if len(primaries) > 1 or not ready:
        raise PlanError(
            f"No replica streams from {primary.name} that could take over before its turn, so nothing was begun: bring "
            "it back with playbooks/rejoin.yml first."
        )
    return ready[0]


def _line(host: Host) -> str:
    count = len(host.state["pending"])
    told = [f"{count} package{'s' * (count != 1)}"] if count else []
    if host.state["unfinished"]:
        told.append("an upgrade that was cut off")
    told.append(f"restart ({'; '.join(host.restart)})" if host.restart else "restart if they require it")
    return f"{host.name}: {', '.join([*told, *_failed(host)])}"


def _failed(host: Host) -> list[str]:
    """What keeps nobody from an upgrade and somebody should look at."""
    failed = host.health["failed"]
    return [f"failed already: {', '.join(failed)}"] if failed else []


def _warnings(host: Host, count: int, switchover: str, members: Sequence[str], apps: Sequence[str]) -> list[str]:
    found = []
    if host.primary and switchover:
        found.append(
            f"Before {host.name} has its turn, {switchover} becomes primary, for good. Writes wait for some seconds."
        )
    elif host.primary:
        found.append(f"{host.name} has no replica: the database is away while it restarts.")
    if "app" in host.roles and len(apps) == 1:
        found.append(f"{host.name} is the only application server: users get errors while it restarts.")
    if "bastion" in host.roles and count > 1:
        found.append(f"While {host.name} restarts, nobody gets in and no private server gets out, for some seconds.")
    return found
