# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A header that Cloudflare sets on requests on their way to the origin: one rule of ours among those of the zone.

The rules of a phase are read and written as a whole, so the others are sent back as they came. Ours is known by its
``ref``, which stays when a rule changes: https://developers.cloudflare.com/ruleset-engine/rulesets-api/update/,
https://developers.cloudflare.com/rules/transform/request-header-modification/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .client import Client, CloudflareError, RefusedError
from .marks import check_environment, mark
from .plan import Change
from .zones import full_name

PHASE = "http_request_late_transform"
#: What the API tells of a rule, and does not take back.
_TOLD = ("version", "last_updated")


@dataclass(frozen=True)
class Header:
    """``value`` is a secret and in no plan."""

    environment: str
    name: str
    value: str = field(repr=False)
    hostnames: tuple[str, ...]

    @property
    def ref(self) -> str:
        return f"bulwark-{self.environment}-{self.name.lower()}"

    def rule(self) -> dict[str, Any]:
        hosts = " ".join(f'"{name}"' for name in self.hostnames)
        return {
            "ref": self.ref,
            "description": f"{mark(self.environment)} {self.name}",
            "expression": f"http.host in {{{hosts}}}",
            "action": "rewrite",
            "action_parameters": {"headers": {self.name: {"operation": "set", "value": self.value}}},
            "enabled": True,
        }


@dataclass(frozen=True)
class Step:
    """The one change, and all rules as they are to be."""

    change: Change
    rules: Sequence[Mapping[str, Any]]


def parse(options: Mapping[str, Any], zone: str) -> Header:
    """Raises :class:`CloudflareError` for what Cloudflare would not set, or for names outside of the zone."""
    environment, name, value = check_environment(options["environment_name"]), options["name"], options["value"] or ""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name) or name.lower().startswith(("cf-", "x-cf-")):
        raise CloudflareError(f"name: {name!r} is no header that may be set, such as X-Edge-Secret.")
    if options["state"] == "present" and not re.fullmatch(r"[\x21-\x7e]{16,1024}", value):
        raise CloudflareError("value: a secret has at least 16 printable characters, and no spaces.")
    try:
        hostnames = tuple(sorted({full_name(host, zone) for host in options["hostnames"] or ()}))
    except CloudflareError as error:
        raise CloudflareError(f"hostnames: {error}") from error
    if any(host.startswith("*") for host in hostnames):
        raise CloudflareError("hostnames: name each host, the rule knows no wildcards.")
    if options["state"] == "present" and not hostnames:
        raise CloudflareError("hostnames: name at least one.")
    return Header(environment, name, value, hostnames)


def read(client: Client, zone_id: str) -> list[dict[str, Any]]:
    """The rules of the zone, in order. Without any there may be no set of them."""
    try:
        ruleset = client.get(path(zone_id)).result
    except RefusedError as error:
        if error.status == 404:
            return []
        raise
    return [{key: value for key, value in rule.items() if key not in _TOLD} for rule in ruleset.get("rules") or ()]


def plan(header: Header, rules: Iterable[Mapping[str, Any]], present: bool) -> list[Step]:
    """Our rule exactly as declared, in its place among the others, or gone."""
    there = list(rules)
    ours = [rule for rule in there if rule.get("ref") == header.ref]
    before = _shown(header, ours[0]) if ours else None
    if not present:
        if not ours:
            return []
        change = Change("request_header", header.name, "delete", "asked for", before=before, destructive=True)
        return [Step(change, [rule for rule in there if rule not in ours])]
    wanted = header.rule()
    if not ours:
        change = Change("request_header", header.name, "create", "declared", after=_shown(header, wanted))
        return [Step(change, [*there, wanted])]
    if all(ours[0].get(key) == value for key, value in wanted.items()):
        return []
    same = ours[0].get("action_parameters") == wanted["action_parameters"]
    why = "the rule differs" if same else "the value differs"
    change = Change("request_header", header.name, "update", why, before, _shown(header, wanted))
    return [Step(change, [{**rule, **wanted} if rule is ours[0] else rule for rule in there])]


def apply(client: Client, zone_id: str, steps: Sequence[Step]) -> None:
    """Write the rules; may be repeated."""
    for step in steps:
        client.request("PUT", path(zone_id), body={"rules": list(step.rules)})


def path(zone_id: str) -> str:
    return f"/zones/{zone_id}/rulesets/phases/{PHASE}/entrypoint"


def _shown(header: Header, rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule without its value."""
    same = rule.get("action_parameters") == header.rule()["action_parameters"]
    return {
        "expression": rule.get("expression"),
        "enabled": rule.get("enabled"),
        "value": "as declared" if same else "another one",
    }
