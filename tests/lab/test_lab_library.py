"""The vendor's library is the judge: every method it has is called, and works or is in the one list of refusals."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
from hcloud import APIException
from hcloud.certificates import Certificate
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.floating_ips import FloatingIP
from hcloud.images import Image
from hcloud.isos import Iso
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.load_balancers import LoadBalancerAlgorithm, LoadBalancerService, LoadBalancerTarget
from hcloud.locations import Location
from hcloud.networks import Network, NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import Server
from hcloud.zones import Zone, ZonePrimaryNameserver, ZoneRecord, ZoneRRSet

from tests.lab import builders
from tests.lab.cloud_api import SSH_KEY, CloudApi, wait

pytestmark = pytest.mark.filterwarnings("ignore:The '.*' method is deprecated:DeprecationWarning")

#: Answered with 501, by kind; ``...`` stands for the whole kind.
NOT_IMPLEMENTED: dict[str, Any] = {
    "certificates": {"create_managed", "retry_issuance"},
    "floating_ips": ...,
    "images": {"change_protection", "delete", "update"},
    "isos": ...,
    "networks": {"get_member_all", "get_member_list"},
    "servers": {
        *("attach_iso", "create_image", "detach_iso", "disable_backup", "disable_rescue", "enable_backup"),
        *("enable_rescue", "get_metrics", "request_console", "reset_password"),
    },
    "zones": ...,
}
#: Answered with 410, by the vendor too.
REMOVED = {"actions": {"get_all", "get_list"}}
#: Asked of another API than the Cloud API.
ELSEWHERE = {"storage_boxes", "storage_box_types"}

#: What to call a refused method with, by the parameter's name or by the name of all three.
ARGUMENTS: dict[str, Any] = {
    "certificate": Certificate(id=1),
    "dns_ptr": "a.bulwark.example",
    "domain_names": ["bulwark.example"],
    "end": "2026-01-02T00:00:00Z",
    "floating_ip": FloatingIP(id=1),
    "id": 1,
    "id_or_name": "bulwark.example",
    "image": Image(id=1),
    "ip": "198.51.100.1",
    "iso": Iso(id=1, name="an-iso"),
    "mode": "primary",
    "name": "a",
    "network": Network(id=1),
    "primary_nameservers": [ZonePrimaryNameserver(address="198.51.100.1")],
    "records": [ZoneRecord(value="198.51.100.1")],
    "rrset": ZoneRRSet(name="a", type="A", zone=Zone(name="bulwark.example")),
    "server": Server(id=1),
    "start": "2026-01-01T00:00:00Z",
    "ttl": 60,
    "type": "A",
    "zone": Zone(id=1, name="bulwark.example"),
    "zonefile": "",
}


def methods(client: object) -> set[str]:
    return {name for name, _ in inspect.getmembers(type(client), inspect.isfunction) if not name.startswith("_")}


def kinds(api: CloudApi) -> dict[str, Any]:
    """The library's clients, by kind of resource."""
    found = {name: value for name, value in vars(api.client).items() if not name.startswith("_")}
    return {name: value for name, value in found.items() if name not in ELSEWHERE}


def refused(kind: str, api: CloudApi) -> set[str]:
    listed = NOT_IMPLEMENTED.get(kind, set())
    return methods(kinds(api)[kind]) if listed is ... else listed


def required(method: Callable[..., Any]) -> list[str]:
    """Names of the parameters that must be given."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(method).parameters.values()
    return [item.name for item in parameters if item.default is item.empty and item.kind in named]


def record(client: Any) -> set[str]:
    """Notes from now on which methods are called, also by objects the client returned."""
    called: set[str] = set()

    def noted(name: str) -> Callable[..., Any]:
        method = getattr(client, name)

        @wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            called.add(name)
            return method(*args, **kwargs)

        return call

    for name in methods(client):
        setattr(client, name, noted(name))
    return called


def lists(client: Any, resource: Any, name: str) -> None:
    """What every kind of the project has."""
    assert client.get_by_id(resource.id).id == resource.id
    assert client.get_by_name(name).id == resource.id
    assert [item.id for item in client.get_all()] == [item.id for item in client.get_list()[0]]


def actions(client: Any, resource: Any) -> None:
    """What every kind that has actions has."""
    listed = client.get_actions(resource)
    assert [action.id for action in listed] == [action.id for action in client.get_actions_list(resource)[0]]
    assert listed


def offered(client: Any, name: str) -> None:
    found = client.get_by_name(name)
    assert client.get_by_id(found.id).name == name
    assert name in {item.name for item in client.get_all()} & {item.name for item in client.get_list()[0]}


def locations(api: CloudApi) -> None:
    offered(api.client.locations, "fsn1")


def server_types(api: CloudApi) -> None:
    offered(api.client.server_types, "cax11")


def images(api: CloudApi) -> None:
    offered(api.client.images, "debian-13")
    image = builders.image_of(api)
    assert (image.name, image.architecture) == ("debian-13", "arm")
    assert api.client.images.get_actions(image) == api.client.images.get_actions_list(image)[0] == []


def ssh_keys(api: CloudApi) -> None:
    client = api.client.ssh_keys
    key = client.create(name="alice", public_key=SSH_KEY)
    lists(client, key, "alice")
    assert client.get_by_fingerprint(key.fingerprint).id == key.id
    assert key.update(labels={"a": "b"}).labels == {"a": "b"}
    assert key.delete()


def placement_groups(api: CloudApi) -> None:
    client = api.client.placement_groups
    group = client.create(name="app", type="spread").placement_group
    lists(client, group, "app")
    assert group.update(name="app-2").name == "app-2"
    assert group.delete()


def networks(api: CloudApi) -> None:
    client = api.client.networks
    network = client.create(name="net", ip_range="10.0.0.0/16")
    lists(client, network, "net")
    subnet = NetworkSubnet(ip_range="10.0.0.0/24", type="cloud", network_zone="eu-central")
    route = NetworkRoute(destination="0.0.0.0/0", gateway="10.0.0.2")
    wait(network.add_subnet(subnet))
    wait(network.add_route(route))
    assert [item.gateway for item in client.get_by_id(network.id).subnets] == ["10.0.0.1"]
    wait(network.delete_route(route))
    wait(network.delete_subnet(subnet))
    wait(network.change_ip_range("10.0.0.0/15"))
    wait(network.change_protection(delete=True))
    wait(network.change_protection(delete=False))
    actions(client, network)
    assert network.update(name="net-2").name == "net-2"
    assert network.delete()


def firewalls(api: CloudApi) -> None:
    client = api.client.firewalls
    rule = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0"])
    firewall = client.create(name="fw", rules=[rule]).firewall
    lists(client, firewall, "fw")
    wait(*firewall.set_rules([]))
    selector = FirewallResource(type="label_selector", label_selector=FirewallResourceLabelSelector(selector="a=b"))
    wait(*firewall.apply_to_resources([selector]))
    wait(*firewall.remove_from_resources([selector]))
    actions(client, firewall)
    assert firewall.update(name="fw-2").name == "fw-2"
    assert firewall.delete()


def certificates(api: CloudApi) -> None:
    client = api.client.certificates
    certificate = builders.certificate(api)
    lists(client, certificate, "web")
    assert client.get_actions(certificate) == client.get_actions_list(certificate)[0] == []
    assert certificate.update(name="web-2").name == "web-2"
    assert certificate.delete()


def load_balancer_types(api: CloudApi) -> None:
    offered(api.client.load_balancer_types, "lb11")


def load_balancers(api: CloudApi) -> None:
    client = api.client.load_balancers
    network = builders.network(api)
    balancer = builders.load_balancer(api)
    lists(client, balancer, "lb")
    wait(balancer.attach_to_network(network, ip="10.0.0.9"))
    wait(balancer.disable_public_interface())
    wait(balancer.enable_public_interface())
    service = LoadBalancerService(protocol="tcp", listen_port=5432, destination_port=5432, proxyprotocol=False)
    wait(balancer.add_service(service))
    wait(balancer.update_service(LoadBalancerService(listen_port=5432, destination_port=5433)))
    target = LoadBalancerTarget(type="server", server=builders.server(api, networks=[network]), use_private_ip=True)
    wait(balancer.add_target(target))
    wait(balancer.remove_target(target))
    wait(balancer.delete_service(service))
    wait(balancer.detach_from_network(network))
    wait(balancer.change_algorithm(LoadBalancerAlgorithm(type="least_connections")))
    wait(balancer.change_type(LoadBalancerType(name="lb21")))
    wait(balancer.change_dns_ptr(balancer.public_net.ipv4.ip, "a.bulwark.example"))
    wait(balancer.change_protection(delete=False))
    period = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T01:00:00Z"}
    metrics = balancer.get_metrics(type=["bandwidth", "open_connections"], **period).metrics
    assert metrics.time_series.keys() == {"bandwidth.in", "bandwidth.out", "open_connections"}
    actions(client, balancer)
    assert balancer.update(name="lb-2").name == "lb-2"
    wait(balancer.delete().action)
    assert client.get_all() == []


def volumes(api: CloudApi) -> None:
    client = api.client.volumes
    server = builders.server(api)
    volume = builders.volume(api)
    lists(client, volume, "data")
    wait(volume.attach(server))
    wait(volume.detach())
    wait(volume.resize(20))
    wait(volume.change_protection(delete=False))
    actions(client, volume)
    assert volume.update(name="data-2").name == "data-2"
    assert volume.delete()


def primary_ips(api: CloudApi) -> None:
    client = api.client.primary_ips
    server = builders.server(api, public_net=builders.PRIVATE_ONLY, start_after_create=False)
    ip = client.create(name="ip", type="ipv4", location=Location(name="fsn1")).primary_ip
    lists(client, ip, "ip")
    wait(ip.assign(server.id, "server"))
    wait(ip.change_dns_ptr(ip.ip, "a.bulwark.example"))
    wait(ip.unassign())
    wait(ip.change_protection(delete=False))
    actions(client, ip)
    assert ip.update(name="ip-2").name == "ip-2"
    assert ip.delete()


def servers(api: CloudApi) -> None:
    client = api.client.servers
    network = builders.network(api)
    group = api.client.placement_groups.create(name="app", type="spread").placement_group
    server = builders.server(api)
    lists(client, server, "app-01")
    wait(server.attach_to_network(network))
    wait(server.change_alias_ips(network, ["10.0.0.9"]))
    wait(server.detach_from_network(network))
    wait(server.change_dns_ptr(server.public_net.ipv4.ip, "a.bulwark.example"))
    for power in (server.reboot, server.reset, server.shutdown):
        wait(power())
    api.settle()
    wait(server.power_off())
    wait(server.add_to_placement_group(group))
    wait(server.remove_from_placement_group())
    wait(server.change_type(ServerType(name="cax21"), upgrade_disk=True))
    wait(server.power_on())
    wait(server.rebuild(builders.image_of(api)).action)
    wait(server.change_protection(delete=False, rebuild=False))
    actions(client, server)
    assert server.update(name="app-02").name == "app-02"
    gone = server.delete()
    wait(gone)
    assert client.get_by_name("app-02") is None
    assert client.actions.get_by_id(gone.id).command == "delete_server", "actions outlive their resource"


def all_actions(api: CloudApi) -> None:
    action = builders.server(api).power_off()
    assert api.client.actions.get_by_id(action.id).command == "stop_server"
    for removed in (api.client.actions.get_list, api.client.actions.get_all):
        with pytest.raises(APIException) as caught:
            removed()
        assert caught.value.code == "deprecated_api_endpoint"


SCENARIOS: dict[str, Callable[[CloudApi], None]] = {
    "actions": all_actions,
    "certificates": certificates,
    "firewalls": firewalls,
    "images": images,
    "load_balancer_types": load_balancer_types,
    "load_balancers": load_balancers,
    "locations": locations,
    "networks": networks,
    "placement_groups": placement_groups,
    "primary_ips": primary_ips,
    "server_types": server_types,
    "servers": servers,
    "ssh_keys": ssh_keys,
    "volumes": volumes,
}


def test_every_kind_is_tried_or_refused(cloud_api: CloudApi) -> None:
    whole = {kind for kind, listed in NOT_IMPLEMENTED.items() if listed is ...}
    assert set(kinds(cloud_api)) == set(SCENARIOS) | whole
    assert not set(SCENARIOS) & whole


@pytest.mark.parametrize("kind", sorted(SCENARIOS))
def test_every_method_of_a_kind_works(cloud_api: CloudApi, kind: str) -> None:
    client = kinds(cloud_api)[kind]
    called = record(client)
    SCENARIOS[kind](cloud_api)
    assert called == methods(client) - refused(kind, cloud_api)


@pytest.mark.parametrize("kind", sorted(NOT_IMPLEMENTED))
def test_what_is_refused_says_so(cloud_api: CloudApi, kind: str) -> None:
    client = kinds(cloud_api)[kind]
    for name in sorted(refused(kind, cloud_api)):
        method = getattr(client, name)
        with pytest.raises(APIException) as caught:
            method(**{word: ARGUMENTS.get(f"{kind}.{name}.{word}", ARGUMENTS.get(word)) for word in required(method)})
        assert caught.value.code == "not_implemented", f"{kind}.{name}"


@pytest.mark.parametrize(
    "kind",
    ["certificates", "firewalls", "images", "load_balancers", "networks", "primary_ips", "servers", "volumes"],
)
def test_actions_by_kind(cloud_api: CloudApi, kind: str) -> None:
    client = kinds(cloud_api)[kind].actions
    SCENARIOS[kind](cloud_api)
    listed = client.get_all()
    assert [action.id for action in listed[:25]] == [action.id for action in client.get_list()[0]]
    assert bool(listed) == (kind not in ("certificates", "images"))
    assert all(client.get_by_id(action.id).command == action.command for action in listed)
