# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the module: read, plan, stop there or apply, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..hcloud_client import Client
from . import actual, declared
from .declared import DeclarationError
from .execution import RefusedError, describe, execute
from .plan import COLLECTIONS, Plan, owned
from .planner import VOLUMES, plan_absent, plan_present


@dataclass(frozen=True)
class Run:
    """What to do, from the module's options."""

    infrastructure: declared.Infrastructure
    absent: bool
    allow: frozenset[str]
    timeout: float
    lock_timeout: float

    @classmethod
    def parse(cls, params: Mapping[str, Any]) -> Run:
        """Raises :class:`DeclarationError` for options that cannot be meant."""
        absent = params["state"] == "absent"
        environment = params["environment_name"]
        if absent and params["confirm"] != environment:
            raise DeclarationError(
                f"state=absent deletes everything of environment {environment}: set confirm={environment} to mean it."
            )
        for name in params["allow"]:
            kind, _, rest = name.partition("/")
            if name != VOLUMES and (kind not in COLLECTIONS or not rest):
                raise DeclarationError(
                    f"allow: {name!r} is neither {VOLUMES} nor kind/name such as server/app-03; "
                    f"kinds are {', '.join(COLLECTIONS)}."
                )
        infrastructure = declared.Infrastructure(environment) if absent else declared.parse(params)
        return cls(infrastructure, absent, frozenset(params["allow"]), params["timeout"], params["lock_timeout"])

    def carry_out(self, client: Client, check_mode: bool) -> dict[str, Any]:
        """The module's result. Raises :class:`RefusedError`, or what the API, the lock and ``apply`` raise."""
        environment = self.infrastructure.environment
        before, plan, servers = execute(
            client,
            environment,
            lambda: self._look(client),
            lambda: actual.servers(client),
            self.timeout,
            self.lock_timeout,
            check_mode,
        )
        shown = before.servers if servers is None else servers
        return _result(plan, before) | {"servers": _servers(shown, environment)}

    def _look(self, client: Client) -> tuple[actual.Actual, Plan]:
        """What is there, and the plan that follows. Raises :class:`RefusedError`."""
        environment = self.infrastructure.environment
        before = actual.read(client, environment, self.timeout)
        if self.absent:
            plan = plan_absent(environment, before, self.allow)
        else:
            plan = plan_present(self.infrastructure, before, self.allow)
        if plan.refusals:
            raise RefusedError(_result(plan, before), plan.refusals)
        return before, plan


def _result(plan: Plan, before: actual.Actual) -> dict[str, Any]:
    described = describe(plan, before.catalogue.currency)
    return described | {"undeclared": [str(ref) for ref in plan.undeclared]}


def _servers(servers: Mapping[str, actual.Server], environment: str) -> dict[str, Any]:
    return {
        server.name: {
            "id": server.id,
            "status": server.status,
            "private_addresses": sorted(server.private.values()),
            "public_ipv4": server.ipv4[1] if server.ipv4 else None,
            "public_ipv6": server.ipv6,
        }
        for server in servers.values()
        if owned(server.labels, environment)
    }
