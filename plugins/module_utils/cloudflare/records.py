# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS records: those declared, those of the zone, and what has to change. The plan is a pure function.

Ours are marked by their comment, the only thing about a record that means nothing to Cloudflare and that every plan
has: https://developers.cloudflare.com/dns/manage-dns-records/reference/record-attributes/.

No name stops answering on the way. What replaces a record is there before it goes, or takes its place; only one of
another kind, such as a CNAME for an address, cannot stand beside it. Since a record's kind cannot be changed any more,
since June 2026, both changes are then made by one request, which Cloudflare carries out in one transaction.
https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from .client import Client
from .contents import quoted, told
from .marks import mark
from .plan import Change
from .record_options import AUTOMATIC, IN_THE_WAY, Declared

#: A zone of ours has far fewer, so that one request reads them all. The vendor allows more.
PER_PAGE = 1000
#: A batch's operations, in the order in which Cloudflare carries them out.
_OPERATIONS = {"DELETE": "deletes", "PATCH": "patches", "POST": "posts"}


@dataclass(frozen=True)
class Record:
    """A record as the API tells it, its content in the form of :func:`.contents.normal`."""

    id: str
    name: str
    type: str
    content: str
    proxied: bool
    ttl: int
    comment: str


@dataclass(frozen=True)
class Step:
    """One change, and the request that makes it. ``body`` has the id of a record that is there."""

    change: Change
    method: str
    body: Mapping[str, Any]
    name: str  # the record's, as its type
    type: str
    together: bool = False  # with all others of the same name


def owned(record: Record, environment: str) -> bool:
    return record.comment == mark(environment) or record.comment.startswith(f"{mark(environment)} ")


def read(client: Client, zone_id: str) -> list[Record]:
    """Every record of the zone."""
    return [
        Record(
            id=data["id"],
            name=data["name"].lower(),
            type=data["type"],
            content=told(data["type"], data.get("content") or "", client.zone),
            proxied=bool(data.get("proxied")),
            ttl=data["ttl"],
            comment=data.get("comment") or "",
        )
        for data in client.list_all(f"/zones/{zone_id}/dns_records", PER_PAGE)
    ]


def plan(
    declared: Iterable[Declared],
    there: Iterable[Record],
    environment: str,
    zone: str,
    allow: frozenset[str] = frozenset(),
) -> list[Step]:
    """What makes the records of the environment exactly those declared."""
    wanted: dict[str, list[Declared]] = defaultdict(list)
    for item in declared:
        wanted[item.name].append(item)
    found: dict[str, list[Record]] = defaultdict(list)
    for record in there:
        found[record.name].append(record)
    ours = {name for name, records in found.items() if any(owned(record, environment) for record in records)}
    steps: list[Step] = []
    for name in sorted(wanted.keys() | ours):
        planning = _Name(environment, zone, name, wanted[name], found[name], name in allow)
        steps += planning.steps()
    return sorted(steps, key=_turn)


def _turn(step: Step) -> int:
    """A name may lead to another one, which so is there before, and goes after."""
    return 1 if step.together else {"POST": 0, "PATCH": 1, "DELETE": 2}[step.method]


@dataclass(frozen=True)
class _Name:
    """The planning of one name."""

    environment: str
    zone: str
    name: str
    wanted: Sequence[Declared]
    there: Sequence[Record]
    allowed: bool

    def steps(self) -> list[Step]:
        kinds = {item.type for item in self.wanted}
        blocked = {kind for wanted in kinds for kind in IN_THE_WAY[wanted]} - kinds
        steps: list[Step] = []
        for record in self.there:
            # The zone's own NS records are Cloudflare's affair, and in nobody's way.
            in_the_way = record.type in blocked and not (record.type == "NS" and self.name == self.zone)
            if owned(record, self.environment) and record.type not in kinds:
                steps.append(self._delete(record, "no longer declared"))
            elif in_the_way:
                steps.append(self._delete(record, f"in the way of {' and '.join(sorted(kinds))}"))
        for kind in sorted(kinds):
            steps += self._set(kind)
        # One that is replaced by another kind makes room first, in the same request.
        made = [step.type for step in steps if step.method == "POST"]
        if any(step.type in IN_THE_WAY[kind] for step in steps if step.method == "DELETE" for kind in made):
            order = list(_OPERATIONS)
            return [replace(step, together=True) for step in sorted(steps, key=lambda step: order.index(step.method))]
        return steps

    def _set(self, kind: str) -> list[Step]:
        """The records of one kind: first those whose content stays, then others change theirs in place."""
        wanted = [item for item in self.wanted if item.type == kind]
        there = [record for record in self.there if record.type == kind]
        by_content = {record.content: record for record in there}
        pairs = [(item, by_content[item.content]) for item in wanted if item.content in by_content]
        missing = [item for item in wanted if item.content not in by_content]
        kept = {record.id for _, record in pairs}
        spare = [record for record in there if record.id not in kept]
        pairs += zip(missing, spare, strict=False)
        steps = [step for item, record in pairs if (step := self._update(item, record))]
        steps += [self._create(item) for item in missing[len(spare) :]]
        return steps + [self._delete(record, "not declared") for record in spare[len(missing) :]]

    def _create(self, item: Declared) -> Step:
        body = _body(item, None, self.environment)
        change = Change("record", f"{self.name} {item.type}", "create", "declared", after=_shown(body))
        return Step(change, "POST", body, self.name, item.type)

    def _update(self, item: Declared, record: Record) -> Step | None:
        body = _body(item, record, self.environment)
        after, before = _shown(body), _shown(_body_of(record))
        foreign = not owned(record, self.environment)
        if after == before:
            return None
        changed = [key for key in after if after[key] != before.get(key)]
        change = Change(
            "record",
            f"{self.name} {item.type}",
            "adopt" if foreign else "update",
            "not ours so far" if foreign else f"{', '.join(changed)} differ",
            before={key: before.get(key) for key in changed},
            after={key: after[key] for key in changed},
            destructive=foreign and item.content != record.content,
            refused=self._refusal(record),
        )
        return Step(change, "PATCH", {"id": record.id, **body}, self.name, item.type)

    def _delete(self, record: Record, why: str) -> Step:
        change = Change(
            "record",
            f"{self.name} {record.type}",
            "delete",
            why,
            before=_shown(_body_of(record)),
            destructive=True,
            refused=self._refusal(record),
        )
        return Step(change, "DELETE", {"id": record.id}, self.name, record.type)

    def _refusal(self, record: Record) -> str:
        if self.allowed or owned(record, self.environment):
            return ""
        return (
            f"{self.name} has a record {record.type} {record.content} that does not carry the mark "
            f"{mark(self.environment)!r} in its comment, so it is somebody else's: delete it, or set "
            f"allow=record/{self.name} to replace what is there."
        )


def apply(client: Client, zone_id: str, steps: Iterable[Step]) -> None:
    """Make the changes, in this order. Raises :class:`CloudflareError`."""
    path = f"/zones/{zone_id}/dns_records"
    for _, group in groupby(steps, key=lambda step: step.name if step.together else id(step)):
        batch = list(group)
        step = batch[0]
        if step.together:
            body: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
            for item in batch:
                body[_OPERATIONS[item.method]].append(item.body)
            client.request("POST", f"{path}/batch", body=body)
        elif step.method == "POST":
            client.request("POST", path, body=step.body)
        elif step.method == "PATCH":
            client.request("PATCH", f"{path}/{step.body['id']}", body=step.body)
        else:
            client.request("DELETE", f"{path}/{step.body['id']}")


def _body(item: Declared, record: Record | None, environment: str) -> dict[str, Any]:
    """The whole record as it is to be: what is not declared stays as it is, or is Cloudflare's default."""
    proxied = item.proxied if item.proxied is not None else bool(record and record.proxied)
    ttl = item.ttl if item.ttl is not None else record.ttl if record else AUTOMATIC
    if item.comment is not None:
        comment = f"{mark(environment)} {item.comment}".strip()
    elif record and owned(record, environment):
        comment = record.comment
    else:
        comment = mark(environment)
    return {
        "name": item.name,
        "type": item.type,
        "content": quoted(item.content) if item.type == "TXT" else item.content,
        "proxied": proxied,
        "ttl": AUTOMATIC if proxied else ttl,
        "comment": comment,
    }


def _body_of(record: Record) -> dict[str, Any]:
    return {
        "content": quoted(record.content) if record.type == "TXT" else record.content,
        "proxied": record.proxied,
        "ttl": record.ttl,
        "comment": record.comment,
    }


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in ("content", "proxied", "ttl", "comment")}
