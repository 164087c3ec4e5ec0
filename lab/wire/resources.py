"""Resources of the project as the vendor writes them.

Differences from the API document of June 2026, following the live API since: servers and primary IPs have no
``datacenter``.
"""

from __future__ import annotations

from ipaddress import IPv4Address

from lab.catalog import Catalog
from lab.state.resources import (
    Action,
    Attachment,
    Firewall,
    FirewallRule,
    Network,
    PlacementGroup,
    PrimaryIp,
    Ref,
    Server,
    SshKey,
    Volume,
)
from lab.state.store import Store
from lab.wire import catalogue
from lab.wire.catalogue import Json


def action(item: Action) -> Json:
    error = {"code": item.error_code, "message": item.error_message} if item.status == "error" else None
    return {
        "id": item.id,
        "command": item.command,
        "status": item.status,
        "progress": item.progress,
        "started": item.started,
        "finished": item.finished,
        "resources": [{"id": ref.id, "type": ref.type} for ref in item.resources],
        "error": error,
    }


def ssh_key(item: SshKey) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "fingerprint": item.fingerprint,
        "public_key": item.public_key,
        "labels": item.labels,
        "created": item.created,
    }


def network(store: Store, item: Network) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "ip_range": item.ip_range,
        "subnets": [
            {
                "type": subnet.type,
                "ip_range": subnet.ip_range,
                "network_zone": subnet.network_zone,
                "gateway": item.gateway,
                "vswitch_id": None,
            }
            for subnet in item.subnets
        ],
        "routes": [{"destination": route.destination, "gateway": route.gateway} for route in item.routes],
        "servers": [server.id for server in store.members_of(item.id)],
        "load_balancers": [load_balancer.id for load_balancer in store.load_balancers_in(item.id)],
        "protection": {"delete": item.protect_delete},
        "labels": item.labels,
        "created": item.created,
        "expose_routes_to_vswitch": item.expose_routes_to_vswitch,
    }


def primary_ip(catalog: Catalog, item: PrimaryIp) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "labels": item.labels,
        "created": item.created,
        "blocked": False,
        "location": catalogue.location(catalog.location(item.location)),
        "ip": item.ip,
        "dns_ptr": _dns_ptr(item),
        "protection": {"delete": item.protect_delete},
        "type": item.type,
        "auto_delete": item.auto_delete,
        "assignee_type": "server",
        "assignee_id": item.server_id,
    }


def _dns_ptr(item: PrimaryIp) -> list[Json]:
    if item.type == "ipv4":
        return [{"ip": item.ip, "dns_ptr": _ipv4_name(item)}]
    return [{"ip": ip, "dns_ptr": name} for ip, name in item.dns_ptr.items()]


def _ipv4_name(item: PrimaryIp) -> str:
    return item.dns_ptr.get(item.ip, default_name(item.ip))


def default_name(ipv4: str) -> str:
    """An IPv4 address always has a name; the vendor's own is made of its octets backwards."""
    backwards = ".".join(reversed(str(IPv4Address(ipv4)).split(".")))
    return f"static.{backwards}.clients.your-server.de"


def firewall(store: Store, item: Firewall) -> Json:
    direct: list[Json] = [_server_resource(server_id) for server_id in item.server_ids]
    selected: list[Json] = [
        {
            "type": "label_selector",
            "label_selector": {"selector": selector},
            "applied_to_resources": [_server_resource(server.id) for server in store.selected_by(selector)],
        }
        for selector in item.selectors
    ]
    return {
        "id": item.id,
        "name": item.name,
        "labels": item.labels,
        "created": item.created,
        "rules": [_firewall_rule(rule) for rule in item.rules],
        "applied_to": direct + selected,
    }


def _server_resource(server_id: int) -> Json:
    return {"type": "server", "server": {"id": server_id}}


def _firewall_rule(rule: FirewallRule) -> Json:
    return {
        "description": rule.description,
        "direction": rule.direction,
        "source_ips": list(rule.source_ips),
        "destination_ips": list(rule.destination_ips),
        "protocol": rule.protocol,
        "port": rule.port,
    }


def volume(catalog: Catalog, item: Volume) -> Json:
    return {
        "id": item.id,
        "created": item.created,
        "name": item.name,
        "server": item.server_id,
        "location": catalogue.location(catalog.location(item.location)),
        "size": item.size_gb,
        "linux_device": item.linux_device,
        "protection": {"delete": item.protect_delete},
        "labels": item.labels,
        "status": "available" if item.available else "creating",
        "format": item.format,
    }


def placement_group(store: Store, item: PlacementGroup) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "labels": item.labels,
        "type": "spread",
        "created": item.created,
        "servers": [server.id for server in store.servers_in_group(item.id)],
    }


def server(store: Store, catalog: Catalog, item: Server) -> Json:
    place = catalog.location(item.location)
    group = store.placement_groups.get(item.placement_group_id or 0)
    return {
        "id": item.id,
        "name": item.name,
        "status": item.status,
        "created": item.created,
        "public_net": _public_net(store, item),
        "private_net": [_private_net(attachment) for attachment in item.attachments],
        "server_type": catalogue.server_type(store, catalog, catalog.server_type(item.server_type)),
        "location": catalogue.location(place),
        "image": catalogue.image(catalog.image(item.image_id)),
        "iso": None,
        "rescue_enabled": False,
        "locked": store.is_locked(Ref("server", item.id)),
        "backup_window": None,
        "outgoing_traffic": None,
        "ingoing_traffic": None,
        "included_traffic": catalogue.included_traffic(place),
        "protection": {"delete": item.protect_delete, "rebuild": item.protect_rebuild},
        "labels": item.labels,
        "volumes": [volume.id for volume in store.volumes_of(item.id)],
        "load_balancers": [load_balancer.id for load_balancer in store.load_balancers_before(item)],
        "primary_disk_size": item.disk_gb,
        "placement_group": placement_group(store, group) if group else None,
    }


def _private_net(attachment: Attachment) -> Json:
    return {
        "network": attachment.network_id,
        "ip": attachment.ip,
        "alias_ips": attachment.alias_ips,
        "mac_address": attachment.mac,
    }


def _public_net(store: Store, item: Server) -> Json:
    ipv4 = store.primary_ip_of(item.id, "ipv4")
    ipv6 = store.primary_ip_of(item.id, "ipv6")
    pending = {
        ref.id
        for action in store.actions.values()
        if action.status == "running"
        and action.command == "apply_firewall"
        and Ref("server", item.id) in action.resources
        for ref in action.resources
        if ref.type == "firewall"
    }
    return {
        "ipv4": {"id": ipv4.id, "ip": ipv4.ip, "blocked": False, "dns_ptr": _ipv4_name(ipv4)} if ipv4 else None,
        "ipv6": {"id": ipv6.id, "ip": ipv6.ip, "blocked": False, "dns_ptr": _dns_ptr(ipv6)} if ipv6 else None,
        "floating_ips": [],
        "firewalls": [
            {"id": firewall.id, "status": "pending" if firewall.id in pending else "applied"}
            for firewall in store.firewalls_on(item.id)
        ],
    }
