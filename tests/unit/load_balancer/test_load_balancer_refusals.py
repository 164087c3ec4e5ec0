"""What is refused before anything is changed: by its options alone, and by what is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.declared import DeclarationError
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import actual
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.planner import plan_absent, plan_present
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.run import Run

from tests.unit.load_balancer.builders import (
    BALANCER,
    NOW,
    OTHER_PAIR,
    PAIR,
    changed,
    content,
    declare,
    https,
    own_record,
    params,
    plan,
    project,
    record,
    service,
    tcp,
    whole,
)


def tcp_service(port: int, **more: Any) -> dict[str, Any]:
    return {"protocol": "tcp", "listen_port": port, **more}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": " web"}, "name: ' web' is not 1 to 128 characters"),
        ({"environment_name": "a b"}, "environment_name: 'a b' cannot be the value of a label"),
        ({"labels": {"a b": "c"}}, "labels: web has the label a b=c"),
        ({"network": {"name": "net", "address": "10.0.0.0/24"}}, "network: '10.0.0.0/24' is no IPv4 address"),
        ({"services": [tcp_service(25), tcp_service(25)]}, "the listen_port 25 is declared 2 times"),
        ({"services": [tcp_service(0)]}, "services: 0: listen_port is 0, it can be from 1 to 65535"),
        ({"services": [tcp_service(25, destination_port=65536)]}, "destination_port is 65536"),
        ({"services": [https(health_check={"interval": 2})]}, "health_check.interval is 2, it can be from 3 to 60"),
        ({"services": [https(health_check={"timeout": 61})]}, "health_check.timeout is 61, it can be from 1 to 60"),
        ({"services": [https(health_check={"retries": 6})]}, "health_check.retries is 6, it can be from 1 to 5"),
        ({"services": [https(health_check={"http": {"path": "up"}})]}, "health_check.http.path is 'up', it must be"),
        ({"services": [https(health_check={"http": {"path": "/a b"}})]}, "a space written %20"),
        ({"services": [https(health_check={"http": {"domain": "a%b"}})]}, "health_check.http.domain is 'a%b'"),
        ({"services": [https(health_check={"http": {"status_codes": []}})]}, "given is none"),
        ({"services": [https(health_check={"http": {"status_codes": ["2xx"]}})]}, "given is 2xx"),
        ({"services": [https(health_check={"http": {"status_codes": ["200"] * 21}})]}, "are 1 to 20"),
        ({"services": [https(http={"cookie_lifetime": 29})]}, "http.cookie_lifetime is 29, it can be from 30 to 86400"),
        ({"services": [https(http={"cookie_name": "a b"})]}, "http.cookie_name is 'a b'"),
        ({"services": [https(http={"timeout_idle": 10})]}, "http.timeout_idle is 10, it can be from 30 to 300"),
        ({"services": [https({"certificate": "x", "private_key": "y"})]}, "services: 443: The certificate cannot be"),
        ({"targets": [{"server": "a"}, {"server": "a"}]}, "targets: the server a is declared 2 times"),
        ({"targets": [{"label_selector": " "}]}, "targets: one has an empty label_selector"),
        ({"targets": [{"ip": "10.0.0"}]}, "targets: '10.0.0' is no IP address"),
        ({"state": "absent"}, "deletes the load balancer web and its certificates: set confirm=lab"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as error:
        Run.parse(params(**given))
    assert sentence in str(error.value)


NO_SERVERS = replace(project(), servers={})
REDIRECT = {"redirect_http": True}


@pytest.mark.parametrize(
    ("there", "given", "sentence"),
    [
        (project(None), whole(type="lb12"), "the type lb12 does not exist in fsn1; there are lb11, lb21."),
        (project(None), whole(type="lb41"), "the type lb41 is not to be had in fsn1; there are lb11, lb21."),
        (project(), {"type": "lb41"}, "the type lb41 is not to be had in fsn1"),
        (project(None), whole(type=None), "playbooks/edge.yml, or give a type, and a location or a network_zone"),
        (project(None), whole(location="nbg1"), "there is no location nbg1; there are ash, fsn1, hel1."),
        (project(None), whole(location=None, network_zone="eu"), "no network zone eu; there are eu-central, us-east."),
        (project(None), whole(network_zone="us-east"), "fsn1 is in the network zone eu-central: name one of the two"),
        (project(), {"location": "hel1"}, "has the location fsn1, declared is hel1. A load balancer cannot move"),
        (project(), {"network_zone": "us-east"}, "has the network_zone eu-central, declared is us-east"),
        (changed(labels={"env": "other"}), {}, "that does not belong to environment lab"),
        (
            project(None),
            whole(network={"name": "nets", "address": "10.0.0.9"}),
            "there is no network nets (did you mean net?); there are: net, other.",
        ),
        (project(None), whole(network={"name": "net", "address": "10.0.4.9"}), "10.0.4.9 lies in no subnet of net"),
        (project(None), whole(network={"name": "net", "address": "10.0.9.9"}), "a subnet of the network zone us-east"),
        (project(None), whole(network={"name": "net", "address": "10.0.0.1"}), "10.0.0.1 is the gateway of net"),
        (project(None), whole(network={"name": "net", "address": "10.0.0.3"}), "is taken by server app-01"),
        (
            project(None, others=(replace(BALANCER, id=5, name="old"),)),
            whole(),
            "the address 10.0.0.9 in net is taken by load balancer old",
        ),
        (project(), {"network": {"name": "net", "address": "10.0.0.8"}}, "it has the address 10.0.0.9 in net"),
        (project(), {"targets": [{"server": "app-1"}]}, "there is no server app-1 (did you mean app-01?)"),
        (project(), {"targets": [{"server": "lonely"}]}, "the server is not in the network net"),
        (
            project(),
            {"targets": [{"server": "app-01", "use_private_ip": False}]},
            "the server has no public IPv4 address",
        ),
        (
            changed(private={}, targets=()),
            {"targets": [{"server": "app-01"}]},
            "over a private network, and it is in none",
        ),
        (changed(private={}, targets=()), {"public_interface": False}, "without a public interface it needs a network"),
        (
            changed(public=False),
            {"targets": [{"server": "app-02", "use_private_ip": False}]},
            "over their public addresses, which takes public_interface",
        ),
        (project(), {"services": [https(http=REDIRECT, listen_port=8443)]}, "only HTTPS there can have it"),
        (
            project(),
            {"services": [https(http=REDIRECT), {"protocol": "http", "listen_port": 80}]},
            "redirect_http takes port 80",
        ),
        (
            project(),
            {"services": [{"protocol": "http", "listen_port": 80, "http": REDIRECT}]},
            "http.redirect_http is given, but it is http: leave it out",
        ),
        (
            project(),
            {"services": [tcp_service(25, health_check={"http": {"path": "/up"}})]},
            "health_check.http.path is given, but its health check is of the protocol tcp",
        ),
        (project(), {"services": [{"protocol": "https", "listen_port": 8443}]}, "HTTPS takes a certificate"),
        (project(), {"services": [https({"name": "x"})]}, "there is no certificate x; there are: web-"),
        (
            project(certificates=(record(70, own_record(1).name, OTHER_PAIR),)),
            {"services": [https()]},
            "there is another certificate called web-",
        ),
        (project(), {"services": [https(content(hostnames=["a.example"]))]}, "which leaves out a.example"),
        (
            project(certificates=(record(70, "one"),)),
            {"services": [https({"name": "one", "hostnames": ["a.example"]})]},
            "The certificate is for bulwark.example, *.bulwark.example, which leaves out a.example",
        ),
        (
            project(),
            {"services": [https({"certificate": PAIR.certificate, "private_key": OTHER_PAIR.private_key})]},
            "service/web:443: The private key does not belong to the certificate",
        ),
        (project(), {"services": [tcp_service(port) for port in (1, 2, 3)]}, "lb11 takes 2 services, it would have 3"),
        (
            project(),
            {"targets": [{"label_selector": f"n={number}"} for number in range(4)]},
            "lb11 takes 3 targets, it would have 4: choose a bigger one",
        ),
        (
            changed(type=project().types["lb21"], services=(service(), tcp(1), tcp(2))),
            {"type": "lb11"},
            "lb11 takes 2 services, it would have 3",
        ),
    ],
)
def test_what_cannot_be(there: actual.Actual, given: dict[str, Any], sentence: str) -> None:
    refusals = plan(there, **given).refusals
    assert len(refusals) == 1, refusals
    assert sentence in refusals[0]


def test_every_certificate_of_a_small_type_counts() -> None:
    services = [https({"name": "a"}, {"name": "b"}, {"name": "c"})]
    there = project(certificates=tuple(record(number, name) for number, name in enumerate("abc", 70)))
    assert "lb11 takes 2 certificates, it would have 3" in " ".join(plan(there, services=services).refusals)


@pytest.mark.parametrize(
    ("there", "given", "sentence"),
    [
        (changed(public=False), {"targets": []}, "it can only move while its public interface is enabled"),
        (project(), {}, "its targets are taken away and added again: declare targets as well"),
    ],
)
def test_moves_that_cannot_be_made(there: actual.Actual, given: dict[str, Any], sentence: str) -> None:
    moved = {"network": {"name": "net", "address": "10.0.0.8"}, **given}
    assert sentence in " ".join(plan(there, "load_balancer/web", **moved).refusals)


def test_expired_certificates_are_refused_by_the_apis_clock() -> None:
    later = plan_present(declare(**whole()), project(), NOW + timedelta(days=31))
    assert "expired on" in later.refusals[0]


def test_several_mistakes_are_told_at_once() -> None:
    wrong = whole(type="lb12", network={"name": "n", "address": "10.0.0.9"}, targets=[{"server": "app-1"}])
    assert len(plan(project(None), **wrong).refusals) == 3


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        (changed(labels={}), "does not belong to environment lab"),
        (changed(protected=True), "it is protected from deletion: set delete_protection to false"),
    ],
)
def test_what_is_not_deleted(there: actual.Actual, sentence: str) -> None:
    made = plan_absent(declare(), there)
    assert sentence in made.refusals[0]
    assert all(step.refused for step in made.steps)
