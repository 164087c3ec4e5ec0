"""Tokens, zones and their settings, as they are asked for."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import get_args, get_type_hints

from lab.cloudflare.errors import CloudflareError, not_implemented
from lab.cloudflare.http import Answer, Call, Operation, Page, Routes
from lab.cloudflare.state import StrictTransportSecurity, Zone, ZoneSettings, now

_UNAUTHORIZED = (9109, "Unauthorized to access requested resource")
_SETTINGS = tuple(ZoneSettings.__dataclass_fields__)
_MOST_MAX_AGE = 31536000  # a year


async def verify(call: Call) -> Answer:
    valid = {"code": 10000, "message": "This API Token is valid and active", "type": None}
    return Answer({"id": call.token.id, "status": call.token.status}, [valid])


def wire(zone: Zone, account_id: str) -> dict[str, object]:
    return {
        "id": zone.id,
        "name": zone.name,
        "status": "active",
        "paused": False,
        "type": "full",
        "development_mode": 0,
        "name_servers": [f"ns{number}.{zone.name}" for number in (1, 2)],
        "original_name_servers": None,
        "original_registrar": None,
        "original_dnshost": None,
        "created_on": zone.created_on,
        "modified_on": zone.created_on,
        "activated_on": zone.created_on,
        "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 0, "phishing_detected": False},
        "owner": {"id": None, "type": "user", "email": None},
        "account": {"id": account_id, "name": "The lab's"},
        "permissions": ["#zone:read"],
        "plan": {"id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "name": "Free Website", "price": 0, "legacy_id": "free"},
    }


async def list_zones(call: Call) -> Page:
    call.understand("name", "status", "account.id", "page", "per_page", "match", "order", "direction")
    store = call.cloudflare.store
    found = [
        wire(zone, store.account_id)
        for zone in store.zones.values()
        if call.one("name") in (None, zone.name)
        and call.one("status") in (None, "active")
        and call.one("account.id") in (None, store.account_id)
    ]
    return call.page(found)


async def get_zone(call: Call) -> Answer:
    return Answer(wire(call.zone, call.cloudflare.store.account_id))


# Settings


def wire_setting(zone: Zone, name: str) -> dict[str, object]:
    value = getattr(zone.settings, name)
    if isinstance(value, StrictTransportSecurity):
        value = {"strict_transport_security": asdict(value)}
    return {"id": name, "value": value, "editable": True, "modified_on": zone.settings_changed.get(name)}


def _name(call: Call) -> str:
    name = str(call.request.path_params["name"])
    if name not in _SETTINGS:
        raise not_implemented(f"The zone setting {name}")
    return name


async def get_setting(call: Call) -> Answer:
    return Answer(wire_setting(call.zone, _name(call)))


async def edit_setting(call: Call) -> Answer:
    zone, name = call.zone, _name(call)
    value = call.body.get("value")
    if name == "security_header":
        checked: object = _security_header(zone.settings.security_header, value)
    elif value in get_args(get_type_hints(ZoneSettings)[name]):
        checked = value
    else:
        raise _invalid(name)
    setattr(zone.settings, name, checked)
    zone.settings_changed[name] = now()
    return Answer(wire_setting(zone, name))


def _security_header(before: StrictTransportSecurity, value: object) -> StrictTransportSecurity:
    """What is not given stays."""
    given = value.get("strict_transport_security") if isinstance(value, dict) else None
    if not isinstance(given, dict):
        raise _invalid("security_header")
    known = asdict(before)
    for field, item in given.items():
        if field not in known or isinstance(item, bool) == (field == "max_age"):
            raise _invalid("security_header")
    max_age = given.get("max_age", before.max_age)
    if not isinstance(max_age, int) or not 0 <= max_age <= _MOST_MAX_AGE:
        raise _invalid("security_header")
    return replace(before, **given)


def _invalid(name: str) -> CloudflareError:
    return CloudflareError(1007, f"Invalid value for zone setting {name}")


ROUTES: Routes = {
    ("GET", "/user/tokens/verify"): Operation(verify),
    ("GET", "/zones"): Operation(list_zones, "Zone Read", _UNAUTHORIZED),
    ("GET", "/zones/{zone_id}"): Operation(get_zone, "Zone Read", _UNAUTHORIZED),
    ("GET", "/zones/{zone_id}/settings/{name}"): Operation(get_setting, "Zone Settings Read", _UNAUTHORIZED),
    ("PATCH", "/zones/{zone_id}/settings/{name}"): Operation(edit_setting, "Zone Settings Write", _UNAUTHORIZED),
}
