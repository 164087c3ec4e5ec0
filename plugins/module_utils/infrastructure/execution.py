# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan, stop there or apply, and what a module returns of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..hcloud_client import APIException, Client, ClientError, explain
from ..retries import REPAIRS
from .apply import ApplyError, UnclearError, apply
from .lock import Lock, locked
from .plan import DESTRUCTIVE, Plan, Step, cents, difference


class RefusedError(Exception):
    """The plan holds changes that are not made; nothing was changed. The message is one sentence for each."""

    def __init__(self, result: dict[str, Any], refusals: list[str]) -> None:
        super().__init__(" ".join(refusals))
        self.result = result


_Before = TypeVar("_Before")
_After = TypeVar("_After")


def execute(
    client: Client,
    environment: str,
    look: Callable[[], tuple[_Before, Plan]],
    look_again: Callable[[], _After],
    timeout: float,
    lock_timeout: float,
    check_mode: bool,
) -> tuple[_Before, Plan, _After | None]:
    """What was there, the plan that followed, and what is there after it: None where nothing was changed.

    ``look`` reads and plans, and raises :class:`RefusedError`; ``look_again`` reads what the module tells afterwards.
    ``timeout`` is for the actions of one step, ``lock_timeout`` for another run to end, both in seconds. Raises what
    the API, the lock and ``apply`` raise.
    """
    before, plan = look()
    if not plan.steps or check_mode:
        return before, plan, None
    with locked(client, environment, lock_timeout) as lock:
        before, plan = look()  # another run may have ended meanwhile
        try:
            _apply(client, look, plan, timeout, lock)
            return before, plan, look_again()
        except (RefusedError, ClientError, APIException, OSError) as error:
            raise ApplyError(explain(error)) from error  # since something was changed


def _apply(client: Client, look: Callable[[], tuple[_Before, Plan]], plan: Plan, timeout: float, lock: Lock) -> None:
    """Apply the plan; where something was unclear, look again and go on from what is there."""
    for attempt in range(REPAIRS):
        try:
            apply(client, plan, timeout, lock.check)
            return
        except UnclearError:
            client.sleep(2.0**attempt)
        plan = look()[1]
    apply(client, plan, timeout, lock.check)


def describe(plan: Plan, currency: str | None) -> dict[str, Any]:
    """What every module with a plan returns; ``currency`` is None where nobody has asked for it."""
    return {
        "changed": bool(plan.steps),
        "plan": [step.describe() for step in plan.steps],
        "monthly_price": {"difference": str(cents(plan.monthly)), "currency": currency},
        "warnings": list(plan.warnings),
        "diff": _diff(plan, currency),
    }


def _diff(plan: Plan, currency: str | None) -> list[dict[str, Any]]:
    """The plan as Ansible shows differences: one for each step, and at the end what the month costs more or less."""
    differences = [
        difference(f"{step.ref} {step.action}", step.before, step.after, *_marks(step, currency)) for step in plan.steps
    ]
    if plan.monthly:
        total = {"difference": str(cents(plan.monthly))}
        differences.append(difference(f"price of a month (net, {currency})", None, total))
    return differences


def _marks(step: Step, currency: str | None) -> list[str]:
    marks = [DESTRUCTIVE] if step.destructive else []
    if step.monthly:
        marks.append(f"{cents(step.monthly):+} {currency} a month")
    return marks
