# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a topology says of the way users come in: the edge in front, the load balancer behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .reading import Section, TopologyError

#: Seconds; six months, the least that Cloudflare's dashboard recommends:
#: https://developers.cloudflare.com/ssl/edge-certificates/additional-options/http-strict-transport-security/
HSTS_MAX_AGE = 15_552_000
TLS_VERSIONS = ("1.0", "1.1", "1.2", "1.3")
ALGORITHMS = ("round_robin", "least_connections")

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})+")


@dataclass(frozen=True)
class HealthCheck:
    """How the load balancer asks an application server whether it can take traffic. Times are in seconds."""

    path: str
    host: str | None  # the Host header; None: no such header
    interval: int
    timeout: int
    retries: int


@dataclass(frozen=True)
class LoadBalancer:
    name: str
    type: str
    algorithm: str
    sticky_sessions: bool
    health_check: HealthCheck


@dataclass(frozen=True)
class Edge:
    """The zone at Cloudflare, and the names in it by which users reach the application."""

    zone: str
    hostnames: tuple[str, ...]
    zone_owned: bool  # whether settings that hold for the whole zone may be changed
    hsts_max_age: int  # seconds; 0: browsers are told nothing, or to forget
    min_tls_version: str


def load_balancer(top: Section) -> LoadBalancer:
    section = top.section("load_balancer", ("name", "type", "algorithm", "sticky_sessions", "health_check"))
    check = section.section("health_check", ("path", "host", "interval", "timeout", "retries"))
    path = check.text("path", "/up")
    if not path.startswith("/") or re.search(r"\s", path):
        raise TopologyError(f"{check.path}.path: {path!r} is no path such as /up.")
    host = check.text("host") if "host" in check else None
    if host is not None:
        _check_name(f"{check.path}.host", host)
    return LoadBalancer(
        name=section.text("name", "rails-lb"),
        type=section.text("type", "lb11"),
        algorithm=section.choice("algorithm", ALGORITHMS[0], ALGORITHMS),
        sticky_sessions=section.truth("sticky_sessions", False),
        # Limits: https://docs.hetzner.cloud/reference/cloud#tag/load-balancer-actions/add_load_balancer_service
        health_check=HealthCheck(
            path,
            host,
            check.whole("interval", 15, 3, 60),
            check.whole("timeout", 5, 1, 60),
            check.whole("retries", 3, 1, 5),
        ),
    )


def edge(top: Section) -> Edge:
    section = top.section("edge", ("zone", "hostnames", "zone_owned", "hsts", "hsts_max_age", "min_tls_version"))
    zone = section.text("zone")
    _check_name(f"{section.path}.zone", zone)
    hostnames = tuple(section.texts("hostnames")) or (zone,)
    for name in hostnames:
        _check_name(f"{section.path}.hostnames", name.removeprefix("*."))
        if name != zone and not name.endswith(f".{zone}"):
            raise TopologyError(f"{section.path}.hostnames: {name!r} is not in the zone {zone}.")
    if all(name.startswith("*.") for name in hostnames):
        raise TopologyError(f"{section.path}.hostnames: name at least one without a wildcard.")
    if len(set(hostnames)) != len(hostnames):
        raise TopologyError(f"{section.path}.hostnames names one twice.")
    max_age = section.whole("hsts_max_age", HSTS_MAX_AGE, 1, 10 * 365 * 86400)
    return Edge(
        zone=zone,
        hostnames=hostnames,
        zone_owned=section.truth("zone_owned", False),
        hsts_max_age=max_age if section.truth("hsts", True) else 0,
        min_tls_version=section.choice("min_tls_version", "1.2", TLS_VERSIONS),
    )


def _check_name(path: str, name: str) -> None:
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise TopologyError(f"{path}: {name!r} is no name such as www.example.com (lower case, without a scheme).")
