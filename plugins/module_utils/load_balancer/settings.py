# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service as a flat set of settings, in which ``health_check.interval`` is one. So two of them are easily compared.

https://docs.hetzner.cloud/reference/cloud#load-balancer-actions. Domain and response of a health check are empty for
none; certificates are names, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..infrastructure.plan import Ref

Settings = Mapping[str, Any]

#: Of a service with these protocols. What the vendor's document gives as defaults.
_HTTP: Settings = {
    "http.sticky_sessions": False,
    "http.cookie_name": "HCLBSTICKY",
    "http.cookie_lifetime": 300,
    "http.timeout_idle": 50,
}
_HTTPS: Settings = {**_HTTP, "http.redirect_http": False, "http.certificates": ()}
_BY_PROTOCOL: Mapping[str, Settings] = {"tcp": {}, "http": _HTTP, "https": _HTTPS}
#: Of a health check over HTTP.
_CHECK_HTTP: Settings = {
    "health_check.http.domain": "",
    "health_check.http.path": "/up",
    "health_check.http.response": "",
    "health_check.http.status_codes": ("2??", "3??"),
    "health_check.http.tls": False,
}
#: Where a new service leads unless it says so.
_DESTINATION_PORT = {"http": 80, "https": 80}


def flat(service: Mapping[str, Any]) -> dict[str, Any]:
    """From an option or from the API, which call everything the same; without what is not given."""
    settings: dict[str, Any] = {}
    _flatten("", service, settings)
    for key in ("http.certificates", "health_check.http.status_codes"):
        if key in settings:
            settings[key] = tuple(sorted(settings[key]))
    return settings


def _flatten(prefix: str, group: Mapping[str, Any], settings: dict[str, Any]) -> None:
    for key, value in group.items():
        if isinstance(value, Mapping):
            _flatten(f"{prefix}{key}.", value, settings)
        elif value is not None:
            settings[prefix + key] = value


def complete(given: Settings, existing: Settings | None = None) -> dict[str, Any]:
    """All settings of a service: what is given, else what it has, else the default; only those that it can have."""
    has = existing or {}
    protocol = given["protocol"]
    port = given.get("destination_port") or has.get("destination_port")
    port = port or _DESTINATION_PORT.get(protocol, given["listen_port"])
    check: Settings = {
        # An application that speaks HTTP says more than an open port; what else there is may not speak it.
        "health_check.protocol": "tcp" if protocol == "tcp" else "http",
        "health_check.port": port,
        "health_check.interval": 15,
        "health_check.timeout": 5,
        "health_check.retries": 3,
    }
    defaults = {"destination_port": port, "proxyprotocol": False, **_BY_PROTOCOL[protocol], **check, **_CHECK_HTTP}
    settings = {**defaults, **has, **given}
    known = {"protocol", "listen_port", *defaults}  # the API may come to tell more
    return {key: value for key, value in settings.items() if key in known and _can_have(key, settings)}


def strange(given: Settings, settings: Settings) -> list[str]:
    """What is asked for but cannot be had."""
    return sorted(key for key, value in given.items() if value and key not in settings)


def _can_have(key: str, settings: Settings) -> bool:
    if key.startswith("http."):
        return key in _BY_PROTOCOL[settings["protocol"]]
    return not key.startswith("health_check.http.") or settings["health_check.protocol"] == "http"


def changes(before: Settings, after: Settings) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def body(settings: Settings, changed: list[str] | None = None) -> dict[str, Any]:
    """The request that adds a service, or that updates what has ``changed``, each group as a whole."""
    keys = set(settings)
    if changed is not None:
        groups = {key.partition(".")[0] for key in changed} | {"listen_port"}
        if "protocol" in changed:
            groups.add("http")
        keys = {key for key in keys if key.partition(".")[0] in groups}
    request: dict[str, Any] = {}
    for key in sorted(keys):
        *groups_of_key, name = key.split(".")
        place = request
        for group in groups_of_key:
            place = place.setdefault(group, {})
        place[name] = _value(key, settings[key])
    return request


def _value(key: str, value: object) -> object:
    if key == "http.certificates" and isinstance(value, tuple):
        return [Ref("certificate", name) for name in value]
    return list(value) if isinstance(value, tuple) else value
