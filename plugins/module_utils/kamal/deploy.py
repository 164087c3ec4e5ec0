# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the topology, the inventory and what a person decides to Kamal's files. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import yaml

from ..ssh import SshRoute, checked_route
from ..topology.edge import HealthCheck
from ..topology.schema import Topology, parse
from .options import KamalError, Options, read
from .schema import mistakes
from .ways import Ways, known_hosts, ssh_config, ways

MARK = "# Written by bulwark.hetzner"
_HEAD = (
    f"{MARK} from the inventory and the variable kamal: changes made here are lost when it is written again.\n"
    "# What agrees with what, and why: docs/kamal.md of the collection.\n"
)
#: The roles of servers that the application runs on, as the topology and as Kamal call them.
ROLES = {"app": "web", "jobs": "jobs"}
#: As the API calls them, and as container images do.
ARCHITECTURES = {"arm": "arm64", "x86": "amd64"}
#: The first that takes a file for ssh.config (2.8.2), and for what it hands to OpenSSH's client as well, such as logs:
#: https://github.com/basecamp/kamal/pull/1688, https://github.com/basecamp/kamal/releases/tag/v2.11.0.
VERSION = "2.11.0"
#: Seconds between the proxy's questions to a new container.
INTERVAL = 1


#: The servers of each of Kamal's roles, in the order of their names, each with the way to it.
Placed = dict[str, list[tuple[Mapping[str, Any], SshRoute]]]


class Files(TypedDict):
    """The content of Kamal's files, none of it secret, and the addresses it reaches by role."""

    deploy: str
    ssh_config: str
    known_hosts: str
    servers: dict[str, list[str]]


def files(
    topology: object,
    kamal: object,
    servers: Sequence[Mapping[str, Any]],
    routes: Sequence[Mapping[str, Any]],
    secrets: Iterable[str],
    root_certificate: str,
    folder: str,
    host_keys: Mapping[str, str] | None,
) -> Files:
    """Everything for one application.

    ``servers`` and ``routes`` are the inventory's ``bulwark_server`` and ``bulwark_ssh``, which go together by name.
    ``secrets`` are the names of what the environment's facts give it, ``root_certificate`` is the path of the database
    authority's certificate on servers and in containers, ``folder`` is where the files of SSH lie on the controller,
    and ``host_keys`` are the servers' by alias (None: not known yet). Raises TopologyError and KamalError.
    """
    declared, options = parse(topology), read(kamal)
    placed = _placed(servers, routes)
    found = ways([route for entries in placed.values() for _, route in entries])
    document = _document(declared, options, placed, found, list(secrets), root_certificate, f"{folder}/ssh_config")
    wrong = mistakes(document)
    if wrong:
        raise KamalError(f"Kamal would refuse this: {' '.join(wrong)} Correct the variable kamal.")
    return {
        "deploy": _HEAD + _text(document),
        "ssh_config": f"{MARK}: Kamal's way to the servers.\n" + ssh_config(found, f"{folder}/known_hosts"),
        "known_hosts": "" if host_keys is None else f"{MARK}\n" + known_hosts(found, host_keys),
        "servers": _addresses(placed),
    }


def _placed(servers: Sequence[Mapping[str, Any]], routes: Sequence[Mapping[str, Any]]) -> Placed:
    ways_to = {route["name"]: checked_route(route) for route in routes}
    placed: Placed = {name: [] for name in ROLES.values()}
    for server in sorted(servers, key=lambda server: str(server["name"])):
        for role, name in ROLES.items():
            if role in server["roles"]:
                if server["name"] not in ways_to:
                    raise KamalError(f"{server['name']} has no address by which it could be reached.")
                placed[name].append((server, ways_to[server["name"]]))
    if not placed["web"]:
        raise KamalError("The inventory has no application server: run playbooks/provision.yml first.")
    return {name: found for name, found in placed.items() if found}


def _addresses(placed: Placed) -> dict[str, list[str]]:
    return {name: [route["address"] for _, route in found] for name, found in placed.items()}


def _document(
    topology: Topology,
    options: Options,
    placed: Placed,
    found: Ways,
    secrets: list[str],
    root_certificate: str,
    ssh_config_file: str,
) -> dict[str, Any]:
    addresses = _addresses(placed)
    roles: dict[str, Any] = {"web": {"hosts": addresses["web"]}}
    if "jobs" in addresses:
        roles["jobs"] = {"hosts": addresses["jobs"], "cmd": options.jobs_command}
    architectures = {str(server["architecture"]) for entries in placed.values() for server, _ in entries}
    unknown = sorted(architectures - ARCHITECTURES.keys())
    if unknown:
        raise KamalError(
            f"Servers have the architecture {unknown[0]!r}, which is neither of {', '.join(ARCHITECTURES)}."
        )
    certificate = f"{root_certificate}:{root_certificate}:ro"
    return {
        "service": options.service,
        "image": options.image,
        "servers": roles,
        "ssh": {
            "user": found.user,
            **({"proxy": f"{found.user}@{found.bastion}"} if found.bastion else {}),
            "config": ssh_config_file,
        },
        "proxy": _proxy(topology, options),
        "registry": dict(options.registry),
        "builder": {"arch": sorted(ARCHITECTURES[name] for name in architectures), **options.builder},
        "env": _env(options, secrets),
        "volumes": [certificate, *(volume for volume in options.volumes if volume != certificate)],
        "minimum_version": VERSION,
        **options.passed_on,
    }


def _env(options: Options, secrets: list[str]) -> dict[str, Any]:
    given = {entry.split(":", 1)[0] for entry in options.secrets}
    twice = [name for name in secrets if name in given or name in options.env]
    if twice:
        raise KamalError(f"{twice[0]} follows from the inventory: take it out of kamal.env and kamal.secrets.")
    return {
        **({"clear": dict(options.env)} if options.env else {}),
        "secret": [*secrets, *options.secrets],
    }


def _proxy(topology: Topology, options: Options) -> dict[str, Any]:
    """kamal-proxy, in agreement with the load balancer before it, which ends TLS and asks for the same path."""
    check = topology.load_balancer.health_check
    hosts = _hosts(topology, options, check)
    return {
        **({"hosts": hosts} if hosts else {}),
        # An only server meets users itself: kamal-proxy gets a certificate for its names and believes nobody's headers.
        "ssl": topology.one_server is not None and bool(hosts),
        "forward_headers": topology.one_server is None,
        "app_port": options.app_port,
        "healthcheck": {
            "path": check.path,
            "interval": _at_most("interval", options.interval, INTERVAL, check.interval),
            "timeout": _at_most("timeout", options.timeout, check.timeout, check.timeout),
        },
        **options.proxy,
    }


def _at_most(name: str, given: int | None, default: int, limit: int) -> int:
    """A container must not count as healthy by a patience that the load balancer does not have."""
    if given is not None and given > limit:
        raise KamalError(
            f"kamal.healthcheck.{name} is {given} s, the load balancer's {limit} s: a container could pass the proxy's "
            f"check and fail the load balancer's. Give at most {limit}, or raise "
            f"topology.load_balancer.health_check.{name}."
        )
    return default if given is None else given


def _hosts(topology: Topology, options: Options, check: HealthCheck) -> list[str]:
    """Names that kamal-proxy answers for; none: for all.

    With names it answers 404 to everything else, so to a check of the load balancer that carries no such name:
    https://github.com/basecamp/kamal/issues/1096, https://github.com/basecamp/kamal-proxy/issues/28.
    """
    if topology.edge is None:
        return list(options.hosts)  # no load balancer, and so no check
    if check.host is None:
        if options.hosts:
            raise KamalError(
                "kamal.hosts names hosts, but the load balancer's health check carries none, so kamal-proxy would "
                "answer it with 404 and every server would be taken out: set topology.load_balancer.health_check.host "
                "to one of them, or leave kamal.hosts out."
            )
        return []
    names = topology.edge.hostnames
    if not options.hosts:
        return [*names, *([] if _answers(check.host, names) else [check.host])]
    if not _answers(check.host, options.hosts):
        raise KamalError(
            f"topology.load_balancer.health_check.host is {check.host!r}, which kamal.hosts does not have, so "
            "kamal-proxy would answer the load balancer with 404: add it to kamal.hosts."
        )
    missing = [name for name in names if name not in options.hosts and not _answers(name, options.hosts)]
    if missing:
        raise KamalError(
            f"Users come by {missing[0]} (topology.edge.hostnames), which kamal.hosts does not have: add it."
        )
    return list(options.hosts)


def _answers(name: str, hosts: Iterable[str]) -> bool:
    """Whether kamal-proxy takes ``name`` for one of ``hosts``, of which *.NAME stands for one label before NAME."""
    return name in hosts or f"*.{name.partition('.')[2]}" in hosts


class _Dumper(yaml.SafeDumper):
    """Quotes every text that is not plainly one: Ruby's YAML has symbols and numbers that Python's has not."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", text) and text.lower() not in (
        *("y", "n", "yes", "no", "on", "off", "true", "false", "null"),
    )
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent_text)


def _text(document: Mapping[str, Any]) -> str:
    return str(yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True))
