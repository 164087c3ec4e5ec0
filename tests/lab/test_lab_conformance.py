"""The same assertions on the embedded cloud and, for who has a token, on the real one (see project.py)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hashes
from hcloud import APIException
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.load_balancer_types import LoadBalancerType
from hcloud.load_balancers import (
    LoadBalancerService,
    LoadBalancerServiceHttp,
    LoadBalancerTarget,
    LoadBalancerTargetLabelSelector,
)
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

from lab.drivers.null import NullDriver
from tests.lab.cloud_api import TOKEN, Host, cloud_api, wait
from tests.lab.pairs import issue
from tests.lab.project import PLACES, REAL_SERVERS, Project, real_project


@pytest.fixture(params=PLACES)
def project(request: pytest.FixtureRequest, host: Host) -> Iterator[Project]:
    if request.param == "real":
        if request.node.get_closest_marker("costs") and not REAL_SERVERS:
            pytest.skip("makes a server, which costs money: set BULWARK_REAL_HCLOUD_SERVERS to allow it")
        with real_project() as project:
            yield project
        return
    with cloud_api(host, NullDriver()) as api:
        project = Project(api.client, api.url, TOKEN)
        yield project
        project.clean()


def public_key() -> str:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", secrets.token_bytes(32)))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} conformance"


def code_of(error: pytest.ExceptionInfo[APIException]) -> str:
    return str(error.value.code)


def test_who_may_ask(project: Project) -> None:
    missing = project.request("GET", "/servers", headers={})
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "unauthorized")
    wrong = project.request("GET", "/servers", headers={"Authorization": "Bearer " + "x" * 64})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "unauthorized")
    assert project.request("GET", "/nothing-of-this-name", headers={}).status_code == 404


def test_rate_limit_headers(project: Project) -> None:
    headers = project.request("GET", "/locations").headers
    assert int(headers["RateLimit-Limit"]) > int(headers["RateLimit-Remaining"]) >= 0
    assert int(headers["RateLimit-Reset"]) > 0


def test_lists(project: Project) -> None:
    assert project.error("GET", "/servers?per_page=51")[1] == "invalid_input"
    beyond = project.request("GET", "/locations?page=99").json()
    assert (beyond["locations"], beyond["meta"]["pagination"]["next_page"]) == ([], None)
    assert project.error("GET", "/actions")[0] == 410
    assert project.request("GET", "/actions?id=1").json()["actions"] == []


def test_what_is_not_there(project: Project) -> None:
    for path in ("/servers/1", "/networks/1", "/firewalls/1", "/ssh_keys/1", "/placement_groups/1", "/actions/1"):
        assert project.error("GET", path) == (404, "not_found")


def test_ssh_keys(project: Project) -> None:
    keys = project.client.ssh_keys
    text = public_key()
    key = keys.create(name=project.name("alice"), public_key=text, labels=project.labels)
    assert keys.get_by_fingerprint(key.fingerprint).id == key.id
    with pytest.raises(APIException) as caught:
        keys.create(name=project.name("bob"), public_key=text)
    assert code_of(caught) == "uniqueness_error"
    with pytest.raises(APIException) as caught:
        keys.create(name=key.name, public_key=public_key())
    assert code_of(caught) == "uniqueness_error"
    with pytest.raises(APIException) as caught:
        keys.create(name=project.name("eve"), public_key="nonsense")
    assert code_of(caught) == "invalid_input"
    assert keys.update(key, name=project.name("carol")).name == project.name("carol")


@pytest.mark.parametrize("labels", [{"a b": "c"}, {"a": "b c"}, {"hetzner.cloud/a": "b"}, {"a": "-"}, {"a" * 64: "b"}])
def test_labels_that_are_refused(project: Project, labels: dict[str, str]) -> None:
    body = {"name": project.name("group"), "type": "spread", "labels": labels}
    assert project.error("POST", "/placement_groups", **body)[1] == "invalid_input"


def test_label_selectors(project: Project) -> None:
    groups = project.client.placement_groups
    for name, purpose in [("one", "a"), ("two", "b")]:
        groups.create(name=project.name(name), type="spread", labels={**project.labels, "purpose": purpose, name: ""})
    (own,) = (f"{key}={value}" for key, value in project.labels.items())
    for selector, names in [
        ("purpose=a", ["one"]),
        ("purpose!=a", ["two"]),
        ("purpose in (a,b)", ["one", "two"]),
        ("purpose notin (a)", ["two"]),
        ("one", ["one"]),
        ("!one", ["two"]),
        ("purpose,!nothing", ["one", "two"]),
    ]:
        found = groups.get_all(label_selector=f"{own},{selector}")
        assert sorted(group.name for group in found) == sorted(map(project.name, names)), selector


def test_placement_groups(project: Project) -> None:
    groups = project.client.placement_groups
    group = groups.create(name=project.name("app"), type="spread", labels=project.labels).placement_group
    body = {"name": group.name, "type": "spread"}
    assert project.error("POST", "/placement_groups", **body) == (409, "uniqueness_error")
    assert project.error("POST", "/placement_groups", name=project.name("b"), type="tight")[1] == "invalid_input"
    assert groups.get_by_name(group.name).servers == []


def test_networks(project: Project) -> None:
    networks = project.client.networks
    network = networks.create(name=project.name("net"), ip_range="10.0.0.0/16", labels=project.labels)
    subnet = NetworkSubnet(ip_range="10.0.0.0/24", type="cloud", network_zone="eu-central")
    wait(network.add_subnet(subnet))
    wait(network.add_route(NetworkRoute(destination="0.0.0.0/0", gateway="10.0.0.2")))
    network = networks.get_by_id(network.id)
    assert [(item.ip_range, item.gateway) for item in network.subnets] == [("10.0.0.0/24", "10.0.0.1")]
    assert [(item.destination, item.gateway) for item in network.routes] == [("0.0.0.0/0", "10.0.0.2")]
    path = f"/networks/{network.id}/actions"
    overlapping = {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.0.0.0/25"}
    assert project.error("POST", f"{path}/add_subnet", **overlapping)[1] == "invalid_input"
    reserved = {"destination": "10.100.0.0/24", "gateway": "10.0.0.1"}
    assert project.error("POST", f"{path}/add_route", **reserved)[1] == "invalid_input"
    assert project.error("POST", "/networks", name=project.name("public"), ip_range="8.8.8.0/24")[1] == "invalid_input"
    wait(network.change_protection(delete=True))
    assert project.error("DELETE", f"/networks/{network.id}") == (423, "protected")
    wait(network.change_protection(delete=False))
    assert {action.command for action in network.get_actions()} == {"add_subnet", "add_route", "change_protection"}


def test_firewalls(project: Project) -> None:
    firewalls = project.client.firewalls
    ssh = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["198.51.100.7/32"], description="ssh")
    response = firewalls.create(name=project.name("fw"), rules=[ssh], labels=project.labels)
    wait(*response.actions)
    firewall = firewalls.get_by_id(response.firewall.id)
    assert [(rule.port, rule.source_ips, rule.description) for rule in firewall.rules] == [
        ("22", ["198.51.100.7/32"], "ssh")
    ]
    for wrong in (
        {"direction": "in", "protocol": "tcp", "source_ips": ["0.0.0.0/0"]},
        {"direction": "in", "protocol": "icmp", "port": "1", "source_ips": ["0.0.0.0/0"]},
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["10.0.0.1/24"]},
        {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": []},
    ):
        assert project.error("POST", f"/firewalls/{firewall.id}/actions/set_rules", rules=[wrong])[1] == "invalid_input"
    selector = FirewallResourceLabelSelector(selector="bulwark-nobody-has-this")
    target = FirewallResource(type="label_selector", label_selector=selector)
    wait(*firewall.apply_to_resources([target]))
    assert project.error("DELETE", f"/firewalls/{firewall.id}")[1] == "resource_in_use"
    wait(*firewall.remove_from_resources([target]))
    wait(*firewall.set_rules([]))
    assert firewalls.get_by_id(firewall.id).rules == []


@pytest.mark.costs
def test_a_private_server(project: Project) -> None:
    client = project.client
    network = client.networks.create(
        name=project.name("net"),
        ip_range="10.0.0.0/16",
        subnets=[NetworkSubnet(ip_range="10.0.0.0/24", type="cloud", network_zone="eu-central")],
        labels=project.labels,
    )
    image = client.images.get_by_name_and_architecture("debian-13", "arm")
    order = {
        "name": project.name("app"),
        "server_type": ServerType(name="cax11"),
        "image": image,
        "location": Location(name="fsn1"),
        "public_net": ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False),
        "labels": project.labels,
    }
    response = client.servers.create(**order, networks=[], start_after_create=False)
    wait(response.action, *response.next_actions)
    server = response.server
    wait(server.attach_to_network(network, ip="10.0.0.3"))
    wait(server.power_on())
    server = client.servers.get_by_id(server.id)
    assert (server.status, server.private_net[0].ip, server.public_net.ipv4) == ("running", "10.0.0.3", None)
    with pytest.raises(APIException) as caught:
        client.servers.create(**order, networks=[network])
    assert code_of(caught) == "uniqueness_error"
    action = server.delete()
    wait(action)
    assert client.servers.actions.get_by_id(action.id).command == "delete_server"
    assert project.error("GET", f"/servers/{server.id}") == (404, "not_found")


def test_certificates(project: Project) -> None:
    certificates = project.client.certificates
    pair = issue(["a.bulwark.example", "b.bulwark.example"])
    made = certificates.create(
        name=project.name("web"), certificate=pair.certificate, private_key=pair.private_key, labels=project.labels
    )
    assert (made.type, made.domain_names) == ("uploaded", ["a.bulwark.example", "b.bulwark.example"])
    assert made.fingerprint == pair.parsed.fingerprint(hashes.SHA256()).hex(":")
    for wrong in ({"private_key": issue().private_key}, {"certificate": "nonsense"}):
        body = {"name": project.name("b"), "certificate": pair.certificate, "private_key": pair.private_key, **wrong}
        assert project.error("POST", "/certificates", **body)[1] == "invalid_input"
    assert certificates.update(made, name=project.name("other")).name == project.name("other")


@pytest.mark.costs
def test_a_load_balancer(project: Project) -> None:
    client = project.client
    network = client.networks.create(
        name=project.name("net"),
        ip_range="10.0.0.0/16",
        subnets=[NetworkSubnet(ip_range="10.0.0.0/24", type="cloud", network_zone="eu-central")],
        labels=project.labels,
    )
    pair = issue()
    certificate = client.certificates.create(
        name=project.name("web"), certificate=pair.certificate, private_key=pair.private_key, labels=project.labels
    )
    order = {"load_balancer_type": LoadBalancerType(name="lb11"), "location": Location(name="fsn1")}
    response = client.load_balancers.create(name=project.name("lb"), labels=project.labels, **order)
    wait(response.action)
    balancer = response.load_balancer
    target = LoadBalancerTarget(
        type="label_selector",
        label_selector=LoadBalancerTargetLabelSelector(selector="bulwark-nobody-has-this"),
        use_private_ip=True,
    )
    with pytest.raises(APIException) as caught:
        balancer.add_target(target)
    assert code_of(caught) == "load_balancer_not_attached_to_network"
    wait(balancer.attach_to_network(network, ip="10.0.0.9"))
    wait(balancer.add_target(target))
    wait(balancer.add_service(LoadBalancerService(protocol="http", listen_port=8080)))
    http = LoadBalancerServiceHttp(certificates=[certificate], redirect_http=True)
    wait(balancer.add_service(LoadBalancerService(protocol="https", http=http)))
    with pytest.raises(APIException) as caught:
        balancer.add_service(LoadBalancerService(protocol="http"))
    assert code_of(caught) == "source_port_already_used", "80 redirects"
    balancer = client.load_balancers.get_by_id(balancer.id)
    plain, https = balancer.services
    check = plain.health_check
    assert (check.protocol, check.interval, check.timeout, check.retries) == ("http", 15, 10, 3)
    assert (plain.destination_port, check.http.path, check.http.status_codes) == (80, "/", ["2??", "3??"])
    assert (https.listen_port, https.destination_port, https.http.cookie_name) == (443, 80, "HCLBSTICKY")
    assert project.error("DELETE", f"/certificates/{certificate.id}")[1] == "resource_in_use"
    assert [item.ip for item in balancer.private_net] == ["10.0.0.9"]
    wait(balancer.delete().action)
    assert project.error("GET", f"/load_balancers/{balancer.id}") == (404, "not_found")
