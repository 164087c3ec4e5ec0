"""A declared infrastructure, and a project in which exactly that is there."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure import actual
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.catalogue import (
    Catalogue,
    Image,
    ServerType,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.declared import Infrastructure, parse
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.plan import Plan, Ref, ownership
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.planner import plan_present
from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_infrastructure import SPEC

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOuOdRbYVVj9FbbYFR3rIIVXcHW3a7Jm7xIWzUf3ZnXh"

CATALOGUE = Catalogue(
    zones={"fsn1": "eu-central", "hel1": "eu-central", "ash": "us-east"},
    server_types={
        "cax11": ServerType("cax11", "arm", 40, frozenset({"fsn1", "hel1"})),
        "cax21": ServerType("cax21", "arm", 80, frozenset({"fsn1", "hel1"})),
        "cax31": ServerType("cax31", "arm", 160, frozenset({"fsn1"})),
        "cx23": ServerType("cx23", "x86", 40, frozenset({"fsn1"})),
        "cx53": ServerType("cx53", "x86", 320, frozenset({"fsn1"})),
        "cpx11": ServerType("cpx11", "x86", 40, frozenset({"ash"})),
    },
    images={
        "ubuntu-24.04": Image("ubuntu-24.04", "ubuntu", {"arm": 1, "x86": 2}),
        "ubuntu-22.04": Image("ubuntu-22.04", "ubuntu", {"arm": 3, "x86": 4}),
        "debian-13": Image("debian-13", "debian", {"arm": 5, "x86": 6}),
        "rocky-10": Image("rocky-10", "rocky", {"x86": 7}),
    },
    server_prices={
        ("cax11", "fsn1"): Decimal("3.29"),
        ("cax21", "fsn1"): Decimal("5.99"),
        ("cax31", "fsn1"): Decimal("11.99"),
    },
    primary_ip_prices={("ipv4", "fsn1"): Decimal("0.50")},
    volume_price=Decimal("0.044"),
)


def options() -> dict[str, Any]:
    """A bastion, an application server and a database with a volume, as the module's options."""
    common = {"image": "ubuntu-24.04", "location": "fsn1", "ssh_keys": ["alice"], "user_data": "#cloud-config\n"}
    return {
        "environment_name": "production",
        "ssh_keys": [{"name": "alice", "public_key": f"{KEY} alice"}],
        "networks": [
            {
                "name": "net",
                "ip_range": "10.0.0.0/16",
                "location": "fsn1",
                "subnets": ["10.0.0.0/24"],
                "routes": [{"destination": "0.0.0.0/0", "gateway": "10.0.0.2"}],
            }
        ],
        "firewalls": [
            {
                "name": "outer",
                "rules": [{"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["198.51.100.7/32"]}],
            }
        ],
        "placement_groups": [{"name": "app"}],
        "primary_ips": [{"name": "bastion-ip", "location": "fsn1"}],
        "servers": [
            {
                "name": "bastion",
                "type": "cax11",
                "public_ipv4": "bastion-ip",
                "firewalls": ["outer"],
                "networks": [{"name": "net", "address": "10.0.0.2"}],
                "labels": {"role": "bastion"},
                **common,
            },
            {
                "name": "app-01",
                "type": "cax21",
                "placement_group": "app",
                "networks": [{"name": "net", "address": "10.0.0.3"}],
                "labels": {"role": "app"},
                **common,
            },
            {
                "name": "db",
                "type": "cax31",
                "networks": [{"name": "net", "address": "10.0.0.6"}],
                "labels": {"role": "db"},
                **common,
            },
        ],
        "volumes": [{"name": "db-data", "size": 100, "format": "xfs", "location": "fsn1", "server": "db"}],
    }


def params(given: dict[str, Any]) -> dict[str, Any]:
    """Options as the module receives them: checked against its specification, with all defaults."""
    result = ArgumentSpecValidator(SPEC).validate(given)
    assert not result.error_messages, result.error_messages
    validated: dict[str, Any] = result.validated_parameters
    return validated


def declare(**changes: Any) -> Infrastructure:
    """The infrastructure of :func:`options` with whole options replaced."""
    return parse(params(options() | changes))


def declare_with(option: str, name: str, **changes: Any) -> Infrastructure:
    """The infrastructure of :func:`options` with one resource changed."""
    given = options()
    for resource in given[option]:
        if resource["name"] == name:
            resource.update(changes)
    return parse(params(given))


EMPTY = actual.Actual(CATALOGUE)


def built(infrastructure: Infrastructure | None = None) -> actual.Actual:
    """The project once everything declared is there and running."""
    declared = infrastructure or declare()
    ids = count(100)
    labels = ownership(declared.environment)
    networks = {
        n.name: actual.Network(next(ids), n.name, labels, n.ip_range, n.subnets or (), n.routes or ())
        for n in declared.networks or ()
    }
    firewalls = {f.name: actual.Firewall(next(ids), f.name, labels, f.rules or ()) for f in declared.firewalls or ()}
    groups = {g.name: actual.PlacementGroup(next(ids), g.name, labels, g.type) for g in declared.placement_groups or ()}
    addresses = {
        a.name: actual.PrimaryIp(next(ids), a.name, labels, a.type, a.location, a.auto_delete, "203.0.113.9")
        for a in declared.primary_ips or ()
    }
    servers = {}
    for server in declared.servers or ():
        server_type, image = CATALOGUE.server_types[server.type], CATALOGUE.images[server.image]
        servers[server.name] = actual.Server(
            id=next(ids),
            name=server.name,
            labels=labels | dict(server.labels or {}),
            status="running",
            type=server.type,
            architecture=server_type.architecture,
            disk=server_type.disk,
            location=server.location,
            image=image.name,
            image_family=image.family,
            private={networks[name].id: address for name, address in server.networks},
            ipv4=(addresses[server.public_ipv4].id, "203.0.113.9") if server.public_ipv4 else None,
            firewalls=tuple(firewalls[name].id for name in server.firewalls or ()),
            placement_group=groups[server.placement_group].id if server.placement_group else None,
        )
        for name in server.firewalls or ():
            firewalls[name] = replace(firewalls[name], servers=(*firewalls[name].servers, servers[server.name].id))
        for name, _ in server.networks:
            networks[name] = replace(networks[name], servers=(*networks[name].servers, servers[server.name].id))
        if server.public_ipv4:
            address = addresses[server.public_ipv4]
            addresses[server.public_ipv4] = replace(address, server=servers[server.name].id)
    volumes = {
        v.name: actual.Volume(
            next(ids),
            v.name,
            labels,
            "available",
            v.size,
            v.format,
            v.location,
            servers[v.server].id if v.server else None,
        )
        for v in declared.volumes or ()
    }
    keys = {k.name: actual.SshKey(next(ids), k.name, labels, k.public_key) for k in declared.ssh_keys or ()}
    return actual.Actual(CATALOGUE, keys, networks, firewalls, groups, addresses, servers, volumes)


def changed(project: actual.Actual, kind: str, name: str, **changes: Any) -> actual.Actual:
    """The project with one resource changed, or made: ``kind`` is the field's name, such as ``servers``."""
    resources = dict(getattr(project, kind))
    resources[name] = replace(resources[name], **changes)
    return replace(project, **{kind: resources})


def without(project: actual.Actual, kind: str, name: str) -> actual.Actual:
    return replace(project, **{kind: {key: value for key, value in getattr(project, kind).items() if key != name}})


def plan(infrastructure: Infrastructure, project: actual.Actual, *allow: str) -> Plan:
    return plan_present(infrastructure, project, frozenset(allow))


def actions(made: Plan) -> list[tuple[str, str]]:
    return [(str(step.ref), step.action) for step in made.steps]


def server(name: str) -> Ref:
    return Ref("server", name)
