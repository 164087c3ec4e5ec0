"""What the driver is told: whole descriptions, computed from the state."""

from __future__ import annotations

from lab.catalog import Catalog
from lab.drivers import base
from lab.state.resources import Attachment, FirewallRule, Network, Server, Volume
from lab.state.store import Store


def machine(store: Store, catalog: Catalog, server: Server) -> base.Machine:
    return base.Machine(
        machine_id=server.id,
        name=server.name,
        image=catalog.image(server.image_id).name,
        user_data=server.user_data,
        ssh_keys=server.public_keys,
        public=_public_nic(store, server),
        private=tuple(_private_nic(attachment) for attachment in server.attachments if attachment.connected),
        volumes=tuple(base.AttachedVolume(volume.id) for volume in store.volumes_of(server.id) if volume.available),
    )


def network(store: Store, description_of: Network) -> base.Network:
    return base.Network(
        network_id=description_of.id,
        ip_range=description_of.ip_range,
        subnets=tuple(subnet.ip_range for subnet in description_of.subnets),
        routes=tuple((route.destination, route.gateway) for route in description_of.routes),
        members=tuple(
            base.NetworkMember(server.id, _private_nic(attachment))
            for server in store.members_of(description_of.id)
            for attachment in server.attachments
            if attachment.network_id == description_of.id
        ),
    )


def volume(description_of: Volume) -> base.Volume:
    return base.Volume(description_of.id, description_of.size_gb, description_of.format)


def _private_nic(attachment: Attachment) -> base.PrivateNic:
    return base.PrivateNic(attachment.mac, attachment.network_id, attachment.ip, tuple(attachment.alias_ips))


def _public_nic(store: Store, server: Server) -> base.PublicNic | None:
    if not store.is_public(server.id):
        return None
    ipv4 = store.primary_ip_of(server.id, "ipv4")
    ipv6 = store.primary_ip_of(server.id, "ipv6")
    return base.PublicNic(
        mac=server.public_mac,
        ipv4=ipv4.ip if ipv4 else None,
        ipv6=ipv6.ip if ipv6 else None,
        firewall=effective_firewall(store, server),
    )


def effective_firewall(store: Store, server: Server) -> tuple[base.FirewallRule, ...] | None:
    """The union of the rules of all firewalls in force on the server; None when there is none."""
    firewalls = store.firewalls_on(server.id)
    if not firewalls:
        return None
    return tuple(_rule(rule) for firewall in firewalls for rule in firewall.rules)


def _rule(rule: FirewallRule) -> base.FirewallRule:
    return base.FirewallRule(
        direction=base.Direction(rule.direction),
        protocol=rule.protocol,
        ports=_ports(rule.port),
        networks=rule.source_ips if rule.direction == "in" else rule.destination_ips,
    )


def _ports(port: str | None) -> tuple[int, int] | None:
    if port is None:
        return None
    first, _, last = port.partition("-")
    return int(first), int(last or first)
