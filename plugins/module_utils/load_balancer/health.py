# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a load balancer finds one of its targets, and waiting until it finds it so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..hcloud_client import Client, ClientError
from . import actual

#: Seconds between two looks.
POLL_INTERVAL = 1.0

UNKNOWN, ABSENT = "unknown", "absent"


def of_servers(balancer: actual.LoadBalancer, names: Mapping[int | str, str]) -> dict[str, str]:
    """The health of each server that is a target, by its name. Pure.

    ``healthy`` where every service finds it so, ``unhealthy`` where none does, else ``unknown``. ``names``: those of
    the servers, by id.
    """
    found = {}
    for target in balancer.ends:
        if target.value in names:
            seen = {target.health.get(service.port, UNKNOWN) for service in balancer.services}
            found[names[target.value]] = seen.pop() if len(seen) == 1 else UNKNOWN
    return found


def look(client: Client, balancer: str) -> dict[str, str]:
    """The health of each server behind a load balancer. Raises ClientError where there is none of that name."""
    found = actual.find(client, balancer)
    if found is None:
        raise ClientError(
            f"There is no load balancer {balancer} in the project of this token: make it with playbooks/edge.yml."
        )
    return of_servers(found, {data["id"]: data["name"] for data in client.list_all("/servers")})


def limit(client: Client, balancer: str) -> float:
    """Seconds in which the load balancer must have made up its mind, by the checks of its services."""
    found = client.request("GET", "/load_balancers", params={"name": balancer})["load_balancers"]
    checks: list[dict[str, Any]] = [service["health_check"] for service in (found[0]["services"] if found else [])]
    return max((float(check["interval"] * check["retries"] + check["timeout"]) for check in checks), default=0.0)


def wait(client: Client, balancer: str, server: str, state: str, seconds: float) -> dict[str, str]:
    """Look until the server is found to be in a state; one that is no target counts as unhealthy.

    Raises ClientError when it is not within ``seconds`` beyond what the load balancer's checks take by themselves.
    """
    deadline: float | None = None
    while True:
        health = look(client, balancer)
        now = health.get(server, ABSENT)
        if now == state or (now == ABSENT and state == "unhealthy"):
            return health
        if deadline is None:
            deadline = time.monotonic() + limit(client, balancer) + seconds
        if time.monotonic() >= deadline:
            told = "no target of it" if now == ABSENT else now
            raise ClientError(f"The load balancer {balancer} does not find {server} {state} in time: it is {told}.")
        client.sleep(POLL_INTERVAL)
