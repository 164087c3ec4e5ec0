# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading ``topology.flows``: the default table with what a person adds, replaces and closes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NoReturn, TypeVar

from ..topology.reading import Section, TopologyError, nearest
from .table import (
    ADMIN,
    INTERNET,
    LOAD_BALANCER,
    POSTGRES_PORT,
    PRIVATE_SERVERS,
    PROTOCOLS,
    SERVERS,
    SSH_PORT,
    WITH_PORTS,
    Flow,
    Ports,
    defaults,
)

PATH = "topology.flows"
KEYS = ("from", "to", "protocol", "ports", "users", "databases", "why")
LAST_PORT = 65535
#: Ends outside of the private network.
OUTSIDE = (ADMIN, INTERNET)

#: It becomes the comment of firewall rules and part of their names.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
#: What PostgreSQL takes without quotation marks, and a hyphen.
_DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")

_T = TypeVar("_T")


def parse_flows(data: object, roles: Mapping[str, bool]) -> tuple[Flow, ...]:
    """The flows that are open, those of the table first; raises :class:`TopologyError`.

    ``roles`` are the topology's, each with whether its servers have a public address. Where all of them have, they are
    one server.
    """
    if not isinstance(data, Mapping):
        raise TopologyError(f"{PATH} must be a mapping of names to flows.")
    table = defaults(one_server=all(roles.values()))
    flows = dict(table)
    for name, entry in data.items():
        if entry is False:
            if name not in table:
                raise TopologyError(f"{PATH}.{name} closes a flow that is not there: {nearest(str(name), table)}")
            del flows[name]
        else:
            flows[name] = _Entry(name, entry, roles, table).flow()
    enabled = tuple(flow for flow in flows.values() if flow.enabled)
    _check_ssh(enabled, roles)
    return enabled


def _check_ssh(flows: Iterable[Flow], roles: Mapping[str, bool]) -> None:
    """Whoever shuts SSH could never log in again to open it."""
    ways = [flow for flow in flows if flow.opens(SSH_PORT)]
    if not any({*OUTSIDE} & {*way.from_} and {"bastion", SERVERS} & {*way.to} for way in ways):
        raise TopologyError(
            f"{PATH}: no flow leads from admin to the bastion on port {SSH_PORT} any more, so nobody could log in: "
            "keep admin-ssh."
        )
    inside = {end for way in ways if {"bastion", SERVERS} & {*way.from_} for end in way.to}
    for role, public in roles.items():
        if not public and not inside & {role, PRIVATE_SERVERS, SERVERS}:
            raise TopologyError(
                f"{PATH}: no flow leads from the bastion to {role} on port {SSH_PORT} any more, so nobody could log in "
                "there: keep jump-host."
            )


class _Entry:
    """One entry of ``topology.flows``. What it leaves out stays as in the default flow of its name."""

    def __init__(self, name: object, data: object, roles: Mapping[str, bool], table: Mapping[str, Flow]) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise TopologyError(
                f"{PATH}: {name!r} cannot be the name of a flow: use at most 40 small letters, digits and '-', "
                "with a letter or digit at both ends."
            )
        self.name = name
        self.path = f"{PATH}.{name}"
        self.roles = roles
        self.table = table
        if not isinstance(data, Mapping):
            raise TopologyError(f"{self.path} must be a mapping with {', '.join(KEYS)}, or false to close it.")
        self.section = Section(data, self.path, KEYS)

    def flow(self) -> Flow:
        base = self.table.get(self.name)
        if base is None:
            self._check_new()
            base = Flow(self.name, (), ())
        protocol = self._protocol(base.protocol)
        flow = replace(
            base,
            protocol=protocol,
            from_=self._list("from", self._end, base.from_),
            to=self._list("to", self._end, base.to),
            # Ports of another protocol are other ports.
            ports=self._list("ports", self._ports, base.ports if protocol == base.protocol else ()),
            users=self._list("users", self._user, base.users),
            databases=self._list("databases", self._database, base.databases),
            why=self.section.text("why") if "why" in self.section else base.why,
        )
        self._check_ports(flow)
        self._check_ends(flow)
        self._check_users(flow)
        return flow

    def _refuse(self, sentence: str) -> NoReturn:
        raise TopologyError(f"{self.path}{sentence}")

    def _check_new(self) -> None:
        for key in ("from", "to"):
            if key not in self.section:
                self._refuse(f".{key} is missing; if it is not to be a new flow: {nearest(self.name, self.table)}")

    def _list(self, key: str, read: Callable[[str, object], _T], default: tuple[_T, ...]) -> tuple[_T, ...]:
        """The values under ``key``, which may be one or a list of them."""
        if key not in self.section:
            return default
        written = self.section.get(key, None)
        values = tuple(read(key, value) for value in (written if isinstance(written, list) else [written]))
        if not values and key in ("from", "to", "ports"):
            self._refuse(f".{key} is empty: name at least one, or leave it out.")
        for number, value in enumerate(values):
            if value in values[:number]:
                self._refuse(f".{key} names {value} twice.")
        return values

    def _end(self, key: str, value: object) -> str:
        beside = () if all(self.roles.values()) else (PRIVATE_SERVERS, LOAD_BALANCER)
        known = (*self.roles, SERVERS, ADMIN, INTERNET, *beside)
        if not isinstance(value, str) or value not in known:
            self._refuse(f".{key}: there is no {value!r}: {nearest(str(value), known)}")
        return value

    def _protocol(self, default: str) -> str:
        protocol = self.section.text("protocol", default)
        if protocol not in PROTOCOLS:
            self._refuse(f".protocol: there is no {protocol!r}: {nearest(protocol, PROTOCOLS)}")
        return protocol

    def _ports(self, key: str, value: object) -> Ports:
        match = _PORTS.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
        if not match:
            self._refuse(f".{key}: {value!r} is no port such as 22 and no range such as 3000-3010.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= LAST_PORT or not 1 <= last <= LAST_PORT:
            self._refuse(f".{key}: {value} is out of range: ports go from 1 to {LAST_PORT}.")
        if first > last:
            self._refuse(f".{key}: {value} is the wrong way round: write {last}-{first}.")
        return Ports(first, last)

    def _user(self, key: str, value: object) -> str:
        if value in ("all", "postgres"):
            self._refuse(
                f".{key}: {value} cannot come over the network: name the users; the superuser has the local socket."
            )
        return self._database(key, value)

    def _database(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not _DATABASE_NAME.fullmatch(value):
            self._refuse(f".{key}: {value!r} is no name of PostgreSQL's: use letters, digits, '_' and '-'.")
        return value

    def _check_ports(self, flow: Flow) -> None:
        if flow.protocol not in WITH_PORTS:
            if flow.ports:
                self._refuse(f".ports: {flow.protocol} has no ports: leave them out, or set protocol to tcp or udp.")
            if flow.protocol == "any" and flow.to != (INTERNET,):
                self._refuse(".protocol: any is for flows to the internet only: use tcp, udp or icmp.")
            return
        if not flow.ports:
            self._refuse(".ports is missing: name the ports that are opened.")
        ordered = sorted(flow.ports)
        for lower, upper in pairwise(ordered):
            if upper.first in lower:
                self._refuse(f".ports: {lower} and {upper} overlap: name each port once.")

    def _check_ends(self, flow: Flow) -> None:
        """Refuse ways that do not exist, and those where no firewall of ours stands."""
        if ADMIN in flow.to:
            self._refuse(".to: nobody opens connections to admin: swap from and to.")
        for end in (INTERNET, LOAD_BALANCER):
            if end in flow.to and flow.to != (end,):
                self._refuse(f".to: {end} needs a flow of its own: leave out the others.")
        if flow.to == (INTERNET,):
            self._check_origins(
                flow,
                [PRIVATE_SERVERS, *(role for role, public in self.roles.items() if not public)],
                "does not go to the internet through the bastion, which forwards for servers without public address: "
                "name {known}.",
            )
        elif flow.to == (LOAD_BALANCER,):
            self._check_origins(
                flow, [INTERNET], "is no origin for the load balancer, which no firewall can guard: name {known}."
            )
        elif not set(OUTSIDE).isdisjoint(flow.from_):
            origin = next(end for end in OUTSIDE if end in flow.from_)
            private = {role for role, public in self.roles.items() if not public}
            hidden = {PRIVATE_SERVERS} | private | ({SERVERS} if private else set())
            for end in flow.to:
                if end in hidden:
                    self._refuse(
                        f": there is no way from {origin} to {end}, where servers have no public address: open it "
                        "from the bastion, which people tunnel through."
                    )

    def _check_origins(self, flow: Flow, known: list[str], sentence: str) -> None:
        for end in flow.from_:
            if end not in known:
                self._refuse(f".from: {end} {sentence.format(known=', '.join(known))}")

    def _check_users(self, flow: Flow) -> None:
        database = flow.to == ("db",) and flow.opens(POSTGRES_PORT)
        if flow.users and not database:
            self._refuse(f".users: users log in to the database: they need to: db, tcp and port {POSTGRES_PORT}.")
        if flow.databases and not flow.users:
            self._refuse(".databases: name the users who may open them.")
        if database and not flow.users:
            self._refuse(f".users is missing: without users PostgreSQL refuses whoever comes to port {POSTGRES_PORT}.")
