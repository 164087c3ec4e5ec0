# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the module: read, plan, stop there or apply, wait for its targets, and what it returns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..hcloud_client import Client, ClientError
from ..infrastructure import actual as infrastructure
from ..infrastructure.declared import DeclarationError
from ..infrastructure.execution import RefusedError, describe, execute
from ..infrastructure.plan import Plan
from . import actual, certificates, declared, pem
from .actual import Actual, Target
from .planner import plan_absent, plan_present

#: Seconds between two looks at the targets' health.
POLL_INTERVAL = 1.0


class UnhealthyError(ClientError):
    """Targets do not answer in time; everything else is as declared."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


@dataclass(frozen=True)
class Run:
    """What to do, from the module's options."""

    balancer: declared.LoadBalancer
    absent: bool
    allow: frozenset[str]
    wait_healthy: float
    timeout: float
    lock_timeout: float

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Run:
        """Raises :class:`DeclarationError` for options that cannot be meant."""
        pem.require()
        absent, environment, name = params["state"] == "absent", params["environment_name"], params["name"]
        if absent and params["confirm"] != environment:
            raise DeclarationError(
                f"state=absent deletes the load balancer {name} and its certificates: set confirm={environment} to "
                "mean it."
            )
        return cls(
            declared.parse(params),
            absent,
            frozenset(params["allow"]),
            params["wait_healthy"],
            params["timeout"],
            params["lock_timeout"],
        )

    def carry_out(self, client: Client, check_mode: bool) -> dict[str, Any]:
        """The module's result. Raises :class:`RefusedError`, or what the API, the lock and ``apply`` raise."""
        before, plan, after = execute(
            client,
            self.balancer.environment,
            lambda: self._look(client),
            lambda: self._look_again(client),
            self.timeout,
            self.lock_timeout,
            check_mode,
        )
        now = before if after is None else replace(before, load_balancer=after[0], certificates=after[1])
        unhealthy = ""
        if self.wait_healthy and not self.absent and not check_mode:
            now, unhealthy = self._wait(client, now)
        result = _result(plan, before) | _described(now)
        result["warnings"] += _warnings(now)
        if unhealthy:
            raise UnhealthyError(unhealthy, result)
        return result

    def _look(self, client: Client) -> tuple[Actual, Plan]:
        """What is there, and the plan that follows. Raises :class:`RefusedError`."""
        before = actual.read(client, self.balancer, self.absent)
        if self.absent:
            plan = plan_absent(self.balancer, before)
        else:
            plan = plan_present(self.balancer, before, client.now(), self.allow)
        if plan.refusals:
            raise RefusedError(_result(plan, before), plan.refusals)
        return before, plan

    def _look_again(self, client: Client) -> tuple[actual.LoadBalancer | None, tuple[certificates.Record, ...]]:
        balancer = actual.find(client, self.balancer.name)
        served = balancer is not None and balancer.certificates
        return balancer, tuple(certificates.list_certificates(client)) if served else ()

    def _wait(self, client: Client, now: Actual) -> tuple[Actual, str]:
        """What is there once all targets are healthy, and a sentence where they are not in time."""
        deadline = time.monotonic() + self.wait_healthy
        balancer = now.load_balancer
        while balancer is not None:
            ill = [(target, port) for target in balancer.ends for port in _ill(target, balancer)]
            if not ill and balancer.ends:
                return now, ""
            if time.monotonic() >= deadline:
                if ill and not now.servers:
                    now = replace(now, servers=infrastructure.servers(client))
                return now, _unhealthy(now, balancer, ill, self.wait_healthy)
            client.sleep(POLL_INTERVAL)
            balancer = actual.find(client, self.balancer.name)
            now = replace(now, load_balancer=balancer)
        raise ClientError(f"The load balancer {self.balancer.name} was deleted meanwhile: run again.")


def _ill(target: Target, balancer: actual.LoadBalancer) -> Iterable[int]:
    return (service.port for service in balancer.services if target.health.get(service.port) != "healthy")


def _unhealthy(now: Actual, balancer: actual.LoadBalancer, ill: list[tuple[Target, int]], seconds: float) -> str:
    if not ill:
        return f"load_balancer/{balancer.name} has no target after {seconds:.0f} s: its label selectors fit no server."
    told = ", ".join(
        f"{now.server_name(target.value) or target.value} (service {port}: {target.health.get(port, 'unknown')})"
        for target, port in ill
    )
    return (
        f"load_balancer/{balancer.name}: after {seconds:.0f} s these targets are not healthy: {told}. See whether the "
        "application there answers the service's health check."
    )


def _result(plan: Plan, before: Actual) -> dict[str, Any]:
    return describe(plan, before.currency)


def _warnings(now: Actual) -> list[str]:
    return [
        f"The label selector {target.value} of the load balancer fits no server that it can reach."
        for target in (now.load_balancer.targets if now.load_balancer else ())
        if target.kind == "label_selector" and not target.servers
    ]


def _described(now: Actual) -> dict[str, Any]:
    balancer = now.load_balancer
    if balancer is None:
        return {"load_balancer": None, "certificates": {}}
    return {
        "load_balancer": {
            "id": balancer.id,
            "name": balancer.name,
            "type": balancer.type.name,
            "location": balancer.location,
            "public_ipv4": balancer.ipv4 if balancer.public else None,
            "public_ipv6": balancer.ipv6 if balancer.public else None,
            "private_address": next(iter(balancer.private.values()), None),
            "targets": [
                {
                    "server": now.server_name(target.value) if target.kind == "server" else None,
                    "server_id": target.value if target.kind == "server" else None,
                    "ip": target.value if target.kind == "ip" else None,
                    "health": {str(port): status for port, status in target.health.items()},
                }
                for target in balancer.ends
            ],
        },
        "certificates": {record.name: record.id for record in now.certificates if record.id in balancer.certificates},
    }
