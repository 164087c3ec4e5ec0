# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a flow is, and the table of those that there are by default. This is the only place that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

#: Ends of a flow that are no role. ``internet`` as an origin is everybody, servers included.
SERVERS = "servers"
PRIVATE_SERVERS = "private_servers"
ADMIN = "admin"
INTERNET = "internet"
LOAD_BALANCER = "load_balancer"
#: The networks of ``internet``.
EVERYBODY = ("0.0.0.0/0", "::/0")

PROTOCOLS = ("tcp", "udp", "icmp", "any")
#: Those that know ports. Of ICMP a flow means the echo; errors always pass.
WITH_PORTS = ("tcp", "udp")

SSH_PORT = 22
POSTGRES_PORT = 5432
#: The user of physical replication: PostgreSQL keeps that apart from every database, under this name in pg_hba.conf.
REPLICATION_USER = "replicator"
REPLICATION = "replication"


class Ports(NamedTuple):
    """A port, or a range of them with both ends in it."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last


@dataclass(frozen=True)
class Flow:
    """Hosts in ``from_`` may open connections to hosts in ``to``; both hold roles and the other ends named above.

    ``users`` and ``databases`` are PostgreSQL's; no databases with users means all of them.
    """

    name: str
    from_: tuple[str, ...]
    to: tuple[str, ...]
    ports: tuple[Ports, ...] = ()
    why: str = ""
    protocol: str = "tcp"
    users: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()

    @property
    def enabled(self) -> bool:
        """A flow of the table without the ports that it needs waits for somebody to name them."""
        return bool(self.ports) or self.protocol not in WITH_PORTS

    def opens(self, port: int) -> bool:
        """Whether TCP connections to ``port`` are allowed."""
        return self.protocol == "tcp" and any(port in ports for ports in self.ports)


def _ports(*numbers: int) -> tuple[Ports, ...]:
    return tuple(Ports(number, number) for number in numbers)


#: The application's own database and those that Rails 8 keeps beside it.
_RAILS = tuple(f"rails_production{suffix}" for suffix in ("", "_cache", "_queue", "_cable"))

DEFAULTS = {
    flow.name: flow
    for flow in (
        Flow("admin-ssh", (ADMIN,), ("bastion",), _ports(SSH_PORT), "the only way in"),
        Flow("admin-ping", (ADMIN,), ("bastion",), protocol="icmp", why="see whether the bastion is there"),
        Flow("web", (INTERNET,), (LOAD_BALANCER,), _ports(443, 80), "users, by way of the edge"),
        Flow("jump-host", ("bastion",), (PRIVATE_SERVERS,), _ports(SSH_PORT), "SSH to servers without public address"),
        Flow("internet", (PRIVATE_SERVERS,), (INTERNET,), protocol="any", why="NAT by the bastion"),
        Flow("app-http", (LOAD_BALANCER,), ("app",), _ports(80), "traffic and health checks"),
        Flow("jobs-http", ("app",), ("jobs",), _ports(80), "internal calls"),
        Flow(
            "postgres",
            ("app", "jobs", "bastion"),
            ("db",),
            _ports(POSTGRES_PORT),
            "queries, administration",
            users=("rails_app",),
            databases=_RAILS,
        ),
        Flow(
            "replication",
            ("db",),
            ("db",),
            _ports(POSTGRES_PORT),
            "streaming and rewinding, in both directions so that roles can swap",
            users=(REPLICATION_USER, "rewind"),
            databases=("postgres",),
        ),
        Flow(
            "postgres-metrics",
            ("monitoring",),
            ("db",),
            _ports(POSTGRES_PORT),
            "postgres_exporter",
            users=("metrics",),
            databases=("postgres", *_RAILS),
        ),
        Flow("node-metrics", ("monitoring",), (SERVERS,), _ports(9100), "node_exporter"),
        Flow("app-probe", ("monitoring",), ("app",), _ports(80), "probe of each server's /up"),
        Flow("app-metrics", ("monitoring",), ("app", "jobs"), why="metrics of the application"),
        Flow("logs", (SERVERS,), ("monitoring",), _ports(3100), "logs"),
        Flow(
            "tunnels",
            ("bastion",),
            ("monitoring",),
            _ports(9090, 3001, 9093),
            "Prometheus, Grafana and Alertmanager through SSH",
        ),
    )
}

#: Flows that need a second server, or the load balancer.
_OTHERS = ("jump-host", "internet", "app-http", "replication")


def defaults(one_server: bool) -> Mapping[str, Flow]:
    """The table. For an environment that is one public server: without what it has not, and users come to it."""
    if not one_server:
        return DEFAULTS
    own = {name: flow for name, flow in DEFAULTS.items() if name not in _OTHERS}
    return own | {"web": replace(own["web"], to=("app",), why="users")}
