"""Resources for tests, with everything a test does not care about filled in."""

from __future__ import annotations

from typing import Any

from hcloud.certificates import BoundCertificate
from hcloud.images import Image
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.load_balancers import BoundLoadBalancer, LoadBalancerService, LoadBalancerTarget
from hcloud.load_balancers import LoadBalancerTargetIP as TargetIp
from hcloud.load_balancers import LoadBalancerTargetLabelSelector as TargetSelector
from hcloud.locations import Location
from hcloud.networks import BoundNetwork, NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer, ServerCreatePublicNetwork
from hcloud.volumes import BoundVolume

from tests.lab.cloud_api import CloudApi, wait
from tests.lab.pairs import Pair, issue

IMAGE = "debian-13"
TYPE = "cax11"
LOCATION = "fsn1"
TCP = LoadBalancerService(protocol="tcp", listen_port=80, destination_port=80)
PRIVATE_ONLY = ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False)


def image_of(api: CloudApi, name: str = IMAGE, architecture: str = "arm") -> Image:
    image = api.client.images.get_by_name_and_architecture(name, architecture)
    assert image is not None
    return image


def server(api: CloudApi, name: str = "app-01", **options: Any) -> BoundServer:
    """A server that is ready, running unless told otherwise."""
    defaults: dict[str, Any] = {
        "server_type": ServerType(name=TYPE),
        "image": image_of(api),
        "location": Location(name=LOCATION),
    }
    response = api.client.servers.create(name=name, **{**defaults, **options})
    wait(response.action, *response.next_actions)
    return api.client.servers.get_by_id(response.server.id)


def server_body(api: CloudApi, **fields: Any) -> dict[str, Any]:
    """The body of an order that would be accepted."""
    return {"name": "app-01", "server_type": TYPE, "image": image_of(api).id, "location": LOCATION, **fields}


def network(api: CloudApi, name: str = "net", **options: Any) -> BoundNetwork:
    defaults: dict[str, Any] = {
        "ip_range": "10.0.0.0/16",
        "subnets": [NetworkSubnet(ip_range="10.0.0.0/24", type="cloud", network_zone="eu-central")],
    }
    return api.client.networks.create(name=name, **{**defaults, **options})


def default_route(gateway: str = "10.0.0.2") -> NetworkRoute:
    return NetworkRoute(destination="0.0.0.0/0", gateway=gateway)


def volume(api: CloudApi, name: str = "data", size: int = 10, **options: Any) -> BoundVolume:
    if "server" not in options:
        options.setdefault("location", Location(name=LOCATION))
    response = api.client.volumes.create(size=size, name=name, **options)
    wait(response.action, *(response.next_actions or []))
    return api.client.volumes.get_by_id(response.volume.id)


def certificate(api: CloudApi, name: str = "web", pair: Pair | None = None) -> BoundCertificate:
    pair = pair or issue()
    return api.client.certificates.create(name=name, certificate=pair.certificate, private_key=pair.private_key)


def load_balancer(api: CloudApi, name: str = "lb", **options: Any) -> BoundLoadBalancer:
    """A load balancer that is ready."""
    defaults: dict[str, Any] = {
        "load_balancer_type": LoadBalancerType(name="lb11"),
        "location": Location(name=LOCATION),
    }
    response = api.client.load_balancers.create(name=name, **{**defaults, **options})
    wait(response.action)
    return api.client.load_balancers.get_by_id(response.load_balancer.id)


def of_server(server: BoundServer, private: bool = True) -> LoadBalancerTarget:
    return LoadBalancerTarget(type="server", server=server, use_private_ip=private)


def of_labels(selector: str = "role=app", private: bool = True) -> LoadBalancerTarget:
    return LoadBalancerTarget(
        type="label_selector", label_selector=TargetSelector(selector=selector), use_private_ip=private
    )


def of_ip(ip: str) -> LoadBalancerTarget:
    return LoadBalancerTarget(type="ip", ip=TargetIp(ip=ip))


def ssh_rule(**fields: Any) -> dict[str, Any]:
    return {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["198.51.100.7/32"], **fields}
