"""An environment on the embedded cloud, and the module's logic applied to it."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client, create_client
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.run import Run
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import infrastructure
from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_infrastructure import SPEC

from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi

#: What the default topology makes, by the API's names.
COUNTS = {
    "ssh_keys": 1,
    "networks": 1,
    "firewalls": 1,
    "placement_groups": 2,
    "primary_ips": 1,
    "servers": 7,
    "volumes": 2,
}


def topology(**more: Any) -> dict[str, Any]:
    return {
        "environment": "lab",
        "admin_addresses": ["198.51.100.10/32"],
        "admin_keys": {"alice": SSH_KEY},
        "image": "debian-13",
        **more,
    }


def declared(**more: Any) -> dict[str, Any]:
    return infrastructure(topology(**more))


def run(api: CloudApi, options: dict[str, Any], client: Client | None = None, check: bool = False) -> dict[str, Any]:
    """The module with these options; its result. What does not settle on the lab within seconds never will."""
    return run_with(client or create_client(TOKEN, api.url), {"timeout": 20, "lock_timeout": 0, **options}, check)


def run_with(client: Client, options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    checked = ArgumentSpecValidator(SPEC).validate(options)
    assert not checked.error_messages
    return Run.parse(checked.validated_parameters).carry_out(client, check)


def made(result: dict[str, Any]) -> list[str]:
    return [f"{step['kind']}/{step['name']} {step['action']}" for step in result["plan"]]


def counts(api: CloudApi) -> dict[str, int]:
    return {kind: len(api.get(f"/{kind}")[kind]) for kind in COUNTS}
