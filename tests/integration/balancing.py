"""A project with a network and two application servers on the embedded cloud, and the load balancer's module there."""

from __future__ import annotations

import re
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client, create_client
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.run import Run
from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_load_balancer import SPEC

from lab.drivers.base import Health
from tests.lab import builders
from tests.lab.cloud_api import TOKEN, CloudApi
from tests.lab.pairs import Pair, issue

NAME = "rails-lb"
ADDRESS = "10.0.0.9"
PAIR, OTHER_PAIR = issue(), issue()


def prepare(api: CloudApi) -> None:
    """The network and the servers app-01 (10.0.0.2) and app-02 (10.0.0.3) in it."""
    network = builders.network(api)
    for name in ("app-01", "app-02"):
        builders.server(api, name, networks=[network], labels={"role-app": "true"})


def certificate(pair: Pair) -> dict[str, Any]:
    return {"certificate": pair.certificate, "private_key": pair.private_key}


def service(pair: Pair = PAIR, **more: Any) -> dict[str, Any]:
    """HTTPS with a certificate by content; ``http`` and ``health_check`` as they are given beyond it."""
    http = {"redirect_http": True, "certificates": [certificate(pair)], **more.pop("http", {})}
    return {"protocol": "https", "listen_port": 443, "http": http, **more}


def options(**more: Any) -> dict[str, Any]:
    """The guide's load balancer, with targets by name."""
    return {
        "environment_name": "lab",
        "name": NAME,
        "type": "lb11",
        "location": "fsn1",
        "network": {"name": "net", "address": ADDRESS},
        "services": [service()],
        "targets": [{"server": "app-01"}, {"server": "app-02"}],
        **more,
    }


def absent(**more: Any) -> dict[str, Any]:
    return {"environment_name": "lab", "name": NAME, "state": "absent", "confirm": "lab", **more}


def run(api: CloudApi, given: dict[str, Any], client: Client | None = None, check: bool = False) -> dict[str, Any]:
    """The module with these options; its result. What does not settle on the lab within seconds never will."""
    checked = ArgumentSpecValidator(SPEC).validate({"timeout": 20, "lock_timeout": 0, **given})
    assert not checked.error_messages, checked.error_messages
    return Run.parse(checked.validated_parameters).carry_out(client or create_client(TOKEN, api.url), check)


def balancer(api: CloudApi) -> dict[str, Any]:
    [found] = api.get("/load_balancers", name=NAME)["load_balancers"]
    return dict(found)


def certificates(api: CloudApi) -> dict[str, str]:
    """Names, and what is uploaded under them."""
    return {found["name"]: found["certificate"] for found in api.get("/certificates")["certificates"]}


def requests(api: CloudApi) -> list[str]:
    """What was asked since the log was emptied, such as ``POST /load_balancers/actions/add_service``: without ids."""
    return [
        f"{request['method']} {re.sub(r'/[0-9]+', '', request['path'].removeprefix('/v1'))}"
        for request in api.manage("GET", "/requests")["requests"]
    ]


def forget_requests(api: CloudApi) -> None:
    api.manage("DELETE", "/requests", status=204)


def all_healthy(api: CloudApi, *addresses: str) -> None:
    for address in addresses:
        api.driver.health[address, 443] = Health.HEALTHY
