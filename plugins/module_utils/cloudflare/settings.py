# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a zone: those asked for, those it has, and what has to change. The plan is a pure function.

Each is read by a request of its own: the one for all at once is deprecated and ends in March 2027.
https://developers.cloudflare.com/fundamentals/api/reference/deprecations/
https://developers.cloudflare.com/api/resources/zones/subresources/settings/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .client import Client
from .plan import Change

SSL = ("off", "flexible", "full", "strict")
TLS = ("1.0", "1.1", "1.2", "1.3")
#: Suboptions of hsts, which are Cloudflare's own names for them.
HSTS = ("enabled", "max_age", "include_subdomains", "preload", "nosniff")


#: A setting's value in the form of the options: one of several words, on or off, or the suboptions of hsts.
Value = str | bool | Mapping[str, bool | int]


@dataclass(frozen=True)
class Setting:
    """One kind of setting: its option, Cloudflare's id, and how and where the dashboard names it."""

    option: str
    id: str
    title: str
    page: str


#: In the order in which they are changed: the origin's certificate is demanded before users are sent to HTTPS, and
#: browsers are told to stay there last.
SETTINGS = (
    Setting("ssl", "ssl", "SSL/TLS encryption mode", "SSL/TLS, Overview"),
    Setting("min_tls_version", "min_tls_version", "Minimum TLS Version", "SSL/TLS, Edge Certificates"),
    Setting("always_use_https", "always_use_https", "Always Use HTTPS", "SSL/TLS, Edge Certificates"),
    Setting("hsts", "security_header", "HTTP Strict Transport Security (HSTS)", "SSL/TLS, Edge Certificates"),
)


@dataclass(frozen=True)
class Step:
    """One change, and the request that makes it: the setting's id and its new value."""

    change: Change
    id: str
    value: object


@dataclass(frozen=True)
class There:
    """What a setting is, and whether the zone's plan lets it be changed."""

    value: Value
    editable: bool


def asked(options: Mapping[str, Any]) -> dict[str, Value]:
    """The settings that are given, by option. An empty hsts asks for nothing."""
    given = {setting.option: options.get(setting.option) for setting in SETTINGS}
    if given["hsts"] is not None:
        given["hsts"] = {name: value for name, value in given["hsts"].items() if value is not None} or None
    return {option: value for option, value in given.items() if value is not None}


def read(client: Client, zone_id: str, wanted: Mapping[str, Value]) -> dict[str, There]:
    """The settings that are asked for, by option; one request each."""
    there = {}
    for setting in SETTINGS:
        if setting.option in wanted:
            result = client.get(f"/zones/{zone_id}/settings/{setting.id}").result
            value = _from_api(setting.option, result["value"])
            there[setting.option] = There(value, result.get("editable") is not False)
    return there


def plan(wanted: Mapping[str, Value], there: Mapping[str, There], owned: bool, zone: str) -> list[Step]:
    """What has to change; in a zone that is not ours, each change that is needed is refused."""
    steps = []
    for setting in SETTINGS:
        if setting.option not in wanted:
            continue
        value, actual = wanted[setting.option], there[setting.option]
        before, whole = actual.value, value
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            before, whole = {name: before[name] for name in value}, {**before, **value}
        if before == value or (not owned and _suffices(value, before)):
            continue
        change = Change(
            "setting",
            setting.option,
            "update",
            "asked for" if _suffices(before, value) else "asked for, weaker than it was",
            before=before if isinstance(before, Mapping) else {"value": before},
            after=value if isinstance(value, Mapping) else {"value": value},
            refused=_refusal(setting, value, before, actual.editable, owned, zone),
        )
        steps.append(Step(change, setting.id, _to_api(whole)))
    return steps


def apply(client: Client, zone_id: str, steps: Sequence[Step]) -> None:
    """Set the values, one request each; each may be repeated."""
    for step in steps:
        client.request("PATCH", f"/zones/{zone_id}/settings/{step.id}", body={"value": step.value})


def _refusal(setting: Setting, value: Value, before: Value, editable: bool, owned: bool, zone: str) -> str:
    where = f"in the Cloudflare dashboard under {setting.page}"
    if not owned:
        return (
            f"{setting.title} of the zone {zone} is {_told(before)} and must be {_told(value)} or stricter: set it "
            f"{where}. It holds for every site of the zone; only with owned=true is it changed from here."
        )
    if not editable:
        return (
            f"{setting.title} of the zone {zone} is {_told(before)} and cannot be changed on the zone's plan: leave it "
            f"out, or look at it {where}."
        )
    return ""


def _told(value: Value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_told(item) if isinstance(item, bool) else item}" for name, item in value.items())
    if isinstance(value, bool):
        return "on" if value else "off"
    return "strict, which is Full (strict)," if value == "strict" else value


def _suffices(value: Value, actual: Value) -> bool:
    """Whether ``actual`` is at least as strict as ``value``."""
    if isinstance(value, Mapping) and isinstance(actual, Mapping):
        return value.get("enabled") is False or all(actual[name] >= item for name, item in value.items())
    if isinstance(value, str) and isinstance(actual, str):
        return _rank(actual) >= _rank(value)
    return bool(actual) >= bool(value)


def _rank(value: str) -> int:
    """A word's place on its scale. What is on none is stricter than all, as origin_pull is."""
    scale = SSL if value in SSL else TLS
    return scale.index(value) if value in scale else len(SSL) + len(TLS)


def _from_api(option: str, value: object) -> Value:
    if option == "hsts":
        told = value.get("strict_transport_security") if isinstance(value, Mapping) else None
        header = told or {}
        return {name: header.get(name) or (0 if name == "max_age" else False) for name in HSTS}
    return value == "on" if option == "always_use_https" else str(value)


def _to_api(value: Value) -> object:
    if isinstance(value, Mapping):
        return {"strict_transport_security": dict(value)}
    if isinstance(value, bool):
        return "on" if value else "off"
    return value
