# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: what changes, in which order, and what is not done; and carrying one out where answers get lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..infrastructure.plan import DESTRUCTIVE, difference
from ..retries import REPAIRS
from .client import Client, CloudflareError


@dataclass(frozen=True)
class Change:
    """One change of one thing, as people see it."""

    kind: str
    name: str
    action: str
    why: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    destructive: bool = False  # something is lost, or no longer answers
    refused: str = ""  # a sentence: why this change is not made

    def describe(self) -> dict[str, Any]:
        """The change as the module returns it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "action": self.action,
            "before": self.before,
            "after": self.after,
            "destructive": self.destructive,
            "why": self.why,
            "refused": self.refused or None,
        }

    def difference(self) -> dict[str, Any]:
        """The change as Ansible shows differences."""
        marks = [DESTRUCTIVE] if self.destructive else []
        return difference(f"{self.kind} {self.name} {self.action}", self.before, self.after, *marks)


class RefusedPlanError(CloudflareError):
    """The plan holds changes that are not made; nothing was changed. The message is one sentence for each."""

    def __init__(self, changes: Sequence[Change]) -> None:
        super().__init__("Nothing was changed. " + " ".join(change.refused for change in changes if change.refused))
        self.result = result(changes) | {"changed": False}


def result(changes: Sequence[Change]) -> dict[str, Any]:
    """What every module returns: whether something changes, what, and the same as differences."""
    return {
        "changed": bool(changes),
        "plan": [change.describe() for change in changes],
        "diff": [change.difference() for change in changes],
    }


def settle(client: Client, step: Callable[[], None]) -> None:
    """Do ``step``, which reads and then changes, again until nothing about it is unclear or out of date.

    Raises :class:`CloudflareError`: at once what is clear, at last what stays unclear.
    """
    told = ""
    for attempt in range(REPAIRS):
        try:
            step()
            return
        except CloudflareError as error:
            if not error.unclear and (not error.outdated or str(error) == told):
                raise
            told = str(error)
        client.sleep(2.0**attempt)
    step()
