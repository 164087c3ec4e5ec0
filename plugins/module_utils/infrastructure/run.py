# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the module: read, plan, stop there or apply, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..hcloud_client import APIException, Client, ClientError, explain
from . import actual, declared
from .apply import ApplyError, UnclearError, apply
from .declared import DeclarationError
from .lock import Lock, locked
from .plan import COLLECTIONS, Plan, Step, cents, owned
from .planner import VOLUMES, plan_absent, plan_present

#: Times that a run reads again, and goes on, after something unclear. The pauses between grow from a second.
REPAIRS = 5


class RefusedError(Exception):
    """The plan holds changes that are not made; nothing was changed. The message is one sentence for each."""

    def __init__(self, result: dict[str, Any], refusals: list[str]) -> None:
        super().__init__(" ".join(refusals))
        self.result = result


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
        before, plan = self._look(client)
        if not plan.steps or check_mode:
            return _result(plan, before) | {"servers": _servers(before.servers, environment)}
        with locked(client, environment, self.lock_timeout) as lock:
            before, plan = self._look(client)  # another run may have ended meanwhile
            try:
                self._apply(client, plan, lock)
                servers = actual.servers(client)
            except (RefusedError, ClientError, APIException, OSError) as error:
                raise ApplyError(explain(error)) from error  # since something was changed
        return _result(plan, before) | {"servers": _servers(servers, environment)}

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

    def _apply(self, client: Client, plan: Plan, lock: Lock) -> None:
        """Apply the plan; where something was unclear, look again and go on from what is there."""
        for attempt in range(REPAIRS):
            try:
                apply(client, plan, self.timeout, lock.check)
                return
            except UnclearError:
                client.sleep(2.0**attempt)
            plan = self._look(client)[1]
        apply(client, plan, self.timeout, lock.check)


def _result(plan: Plan, before: actual.Actual) -> dict[str, Any]:
    return {
        "changed": bool(plan.steps),
        "plan": [step.describe() for step in plan.steps],
        "undeclared": [str(ref) for ref in plan.undeclared],
        "monthly_price": {"difference": str(cents(plan.monthly)), "currency": before.catalogue.currency},
        "warnings": list(plan.warnings),
        "diff": _diff(plan, before.catalogue.currency),
    }


def _diff(plan: Plan, currency: str) -> list[dict[str, Any]]:
    """The plan as Ansible shows differences: one for each step, and at the end what the month costs more or less."""
    differences = [
        {
            "before_header": f"{step.ref} {step.action}",
            "after_header": f"{step.ref} {step.action}{_marks(step, currency)}",
            "before": step.before or "",
            "after": step.after or "",
        }
        for step in plan.steps
    ]
    if plan.monthly:
        title = f"price of a month (net, {currency})"
        total = {"difference": str(cents(plan.monthly))}
        differences.append({"before_header": title, "after_header": title, "before": "", "after": total})
    return differences


def _marks(step: Step, currency: str) -> str:
    marks = ["destructive"] if step.destructive else []
    if step.monthly:
        marks.append(f"{cents(step.monthly):+} {currency} a month")
    return f" ({', '.join(marks)})" if marks else ""


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
