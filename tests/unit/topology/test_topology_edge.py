"""The load balancer and the edge of a topology: what they stand for, and what may not be said of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.filter.edge import FilterModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import edge
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV alice"


def expanded(certificate: str = "", addresses: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    required = {"environment": "production", "admin_addresses": ["198.51.100.7/32"], "admin_keys": {"alice": KEY}}
    return edge({**required, **more}, certificate, addresses)


def with_edge(**more: Any) -> dict[str, Any]:
    return {"edge": {"zone": "example.com", **more}}


def test_without_an_edge_there_is_no_load_balancer() -> None:
    assert expanded() == {}


def test_the_load_balancer_is_the_architectures() -> None:
    made = expanded("cert-1", **with_edge())["load_balancer"]
    assert (made["name"], made["type"], made["location"]) == ("rails-lb", "lb11", "fsn1")
    assert made["network"] == {"name": "production-network", "address": "10.0.0.9"}
    assert made["targets"] == [{"label_selector": "env=production,role-app=true", "use_private_ip": True}]
    (service,) = made["services"]
    assert (service["protocol"], service["listen_port"], service["destination_port"]) == ("https", 443, 80)
    assert service["http"]["certificates"] == [{"name": "cert-1"}]
    assert service["http"]["redirect_http"]
    check = service["health_check"]
    assert (check["interval"], check["timeout"], check["retries"]) == (15, 5, 3)
    assert (check["http"]["path"], check["http"]["domain"]) == ("/up", "")


def test_every_hostname_leads_to_every_address_through_the_proxy() -> None:
    records = expanded(
        addresses=("203.0.113.9", "2001:db8::9"), **with_edge(hostnames=["example.com", "www.example.com"])
    )["records"]
    assert [(record["name"], record["type"], record["content"]) for record in records] == [
        ("example.com", "A", "203.0.113.9"),
        ("example.com", "AAAA", "2001:db8::9"),
        ("www.example.com", "A", "203.0.113.9"),
        ("www.example.com", "AAAA", "2001:db8::9"),
    ]
    assert all(record["proxied"] for record in records)


def test_a_zone_is_strict_and_somebody_elses_unless_said_otherwise() -> None:
    made = expanded(**with_edge())
    assert made["hostnames"] == ["example.com"]
    assert not made["zone_owned"]
    assert made["settings"] == {
        "ssl": "strict",
        "always_use_https": True,
        "min_tls_version": "1.2",
        "hsts": {"enabled": True, "max_age": 15_552_000},
    }


def test_hsts_can_be_off() -> None:
    assert not expanded(**with_edge(hsts=False))["settings"]["hsts"]["enabled"]


def test_what_a_person_decides_of_the_load_balancer() -> None:
    made = expanded(
        **with_edge(),
        load_balancer={
            "name": "lb",
            "type": "lb21",
            "algorithm": "least_connections",
            "sticky_sessions": True,
            "health_check": {"path": "/health", "host": "example.com", "interval": 3, "timeout": 2, "retries": 2},
        },
    )["load_balancer"]
    assert (made["name"], made["type"], made["algorithm"]) == ("lb", "lb21", "least_connections")
    (service,) = made["services"]
    assert service["http"]["sticky_sessions"]
    assert service["health_check"]["http"]["domain"] == "example.com"
    assert service["health_check"]["interval"] == 3


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"edge": {}}, "topology.edge.zone is missing."),
        ({"edge": {"zone": "https://example.com"}}, "topology.edge.zone: 'https://example.com' is no name such as"),
        (with_edge(hostnames=["www.example.org"]), "'www.example.org' is not in the zone example.com."),
        (with_edge(hostnames=["example.com", "example.com"]), "topology.edge.hostnames names one twice."),
        (with_edge(hostnames=["*.example.com"]), "topology.edge.hostnames: name at least one without a wildcard."),
        (with_edge(zone_owned="yes"), "topology.edge.zone_owned must be true or false, not 'yes'."),
        (with_edge(min_tls_version=1.2), "topology.edge.min_tls_version must be one of 1.0, 1.1, 1.2, 1.3, not 1.2."),
        (with_edge(hsts_max_age=0), "topology.edge.hsts_max_age must be a whole number"),
        ({"load_balancer": {"algorithm": "random"}}, "topology.load_balancer.algorithm must be one of round_robin"),
        (
            {"load_balancer": {"health_check": {"interval": 1}}},
            "health_check.interval must be a whole number from 3 to 60",
        ),
        ({"load_balancer": {"health_check": {"path": "up"}}}, "health_check.path: 'up' is no path such as /up."),
        ({"load_balancer": {"health_check": {"host": "a b"}}}, "health_check.host: 'a b' is no name such as"),
        ({**with_edge(), "environment": "pro_d"}, "'pro_d' has an underscore"),
        ({"load_balancer": {"port": 1}}, "topology.load_balancer has an unknown key 'port'"),
    ],
)
def test_mistakes_are_one_sentence_each(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TopologyError, match=r".") as caught:
        expanded(**more)
    assert sentence in str(caught.value)


def test_the_filter_takes_addresses_from_what_the_module_returned() -> None:
    given = {"environment": "lab", "admin_addresses": ["198.51.100.7/32"], "admin_keys": {"alice": KEY}, **with_edge()}
    found = FilterModule().filters()["edge"](given, None, {"public_ipv4": "203.0.113.9", "public_ipv6": None})
    assert [record["content"] for record in found["records"]] == ["203.0.113.9"]


def test_names_never_lead_to_nowhere() -> None:
    given = {"environment": "lab", "admin_addresses": ["198.51.100.7/32"], "admin_keys": {"alice": KEY}, **with_edge()}
    with pytest.raises(AnsibleFilterError, match="no public address"):
        FilterModule().filters()["edge"](given, None, {"name": "rails-lb", "public_ipv4": None, "public_ipv6": None})
