# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in the making, whatever its kinds are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypedDict, Unpack

from .actual import Resource
from .declared import Labels
from .plan import PATHS, Call, Plan, Ref, Step, owned, ownership


class More(TypedDict, total=False):
    """What a step may say beyond the change itself; see :class:`Step`."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    destructive: bool
    monthly: Decimal
    reads: frozenset[Ref]
    writes: frozenset[Ref]


@dataclass
class Draft:
    """A plan in the making. It asks nobody: the same input gives the same plan."""

    environment: str
    allow: frozenset[str] = field(default=frozenset(), kw_only=True)
    ids: dict[Ref, int] = field(default_factory=dict, kw_only=True)
    steps: list[Step] = field(default_factory=list, kw_only=True)
    warnings: list[str] = field(default_factory=list, kw_only=True)

    def plan(self, undeclared: Iterable[Ref] = ()) -> Plan:
        return Plan(self.ids, tuple(self.steps), tuple(undeclared), tuple(self.warnings))

    def add(self, ref: Ref, action: str, call: Call, why: str, **more: Unpack[More]) -> None:
        self.steps.append(Step(ref, action, call, why, **more))

    def create(self, ref: Ref, body: Mapping[str, Any], monthly: Decimal = Decimal(0)) -> None:
        call = Call("POST", PATHS[ref.kind], body)
        self.add(ref, "create", call, "declared and not there", after=shown(body), monthly=monthly)

    def update(self, ref: Ref, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        changed = [key for key in after if before[key] != after[key]]
        if changed:
            before, after = ({key: side[key] for key in changed} for side in (before, after))
            why = f"{' and '.join(changed)} differ"
            self.add(ref, "update", self.itself(ref, "PUT", after), why, before=before, after=after)

    def do(
        self, ref: Ref, action: str, command: str, body: Mapping[str, Any] | None, why: str, **more: Unpack[More]
    ) -> None:
        """A change of the resource by one of its actions; ``command`` is what the API calls it."""
        self.add(ref, action, self.action(ref, command, body), why, **more)

    @staticmethod
    def action(ref: Ref, command: str, body: Mapping[str, Any] | None = None) -> Call:
        return Call("POST", f"{PATHS[ref.kind]}/{{id}}/actions/{command}", body, ref)

    @staticmethod
    def itself(ref: Ref, method: str, body: Mapping[str, Any] | None = None) -> Call:
        return Call(method, f"{PATHS[ref.kind]}/{{id}}", body, ref)

    def refuse(
        self,
        ref: Ref,
        action: str,
        sentence: str,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        destructive: bool = False,
    ) -> None:
        self.steps.append(Step(ref, action, None, "refused", before, after, destructive, sentence))

    def keeps(self, ref: Ref, what: str, has: object, wants: object, why: str) -> bool:
        """Whether something that cannot change is as declared; else it is refused."""
        if has == wants:
            return True
        told = f"{ref} has the {what} {has or 'none'}, declared is {wants or 'none'}."
        sentence = f"{told} {why}; or declare what it has."
        self.refuse(ref, "update", sentence, {what: has}, {what: wants}, destructive=True)
        return False

    def allowed(self, ref: Ref) -> bool:
        return str(ref) in self.allow

    def labels(self, wanted: Labels, existing: Mapping[str, str] | None = None) -> dict[str, str]:
        """The labels a resource shall have; those it has are kept where the option was omitted."""
        return dict(existing or {} if wanted is None else wanted) | ownership(self.environment)

    def owns(self, ref: Ref, existing: Resource) -> bool:
        """Whether the resource that has the declared name is this environment's; else it is refused."""
        if owned(existing.labels, self.environment):
            return True
        self.refuse(
            ref,
            "update",
            f"{ref}: there is one of this name in the project that does not belong to environment {self.environment} "
            f"(its labels are {dict(existing.labels) or 'none'}). Rename one of the two, or, to hand it over, set its "
            f"labels env={self.environment} and managed-by=bulwark in the Hetzner Console.",
        )
        return False


def shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request's body as a person wants to see it: names for ids, and the size of the first-boot data."""
    view = {key: _named(value) for key, value in body.items() if value not in (None, [], {})}
    if "user_data" in view:
        view["user_data"] = f"{len(body['user_data'].encode())} bytes"
    return view


def _named(value: object) -> object:
    if isinstance(value, Ref):
        return value.name
    if isinstance(value, Mapping):
        return {key: _named(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_named(item) for item in value]
    return value


def hint(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f" (did you mean {near[0]}?)" if near else ""
