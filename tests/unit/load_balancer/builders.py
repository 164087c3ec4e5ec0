"""A declared load balancer, and a project in which exactly that is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.actual import Server
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.plan import Plan, ownership
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import actual, pem
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.certificates import Record
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.declared import LoadBalancer, parse
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.planner import plan_present
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.rotation import UPLOADED_HERE, own_name
from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_load_balancer import SPEC

from tests.lab.pairs import Pair, issue

PAIR, OTHER_PAIR = issue(), issue()
NOW = datetime.now(UTC)
ID = 9
NET = actual.Network(1, "net", "10.0.0.0/16", "10.0.0.1", (("10.0.0.0/24", "eu-central"), ("10.0.9.0/24", "us-east")))
OTHER_NET = actual.Network(2, "other", "10.1.0.0/16", "10.1.0.1", (("10.1.0.0/24", "eu-central"),))
TYPES = {
    "lb11": actual.Type("lb11", 2, 3, 2, {"fsn1": Decimal("5.39"), "hel1": Decimal("5.99")}),
    "lb21": actual.Type("lb21", 15, 75, 25, {"fsn1": Decimal("16.40")}),
    "lb41": actual.Type("lb41", 15, 75, 25, {"ash": Decimal("16.40")}),
}
ZONES = {"fsn1": "eu-central", "hel1": "eu-central", "ash": "us-east"}


def content(pair: Pair = PAIR, **more: Any) -> dict[str, Any]:
    return {"certificate": pair.certificate, "private_key": pair.private_key, **more}


def https(*certificates: dict[str, Any], **more: Any) -> dict[str, Any]:
    http = {"certificates": list(certificates or (content(),)), **more.pop("http", {})}
    return {"protocol": "https", "listen_port": 443, "http": http, **more}


def params(**given: Any) -> dict[str, Any]:
    """Options as the module receives them: checked against its specification, with all defaults."""
    result = ArgumentSpecValidator(SPEC).validate({"environment_name": "lab", "name": "web", **given})
    assert not result.error_messages, result.error_messages
    validated: dict[str, Any] = result.validated_parameters
    return validated


def whole(**more: Any) -> dict[str, Any]:
    return {
        "type": "lb11",
        "location": "fsn1",
        "network": {"name": "net", "address": "10.0.0.9"},
        "services": [https()],
        "targets": [{"server": "app-01"}, {"label_selector": "role-app=true"}],
        **more,
    }


def declare(**given: Any) -> LoadBalancer:
    return parse(params(**given))


def server(number: int, name: str, private: dict[int, str] | None = None, ipv4: bool = False) -> Server:
    address = (100 + number, f"203.0.113.{number}") if ipv4 else None
    return Server(number, name, {}, "running", "cax11", "arm", 40, "fsn1", None, None, private or {}, address)


SERVERS = {
    "app-01": server(1, "app-01", {1: "10.0.0.3"}),
    "app-02": server(2, "app-02", {1: "10.0.0.4"}, ipv4=True),
    "lonely": server(3, "lonely"),
}


def record(number: int, name: str, pair: Pair = PAIR, used_by: tuple[int, ...] = (), **labels: str) -> Record:
    chain = pem.parse(pair.certificate)
    return Record(
        number,
        name,
        labels,
        pair.certificate,
        chain.fingerprint,
        chain.content,
        chain.names,
        chain.not_valid_after,
        used_by,
    )


def own_record(number: int, pair: Pair = PAIR, used_by: tuple[int, ...] = ()) -> Record:
    """One that the module has uploaded."""
    name = own_name("web", pem.parse(pair.certificate).content)
    return record(number, name, pair, used_by, **ownership("lab"), **UPLOADED_HERE)


def service(certificates: tuple[int, ...] = (70,), **changes: Any) -> actual.Service:
    """HTTPS as it is made from :func:`https`, as the API tells it."""
    check = {"protocol": "http", "port": 80, "interval": 15, "timeout": 5, "retries": 3}
    check_http = {"domain": None, "path": "/up", "response": "", "status_codes": ["2??", "3??"], "tls": False}
    http = {"cookie_name": "HCLBSTICKY", "cookie_lifetime": 300, "timeout_idle": 50, "sticky_sessions": False}
    data = {"protocol": "https", "listen_port": 443, "destination_port": 80, "proxyprotocol": False}
    more = {"http": {**http, "redirect_http": False, "certificates": list(certificates)}}
    return actual.Service.parse({**data, **more, "health_check": {**check, "http": check_http}, **changes})


def tcp(port: int) -> actual.Service:
    check = {"protocol": "tcp", "port": port, "interval": 15, "timeout": 5, "retries": 3}
    data = {"protocol": "tcp", "listen_port": port, "destination_port": port, "proxyprotocol": False}
    return actual.Service.parse({**data, "health_check": check})


TARGETS = (
    actual.Target("server", 1, True, {443: "healthy"}),
    actual.Target(
        "label_selector",
        "role-app=true",
        True,
        {},
        (actual.Target("server", 1, True), actual.Target("server", 2, True)),
    ),
)
BALANCER = actual.LoadBalancer(
    id=ID,
    name="web",
    labels=ownership("lab"),
    type=TYPES["lb11"],
    location="fsn1",
    network_zone="eu-central",
    algorithm="round_robin",
    public=True,
    ipv4="203.0.113.9",
    ipv6="2001:db8::1",
    private={1: "10.0.0.9"},
    services=(service(),),
    targets=TARGETS,
)


def project(balancer: actual.LoadBalancer | None = BALANCER, **more: Any) -> actual.Actual:
    """With ``balancer``, and the certificate that it uses."""
    used = (own_record(70, used_by=(ID,)),) if balancer else ()
    networks = {network.name: network for network in (NET, OTHER_NET)}
    known: dict[str, Any] = {"certificates": used, "networks": networks, "servers": SERVERS, "types": TYPES}
    return actual.Actual(balancer, **{**known, "zones": ZONES, "currency": "EUR", **more})


def changed(**changes: Any) -> actual.Actual:
    """The project with another load balancer."""
    return project(replace(BALANCER, **changes))


def plan(there: actual.Actual, *allow: str, **given: Any) -> Plan:
    return plan_present(declare(**given), there, NOW, frozenset(allow))


def actions(made: Plan) -> list[str]:
    return [f"{step.ref} {step.action}" for step in made.steps]
