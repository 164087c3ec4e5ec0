"""Load balancers and certificates as the vendor writes them."""

from __future__ import annotations

from ipaddress import IPv6Network

from lab.catalog import Catalog
from lab.drivers.base import Health, LoadBalancerStatus
from lab.state import x509
from lab.state.load_balancers import Certificate, HealthCheck, LoadBalancer, Service, Target
from lab.state.resources import Server
from lab.state.store import Store
from lab.wire import catalogue, resources
from lab.wire.catalogue import Json


def certificate(store: Store, item: Certificate) -> Json:
    facts = x509.facts(item.certificate)
    return {
        "id": item.id,
        "name": item.name,
        "labels": item.labels,
        "type": "uploaded",
        "certificate": item.certificate,
        "created": item.created,
        "not_valid_before": facts.not_valid_before,
        "not_valid_after": facts.not_valid_after,
        "domain_names": list(facts.domain_names),
        "fingerprint": facts.fingerprint,
        "status": None,
        "used_by": [{"id": user.id, "type": "load_balancer"} for user in store.load_balancers_with(item.id)],
    }


def load_balancer(store: Store, catalog: Catalog, item: LoadBalancer, status: LoadBalancerStatus | None) -> Json:
    """``status``: what is seen of it; None when nothing is."""
    place = catalog.location(item.location)
    return {
        "id": item.id,
        "name": item.name,
        "public_net": _public_net(item),
        "private_net": [{"network": item.attachment.network_id, "ip": item.attachment.ip}] if item.attachment else [],
        "location": catalogue.location(place),
        "load_balancer_type": catalogue.load_balancer_type(catalog, catalog.load_balancer_type(item.type)),
        "protection": {"delete": item.protect_delete},
        "labels": item.labels,
        "created": item.created,
        "services": [_service(service) for service in item.services],
        "targets": [_target(store, item, target, status) for target in item.targets],
        "algorithm": {"type": item.algorithm},
        "outgoing_traffic": status.traffic.bytes_out if status else None,
        "ingoing_traffic": status.traffic.bytes_in if status else None,
        "included_traffic": catalogue.included_traffic(place),
    }


def _public_net(item: LoadBalancer) -> Json:
    ipv6 = str(IPv6Network(item.ipv6)[1])
    return {
        "enabled": item.public,
        "ipv4": {"ip": item.ipv4, "dns_ptr": item.dns_ptr.get(item.ipv4, resources.default_name(item.ipv4))},
        "ipv6": {"ip": ipv6, "dns_ptr": item.dns_ptr.get(ipv6)},
    }


def _service(service: Service) -> Json:
    written: Json = {
        "protocol": service.protocol,
        "listen_port": service.listen_port,
        "destination_port": service.destination_port,
        "proxyprotocol": service.proxyprotocol,
        "health_check": _health_check(service.health_check),
    }
    if service.http is not None:
        # The vendor's library reads all of it of either protocol.
        written["http"] = {
            "cookie_name": service.http.cookie_name,
            "cookie_lifetime": service.http.cookie_lifetime,
            "timeout_idle": service.http.timeout_idle,
            "certificates": list(service.http.certificates),
            "redirect_http": service.http.redirect_http,
            "sticky_sessions": service.http.sticky_sessions,
        }
    return written


def _health_check(check: HealthCheck) -> Json:
    written: Json = {
        "protocol": check.protocol,
        "port": check.port,
        "interval": check.interval,
        "timeout": check.timeout,
        "retries": check.retries,
    }
    if check.protocol == "http":
        written["http"] = {
            "domain": check.domain,
            "path": check.path,
            "response": check.response,
            "status_codes": list(check.status_codes),
            "tls": check.tls,
        }
    return written


def _target(store: Store, item: LoadBalancer, target: Target, status: LoadBalancerStatus | None) -> Json:
    servers = store.target_servers(item, target)
    if target.server_id is not None:
        return _server_target(store, item, target, servers[0], status)
    if target.selector is not None:
        return {
            "type": "label_selector",
            "label_selector": {"selector": target.selector},
            "use_private_ip": target.use_private_ip,
            "targets": [_server_target(store, item, target, server, status) for server in servers],
        }
    return {"type": "ip", "ip": {"ip": target.ip}, "health_status": _health(item, target.ip, status)}


def _server_target(
    store: Store, item: LoadBalancer, target: Target, server: Server, status: LoadBalancerStatus | None
) -> Json:
    return {
        "type": "server",
        "server": {"id": server.id},
        "use_private_ip": target.use_private_ip,
        "health_status": _health(item, store.target_address(item, target, server), status),
    }


def _health(item: LoadBalancer, address: str | None, status: LoadBalancerStatus | None) -> list[Json]:
    def seen(port: int) -> Health:
        known = status.health if status else {}
        return known.get((address, port), Health.UNKNOWN) if address else Health.UNKNOWN

    ports = [service.listen_port for service in item.services]
    return [{"listen_port": port, "status": seen(port).value} for port in ports]
