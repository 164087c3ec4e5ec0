"""What the driver is told: whole descriptions, computed from the state."""

from __future__ import annotations

from dataclasses import replace

from lab.catalog import Catalog
from lab.drivers import base
from lab.state.load_balancers import HealthCheck, LoadBalancer, Service
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
        )
        + tuple(
            base.NetworkMember(item.id, _private_nic(item.attachment))
            for item in store.load_balancers_in(description_of.id)
            if item.attachment is not None
        ),
    )


def volume(description_of: Volume) -> base.Volume:
    return base.Volume(description_of.id, description_of.size_gb, description_of.format)


def load_balancer(store: Store, catalog: Catalog, described: LoadBalancer) -> base.LoadBalancer:
    return base.LoadBalancer(
        load_balancer_id=described.id,
        algorithm=described.algorithm,
        max_connections=catalog.load_balancer_type(described.type).max_connections,
        public=base.PublicNic(described.public_mac, described.ipv4, described.ipv6, None) if described.public else None,
        private=_private_nic(described.attachment) if described.attachment else None,
        services=tuple(_service(store, service) for service in described.services),
        targets=tuple(store.target_addresses(described)),
    )


def _service(store: Store, service: Service) -> base.Service:
    plain = base.Service(
        protocol=service.protocol,
        listen_port=service.listen_port,
        destination_port=service.destination_port,
        proxyprotocol=service.proxyprotocol,
        health_check=_health_check(service.health_check),
    )
    http = service.http
    if http is None:
        return plain
    return replace(
        plain,
        timeout_idle=http.timeout_idle,
        cookie=(http.cookie_name, http.cookie_lifetime) if http.sticky_sessions else None,
        redirect_http=http.redirect_http,
        certificates=tuple(
            base.Certificate(found.certificate, found.private_key)
            for found in map(store.certificates.__getitem__, http.certificates)
        ),
    )


def _health_check(check: HealthCheck) -> base.HealthCheck:
    return base.HealthCheck(
        protocol=check.protocol,
        port=check.port,
        interval=check.interval,
        timeout=check.timeout,
        retries=check.retries,
        domain=check.domain,
        path=check.path,
        response=check.response or None,
        status_codes=check.status_codes,
        tls=check.tls,
    )


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
