# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a token may do in a project of Hetzner Cloud, and what is in there, found out without changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .hcloud_client import APIException, Client, ClientError, explain
from .infrastructure.plan import PATHS, owned

#: What is looked for.
KINDS = ("server", "volume", "network", "firewall", "load_balancer", "primary_ip", "placement_group")


def check(client: Client, environment: str, load_balancer: str | None = None) -> dict[str, Any]:
    """``ours`` and ``others``: what belongs to the environment and what does not, as kind/name.

    Raises :class:`ClientError` for a token that may only read, and where somebody else's load balancer has the name
    ``load_balancer``; :class:`APIException` or OSError where the API refuses or does not answer.
    """
    found = {kind: list(client.list_all(PATHS[kind])) for kind in KINDS}
    _may_write(client)
    ours: list[str] = []
    others: list[str] = []
    for kind, resources in found.items():
        for resource in resources:
            (ours if owned(resource["labels"], environment) else others).append(_name(kind, resource))
    if load_balancer and f"load_balancer/{load_balancer}" in others:
        raise ClientError(
            f"The project has a load balancer {load_balancer} that is not this environment's: use another project, "
            "or give ours another name (topology.load_balancer.name)."
        )
    return {"ours": sorted(ours), "others": sorted(others)}


def _may_write(client: Client) -> None:
    """A creation without what it must have: refused as invalid for who may write, and else because he may not.

    https://docs.hetzner.cloud/reference/cloud#errors: ``token_readonly`` "is only allowed to perform GET requests".
    """
    try:
        client.request("POST", "/ssh_keys", json={})
    except APIException as error:
        if error.code != "invalid_input":
            raise ClientError(explain(error)) from error


def _name(kind: str, resource: Mapping[str, Any]) -> str:
    return f"{kind}/{resource['name']}"
