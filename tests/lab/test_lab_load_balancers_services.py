"""Services of load balancers: defaults, limits, changes, and which can be had side by side."""

from __future__ import annotations

from typing import Any

import pytest
from hcloud import APIException
from hcloud.load_balancers import BoundLoadBalancer, LoadBalancerService

from lab.drivers.base import DriverError
from tests.lab import builders
from tests.lab.cloud_api import CloudApi


@pytest.fixture
def balancer(cloud_api: CloudApi) -> BoundLoadBalancer:
    return builders.load_balancer(cloud_api)


def act(api: CloudApi, balancer: BoundLoadBalancer, operation: str, **body: Any) -> None:
    """A change that must succeed."""
    action = api.post(f"/load_balancers/{balancer.id}/actions/{operation}", **body)["action"]
    api.settle()
    assert api.get(f"/actions/{action['id']}")["action"]["status"] == "success"


def refused(api: CloudApi, balancer: BoundLoadBalancer, operation: str, **body: Any) -> tuple[int, dict[str, Any]]:
    return api.refused("POST", f"/load_balancers/{balancer.id}/actions/{operation}", **body)


def services(api: CloudApi, balancer: BoundLoadBalancer) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = api.get(f"/load_balancers/{balancer.id}")["load_balancer"]["services"]
    return shown


CHECK = {"interval": 15, "timeout": 10, "retries": 3}
HTTP_CHECK = {"domain": None, "path": "/", "response": "", "status_codes": ["2??", "3??"], "tls": False}
HTTP = {"cookie_name": "HCLBSTICKY", "cookie_lifetime": 300, "timeout_idle": 50, "sticky_sessions": False}


def test_defaults_of_tcp(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    act(cloud_api, balancer, "add_service", protocol="tcp", listen_port=5432, destination_port=6432)
    assert services(cloud_api, balancer) == [
        {
            "protocol": "tcp",
            "listen_port": 5432,
            "destination_port": 6432,
            "proxyprotocol": False,
            "health_check": {"protocol": "tcp", "port": 6432, **CHECK},
        }
    ]


def test_defaults_of_http(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    act(cloud_api, balancer, "add_service", protocol="http")
    assert services(cloud_api, balancer) == [
        {
            "protocol": "http",
            "listen_port": 80,
            "destination_port": 80,
            "proxyprotocol": False,
            "health_check": {"protocol": "http", "port": 80, **CHECK, "http": HTTP_CHECK},
            "http": {**HTTP, "certificates": [], "redirect_http": False},
        }
    ]


def test_defaults_of_https(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    certificate = builders.certificate(cloud_api)
    act(cloud_api, balancer, "add_service", protocol="https", http={"certificates": [certificate.id]})
    (service,) = services(cloud_api, balancer)
    assert (service["listen_port"], service["destination_port"]) == (443, 80)
    assert service["http"] == {**HTTP, "certificates": [certificate.id], "redirect_http": False}


def test_everything_can_be_said(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    certificate = builders.certificate(cloud_api)
    wanted = {
        "protocol": "https",
        "listen_port": 443,
        "destination_port": 3000,
        "proxyprotocol": True,
        "health_check": {
            "protocol": "http",
            "port": 3001,
            "interval": 3,
            "timeout": 1,
            "retries": 5,
            "http": {
                "domain": "bulwark.example",
                "path": "/up?a=b",
                "response": '"status": "ok"',
                "status_codes": ["200", "3*"],
                "tls": True,
            },
        },
        "http": {
            "cookie_name": "STUCK",
            "cookie_lifetime": 30,
            "timeout_idle": 300,
            "certificates": [certificate.id],
            "redirect_http": True,
            "sticky_sessions": True,
        },
    }
    act(cloud_api, balancer, "add_service", **wanted)
    assert services(cloud_api, balancer) == [wanted]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"protocol": None}, "protocol"),
        ({"protocol": "udp"}, "protocol"),
        ({"listen_port": None, "protocol": "tcp"}, "listen_port"),
        ({"destination_port": None, "protocol": "tcp"}, "destination_port"),
        ({"listen_port": 0}, "listen_port"),
        ({"destination_port": 0}, "destination_port"),
        ({"listen_port": 65536}, "listen_port"),
        ({"destination_port": "80"}, "destination_port"),
        ({"health_check": {"protocol": "icmp"}}, "health_check.protocol"),
        ({"health_check": {"port": 0}}, "health_check.port"),
        ({"health_check": {"interval": 2}}, "health_check.interval"),
        ({"health_check": {"interval": 61}}, "health_check.interval"),
        ({"health_check": {"timeout": 0}}, "health_check.timeout"),
        ({"health_check": {"timeout": 61}}, "health_check.timeout"),
        ({"health_check": {"retries": 0}}, "health_check.retries"),
        ({"health_check": {"retries": 6}}, "health_check.retries"),
        ({"health_check": {"http": {"domain": "a b"}}}, "health_check.http.domain"),
        ({"health_check": {"http": {"domain": "a%b"}}}, "health_check.http.domain"),
        ({"health_check": {"http": {"domain": "a\\b"}}}, "health_check.http.domain"),
        ({"health_check": {"http": {"domain": "a" * 129}}}, "health_check.http.domain"),
        ({"health_check": {"http": {"path": ""}}}, "health_check.http.path"),
        ({"health_check": {"http": {"path": "up"}}}, "health_check.http.path"),
        ({"health_check": {"http": {"path": "/a b"}}}, "health_check.http.path"),
        ({"health_check": {"http": {"path": "/up\nserver evil"}}}, "health_check.http.path"),
        ({"health_check": {"http": {"response": "a" * 257}}}, "health_check.http.response"),
        ({"health_check": {"http": {"response": "a\nb"}}}, "health_check.http.response"),
        ({"health_check": {"http": {"status_codes": []}}}, "health_check.http.status_codes"),
        ({"health_check": {"http": {"status_codes": ["2??,3??"]}}}, "health_check.http.status_codes"),
        ({"health_check": {"http": {"status_codes": ["200"] * 21}}}, "health_check.http.status_codes"),
        ({"http": {"cookie_name": ""}}, "http.cookie_name"),
        ({"http": {"cookie_name": "a b"}}, "http.cookie_name"),
        ({"http": {"cookie_lifetime": 29}}, "http.cookie_lifetime"),
        ({"http": {"cookie_lifetime": 86401}}, "http.cookie_lifetime"),
        ({"http": {"timeout_idle": 29}}, "http.timeout_idle"),
        ({"http": {"certificates": [1]}}, "http.certificates"),
        ({"http": {"redirect_http": True}}, "http.redirect_http"),
        ({"protocol": "https"}, "http.certificates"),
    ],
)
def test_services_that_cannot_be(null_api: CloudApi, fields: dict[str, Any], field: str) -> None:
    balancer = builders.load_balancer(null_api)
    body = {"protocol": "http", "listen_port": 80, "destination_port": 80, **fields}
    status, error = refused(null_api, balancer, "add_service", **body)
    assert (status, error["details"]["fields"][0]["name"]) == (422, field)
    assert services(null_api, balancer) == []


def test_certificates_of_a_service(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    certificate = builders.certificate(cloud_api).id
    assert refused(cloud_api, balancer, "add_service", protocol="https", http={"certificates": [7]})[0] == 404
    twice = {"certificates": [certificate, certificate]}
    status, error = refused(cloud_api, balancer, "add_service", protocol="https", http=twice)
    assert (status, error["code"]) == (422, "invalid_input")
    elsewhere = {"certificates": [certificate], "redirect_http": True}
    _, error = refused(cloud_api, balancer, "add_service", protocol="https", listen_port=8443, http=elsewhere)
    assert "listen on port 443" in error["message"]


def test_ports_are_taken_once(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    http = {"certificates": [builders.certificate(cloud_api).id]}
    act(cloud_api, balancer, "add_service", protocol="https", http=http)
    status, error = refused(cloud_api, balancer, "add_service", protocol="tcp", listen_port=443, destination_port=1)
    assert (status, error["code"]) == (412, "source_port_already_used")
    act(cloud_api, balancer, "add_service", protocol="http")
    status, error = refused(cloud_api, balancer, "update_service", listen_port=443, http={"redirect_http": True})
    assert (status, error["code"]) == (422, "source_port_already_used")
    act(cloud_api, balancer, "delete_service", listen_port=80)
    act(cloud_api, balancer, "update_service", listen_port=443, http={"redirect_http": True})
    status, error = refused(cloud_api, balancer, "add_service", protocol="http")
    assert (status, error["code"]) == (412, "source_port_already_used"), "80 redirects"
    services = [{"protocol": "http", "listen_port": 1}, {"protocol": "http", "listen_port": 1}]
    order = {"name": "b", "load_balancer_type": "lb11", "location": "fsn1", "services": services}
    assert cloud_api.refused("POST", "/load_balancers", **order)[0] == 412


def test_only_what_is_named_is_changed(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    first, second = builders.certificate(cloud_api).id, builders.certificate(cloud_api, "second").id
    check = {"interval": 5, "http": {"domain": "bulwark.example", "path": "/up"}}
    http = {"certificates": [first], "sticky_sessions": True}
    act(cloud_api, balancer, "add_service", protocol="https", destination_port=3000, health_check=check, http=http)
    (before,) = services(cloud_api, balancer)
    act(cloud_api, balancer, "update_service", listen_port=443, http={"certificates": [second]})
    (after,) = services(cloud_api, balancer)
    assert after == {**before, "http": {**before["http"], "certificates": [second]}}
    act(cloud_api, balancer, "update_service", listen_port=443, health_check={"retries": 1, "http": {"domain": None}})
    (after,) = services(cloud_api, balancer)
    check_after = {**before["health_check"], "retries": 1, "http": {**before["health_check"]["http"], "domain": None}}
    assert after["health_check"] == check_after
    status, error = refused(cloud_api, balancer, "update_service", listen_port=443, http={"certificates": []})
    assert (status, error["details"]["fields"][0]["name"]) == (422, "http.certificates")
    act(cloud_api, balancer, "update_service", listen_port=443, protocol="http")
    (after,) = services(cloud_api, balancer)
    assert (after["protocol"], after["http"]["certificates"]) == ("http", [])
    act(cloud_api, balancer, "update_service", listen_port=443, protocol="tcp")
    assert "http" not in services(cloud_api, balancer)[0]


@pytest.mark.parametrize("operation", ["update_service", "delete_service"])
def test_a_service_that_is_not_there(cloud_api: CloudApi, balancer: BoundLoadBalancer, operation: str) -> None:
    status, error = refused(cloud_api, balancer, operation, listen_port=80)
    assert (status, error["details"]["fields"][0]["name"]) == (422, "listen_port")


def test_there_is_an_end_of_services_and_certificates(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    certificates = [builders.certificate(cloud_api, f"c{number}").id for number in range(11)]
    status, error = refused(cloud_api, balancer, "add_service", protocol="https", http={"certificates": certificates})
    assert (status, error["message"]) == (403, "load balancers of type lb11 have at most 10 certificates")
    for port in range(1, 6):
        act(cloud_api, balancer, "add_service", protocol="http", listen_port=port)
    status, error = refused(cloud_api, balancer, "add_service", protocol="http")
    assert (status, error["message"]) == (403, "load balancers of type lb11 have at most 5 services")


def test_the_library_reads_every_kind(cloud_api: CloudApi, balancer: BoundLoadBalancer) -> None:
    """It reads more of a service than the document demands."""
    certificate = builders.certificate(cloud_api)
    act(cloud_api, balancer, "add_service", protocol="tcp", listen_port=1, destination_port=1)
    act(cloud_api, balancer, "add_service", protocol="http")
    act(cloud_api, balancer, "add_service", protocol="https", http={"certificates": [certificate.id]})
    read: list[LoadBalancerService] = cloud_api.client.load_balancers.get_by_id(balancer.id).services
    assert [service.protocol for service in read] == ["tcp", "http", "https"]
    assert [found.id for found in read[2].http.certificates] == [certificate.id]


def test_a_failed_change_is_taken_back(null_api: CloudApi) -> None:
    balancer = builders.load_balancer(null_api)
    null_api.driver.failures["sync_load_balancer"] = DriverError("the machine room is on fire")
    null_api.post(f"/load_balancers/{balancer.id}/actions/add_service", protocol="http")
    null_api.settle()
    assert services(null_api, balancer) == []
    null_api.driver.failures.clear()
    act(null_api, balancer, "add_service", protocol="http")
    with pytest.raises(APIException):
        balancer.add_service(LoadBalancerService(protocol="http"))
