"""Everything the page shows, as plain data.

What is shown is picked field by field, never taken over whole: private keys, user data, tokens and the values of
headers that the edge adds are in the same books. It holds no time of its own, so that it changes when something did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from lab.api.load_balancers import seen
from lab.catalog import Catalog
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.state import Zone
from lab.console.presets import CLOUDFLARE, HETZNER, OBJECT_STORAGE, Preset, Switchboard
from lab.drivers.base import Health, LoadBalancerStatus
from lab.faults import Fault
from lab.operations.cloud import Cloud
from lab.request_log import RequestLog
from lab.state import x509
from lab.state.load_balancers import Certificate, LoadBalancer
from lab.state.resources import Action, Firewall, FirewallRule, Network, Ref, Server, Volume
from lab.state.store import Store
from lab.wire.catalogue import Json

MOST_ACTIONS = 50
_SERVER_ERROR, _REFUSED = 500, 400
_UNKNOWN = Health.UNKNOWN
_KINDS = {
    "server": "servers",
    "network": "networks",
    "primary_ip": "primary_ips",
    "firewall": "firewalls",
    "volume": "volumes",
    "placement_group": "placement_groups",
    "certificate": "certificates",
    "load_balancer": "load_balancers",
}


async def overview(cloud: Cloud, switches: Switchboard, cloudflare: Cloudflare | None) -> Json:
    """The whole of it."""
    store, catalog = cloud.store, cloud.catalog
    # The only thing that is not in the books; it is asked first, since the books may change meanwhile.
    health = dict(await asyncio.gather(*(seen(cloud, number) for number in list(store.load_balancers))))
    logs = {HETZNER: cloud.requests}
    if cloudflare is not None:
        logs[CLOUDFLARE] = cloudflare.requests
    return {
        "servers": [_server(store, catalog, item) for item in _by_name(store.servers.values())],
        "networks": [_network(store, item) for item in store.networks.values()],
        "load_balancers": [_load_balancer(store, item, health.get(item.id)) for item in store.load_balancers.values()],
        "volumes": [_volume(store, item) for item in store.volumes.values()],
        "firewalls": [_firewall(store, item) for item in store.firewalls.values()],
        "certificates": [_certificate(store, item) for item in store.certificates.values()],
        "zones": [] if cloudflare is None else [_zone(zone) for zone in cloudflare.store.zones.values()],
        "actions": _actions(store),
        "faults": _faults(switches),
        "presets": [_preset(switches, preset) for preset in switches.offered()],
        "requests": [_requests(service, log) for service, log in logs.items()],
    }


def _by_name(servers: Iterable[Server]) -> list[Server]:
    return sorted(servers, key=lambda server: server.name)


def _server(store: Store, catalog: Catalog, item: Server) -> Json:
    size = catalog.server_type(item.server_type)
    ipv4 = store.primary_ip_of(item.id, "ipv4")
    return {
        "id": item.id,
        "name": item.name,
        "status": item.status,
        "locked": store.is_locked(Ref("server", item.id)),
        "type": size.name,
        "cores": size.cores,
        "memory_gb": size.memory,
        "architecture": size.architecture,
        "location": item.location,
        "private_ips": [attachment.ip for attachment in item.attachments],
        "public_ip": ipv4.ip if ipv4 else None,
        "labels": item.labels,
        "volumes": [volume.name for volume in store.volumes_of(item.id)],
        "firewalls": [firewall.name for firewall in store.firewalls_on(item.id)],
    }


def _network(store: Store, item: Network) -> Json:
    servers: list[Json] = [
        {"name": server.name, "kind": "server", "ip": attachment.ip, "status": server.status, "public": public}
        for server in store.members_of(item.id)
        for public in [store.is_public(server.id)]
        for attachment in server.attachments
        if attachment.network_id == item.id
    ]
    balancers: list[Json] = [
        {
            "name": balancer.name,
            "kind": "load balancer",
            "ip": balancer.attachment.ip,
            "status": "running" if balancer.available else "starting",
            "public": balancer.public,
        }
        for balancer in store.load_balancers_in(item.id)
        if balancer.attachment is not None
    ]
    return {
        "id": item.id,
        "name": item.name,
        "ip_range": item.ip_range,
        "gateway": item.gateway,
        "subnets": [subnet.ip_range for subnet in item.subnets],
        "routes": [{"destination": route.destination, "gateway": route.gateway} for route in item.routes],
        "members": sorted(servers + balancers, key=_address),
    }


def _address(member: Json) -> tuple[int, ...]:
    return tuple(int(part) for part in str(member["ip"]).split("."))


def _load_balancer(store: Store, item: LoadBalancer, status: LoadBalancerStatus | None) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "type": item.type,
        "location": item.location,
        "algorithm": item.algorithm,
        "public_ip": item.ipv4 if item.public else None,
        "private_ip": item.attachment.ip if item.attachment else None,
        "services": [
            {
                "protocol": service.protocol,
                "listen_port": service.listen_port,
                "destination_port": service.destination_port,
                "redirect_http": service.http.redirect_http if service.http else False,
                "check": _check(
                    service.health_check.protocol, service.health_check.path, service.health_check.interval
                ),
                "certificates": [
                    store.certificates[number].name
                    for number in (service.http.certificates if service.http else ())
                    if number in store.certificates
                ],
            }
            for service in item.services
        ],
        "targets": _targets(store, item, status),
    }


def _check(protocol: str, path: str, interval: int) -> str:
    return f"{protocol}{f' {path}' if protocol == 'http' else ''} every {interval} s"


def _targets(store: Store, item: LoadBalancer, status: LoadBalancerStatus | None) -> list[Json]:
    """Servers and addresses one by one, with what brought them in."""
    found: list[Json] = []
    for target in item.targets:
        if target.ip is not None:
            found.append({"name": target.ip, "by": None, "health": _health(item, target.ip, status)})
        for server in store.target_servers(item, target):
            address = store.target_address(item, target, server)
            found.append({"name": server.name, "by": target.selector, "health": _health(item, address, status)})
    return found


def _health(item: LoadBalancer, address: str | None, status: LoadBalancerStatus | None) -> list[Json]:
    known = status.health if status and address else {}
    return [
        {"listen_port": service.listen_port, "status": known.get((address or "", service.listen_port), _UNKNOWN).value}
        for service in item.services
    ]


def _volume(store: Store, item: Volume) -> Json:
    server = store.servers.get(item.server_id or 0)
    return {
        "id": item.id,
        "name": item.name,
        "size_gb": item.size_gb,
        "location": item.location,
        "format": item.format,
        "server": server.name if server else None,
        "status": "available" if item.available else "creating",
    }


def _firewall(store: Store, item: Firewall) -> Json:
    covered = [server_id for firewall_id, server_id in store.firewall_covers() if firewall_id == item.id]
    return {
        "id": item.id,
        "name": item.name,
        "servers": sorted(store.servers[number].name for number in covered if number in store.servers),
        "selectors": item.selectors,
        "rules": [_rule(rule) for rule in item.rules],
    }


def _rule(rule: FirewallRule) -> Json:
    return {
        "direction": rule.direction,
        "protocol": rule.protocol,
        "port": rule.port,
        "peers": list(rule.source_ips if rule.direction == "in" else rule.destination_ips),
        "description": rule.description,
    }


def _certificate(store: Store, item: Certificate) -> Json:
    facts = x509.facts(item.certificate)
    return {
        "id": item.id,
        "name": item.name,
        "domain_names": list(facts.domain_names),
        "not_valid_after": facts.not_valid_after,
        "used_by": [balancer.name for balancer in store.load_balancers_with(item.id)],
    }


def _zone(zone: Zone) -> Json:
    header = zone.settings.security_header
    return {
        "name": zone.name,
        "records": [
            {
                "name": record.name,
                "type": record.type,
                "content": record.content,
                "proxied": record.proxied,
                "ttl": record.ttl,
            }
            for record in sorted(zone.records.values(), key=lambda record: (record.name, record.type))
        ],
        "settings": {
            "SSL": zone.settings.ssl,
            "Always use HTTPS": zone.settings.always_use_https,
            "Minimum TLS version": zone.settings.min_tls_version,
            "TLS 1.3": zone.settings.tls_1_3,
            "Automatic HTTPS rewrites": zone.settings.automatic_https_rewrites,
            "HSTS": f"on, {header.max_age} s" if header.enabled else "off",
        },
        # Their names only: a value may be the secret by which an origin knows the edge.
        "added_headers": sorted(
            {
                name
                for rule in (zone.header_rules.rules if zone.header_rules else [])
                if rule.enabled
                for name in rule.set
            }
        ),
    }


def _actions(store: Store) -> list[Json]:
    """What runs, and the last of the others; the newest first."""
    newest = sorted(store.actions.values(), key=lambda action: action.id, reverse=True)
    running = [action for action in newest if action.status == "running"]
    ended = [action for action in newest if action.status != "running"]
    return [_action(store, action) for action in [*running, *ended[:MOST_ACTIONS]]]


def _action(store: Store, item: Action) -> Json:
    return {
        "id": item.id,
        "command": item.command,
        "status": item.status,
        "progress": item.progress,
        "started": item.started,
        "finished": item.finished,
        "resources": [_name(store, ref) for ref in item.resources],
        "error": item.error_message if item.status == "error" else None,
    }


def _name(store: Store, ref: Ref) -> str:
    kind = _KINDS.get(ref.type)
    found = getattr(store, kind).get(ref.id) if kind else None
    return str(found.name) if found else f"{ref.type.replace('_', ' ')} {ref.id}"


def _preset(switches: Switchboard, preset: Preset) -> Json:
    return {
        "id": preset.id,
        "title": preset.title,
        "words": preset.words,
        "service": preset.service,
        "on": switches.is_on(preset),
    }


def _faults(switches: Switchboard) -> list[Json]:
    """Everything that goes wrong on purpose now, whoever ordered it."""
    found: list[Json] = []
    for service, plan in switches.plans.items():
        for fault in plan.rules.values():
            preset = switches.preset_of(service, fault)
            words = preset.title if preset else _words(fault)
            found.append({"service": service, "words": words, "struck": fault.struck})
    if switches.object_storage in ("away", "refusing"):
        found.append({"service": OBJECT_STORAGE, "words": switches.object_storage, "struck": None})
    return found


def _words(fault: Fault) -> str:
    what = f"action {fault.command}" if fault.command else f"{fault.method} {fault.path}"
    often = "" if fault.rate >= 1 else f", {fault.rate:.0%} of them"
    most = "" if fault.times is None else f", at most {fault.times}"
    return f"{fault.effect.replace('_', ' ')}: {what}{often}{most}"


def _requests(service: str, log: RequestLog) -> Json:
    entries = list(log.entries)
    return {
        "service": service,
        "kept": len(entries),
        "refused": sum(_REFUSED <= (entry.status or 0) < _SERVER_ERROR for entry in entries),
        "failed": sum((entry.status or 0) >= _SERVER_ERROR for entry in entries),
        "lost": sum(not entry.delivered for entry in entries),
        "struck": sum(entry.fault is not None for entry in entries),
        "last": entries[-1].at if entries else None,
    }
