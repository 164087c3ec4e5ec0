# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: steps, each of them one call to the API, and the order that follows from what they read and write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

#: Kinds of an environment's infrastructure, and where the API lists them.
COLLECTIONS = {
    "ssh_key": "/ssh_keys",
    "network": "/networks",
    "firewall": "/firewalls",
    "placement_group": "/placement_groups",
    "primary_ip": "/primary_ips",
    "server": "/servers",
    "volume": "/volumes",
}
#: The same, with those that have a module of their own.
PATHS = COLLECTIONS | {"load_balancer": "/load_balancers", "certificate": "/certificates"}
#: A mark of changes by which something is lost.
DESTRUCTIVE = "destructive"


def ownership(environment: str) -> dict[str, str]:
    """The labels on everything that is made here. The version is that of names and labels."""
    return {"env": environment, "managed-by": "bulwark", "bulwark-version": "1"}


def owned(labels: Mapping[str, str], environment: str) -> bool:
    return labels.get("env") == environment and labels.get("managed-by") == "bulwark"


class Ref(NamedTuple):
    """A resource by name. In a call it stands for the id, which may not be known before the call's turn has come."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class Call:
    """One request. ``{id}`` in the path is the id of ``target``; every :class:`Ref` in the body becomes an id."""

    method: str
    path: str
    body: Mapping[str, Any] | None = field(default=None, repr=False)  # since it may hold a private key
    target: Ref | None = None

    def references(self) -> set[Ref]:
        return set(_references(self.body)) | ({self.target} if self.target else set())


@dataclass(frozen=True)
class Step:
    """One change of one resource. ``call`` is None exactly where the change is ``refused``."""

    ref: Ref
    action: str
    call: Call | None
    why: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    destructive: bool = False  # loses data, or takes a running server away for a while
    refused: str = ""  # a sentence: why this change is not made
    monthly: Decimal = Decimal(0)  # what the month costs more, net
    reads: frozenset[Ref] = frozenset()  # resources that must not change meanwhile, beyond those the call names
    writes: frozenset[Ref] = frozenset()  # resources that change with this one

    @property
    def all_writes(self) -> set[Ref]:
        return {self.ref, *self.writes}

    @property
    def all_reads(self) -> set[Ref]:
        named = self.call.references() if self.call else set()
        return (named | self.reads) - self.all_writes

    def describe(self) -> dict[str, Any]:
        """The step as the module returns it."""
        return {
            "kind": self.ref.kind,
            "name": self.ref.name,
            "action": self.action,
            "before": self.before,
            "after": self.after,
            "destructive": self.destructive,
            "why": self.why,
            "refused": self.refused or None,
            "monthly_price": str(cents(self.monthly)),
        }


@dataclass(frozen=True)
class Plan:
    ids: Mapping[Ref, int] = field(default_factory=dict)  # of what is there already
    steps: tuple[Step, ...] = ()
    undeclared: tuple[Ref, ...] = ()  # of this environment, no longer declared, left alone
    warnings: tuple[str, ...] = ()

    @property
    def refusals(self) -> list[str]:
        return [step.refused for step in self.steps if step.refused]

    @property
    def monthly(self) -> Decimal:
        return sum((step.monthly for step in self.steps), Decimal(0))


def difference(
    title: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, *marks: str
) -> dict[str, Any]:
    """One change as Ansible shows a difference; ``marks`` are what people should notice about it."""
    marked = f"{title} ({', '.join(marks)})" if marks else title
    return {"before_header": title, "after_header": marked, "before": before or "", "after": after or ""}


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


@dataclass
class _Users:
    writer: int | None = None
    readers: list[int] = field(default_factory=list)


def dependencies(steps: Sequence[Step]) -> list[set[int]]:
    """For each step the steps that must have ended before.

    The order of ``steps`` is a possible one. Two of them keep it when they touch the same resource and at least one of
    them writes it; all others may run side by side.
    """
    users: dict[Ref, _Users] = {}
    needs: list[set[int]] = []
    for index, step in enumerate(steps):
        before: set[int] = set()
        for ref in step.all_reads:
            user = users.setdefault(ref, _Users())
            if user.writer is not None:
                before.add(user.writer)
            user.readers.append(index)
        for ref in step.all_writes:
            user = users.setdefault(ref, _Users())
            before.update(user.readers)
            if user.writer is not None:
                before.add(user.writer)
            users[ref] = _Users(writer=index)
        needs.append(before)
    return needs


def resolve(value: object, ids: Mapping[Ref, int]) -> object:
    """``value`` with ids in place of references."""
    if isinstance(value, Ref):
        return ids[value]
    if isinstance(value, Mapping):
        return {key: resolve(item, ids) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, ids) for item in value]
    return value


def _references(value: object) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item)
