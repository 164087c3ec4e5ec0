"""Transform rules that set headers of requests on their way to the origin: the rules of one phase, as a whole.

https://developers.cloudflare.com/rules/transform/request-header-modification/
"""

from __future__ import annotations

import re

from lab.cloudflare.errors import NOT_FOUND, CloudflareError, not_implemented
from lab.cloudflare.http import Answer, Call, Operation, Routes
from lab.cloudflare.state import HeaderRule, Ruleset, Zone, new_id, now

PHASE = "http_request_late_transform"

_REFUSAL = (10000, "request is not authorized")
_INVALID = 20217  # the vendor's code for these is not known
_HEADER = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{1,4096}")
_ONE_HOST = r'\(?\s*http\.host\s+(?:eq|==)\s+"([^"]+)"\s*\)?'
_SEVERAL = re.compile(r'\(?\s*http\.host\s+in\s+\{((?:\s*"[^"]+")+)\s*\}\s*\)?')
_EVERY = re.compile(r"\(?\s*true\s*\)?")
#: What the vendor does not let a rule set: https://developers.cloudflare.com/rules/transform/request-header-modification/
_RESERVED = ("host", "connection", "content-length", "transfer-encoding", "upgrade", "x-real-ip")


def wire(ruleset: Ruleset) -> dict[str, object]:
    return {
        "id": ruleset.id,
        "name": "default",
        "description": "",
        "kind": "zone",
        "phase": PHASE,
        "version": str(ruleset.version),
        "last_updated": ruleset.last_updated,
        "rules": [_wire_rule(rule, ruleset) for rule in ruleset.rules],
    }


def _wire_rule(rule: HeaderRule, ruleset: Ruleset) -> dict[str, object]:
    return {
        "id": rule.id,
        "ref": rule.ref or rule.id,
        "version": str(ruleset.version),
        "last_updated": ruleset.last_updated,
        "action": "rewrite",
        "action_parameters": {
            "headers": {name: {"operation": "set", "value": value} for name, value in rule.set.items()}
        },
        "expression": rule.expression,
        "description": rule.description,
        "enabled": rule.enabled,
    }


def headers_for(zone: Zone, host: str) -> dict[str, str]:
    """What requests of a host take to its origin."""
    rules = zone.header_rules.rules if zone.header_rules else []
    found: dict[str, str] = {}
    for rule in rules:
        if rule.enabled and (not rule.hosts or host in rule.hosts):
            found |= rule.set
    return found


async def get(call: Call) -> Answer:
    zone = _zone(call)
    if zone.header_rules is None:
        raise CloudflareError(10003, f"could not find entrypoint ruleset in the {PHASE} phase", NOT_FOUND)
    return Answer(wire(zone.header_rules))


async def put(call: Call) -> Answer:
    zone = _zone(call)
    given = call.body.get("rules", [])
    if not isinstance(given, list):
        raise CloudflareError(_INVALID, "rules must be a list.")
    rules = [_rule(item) for item in given]
    before = zone.header_rules
    zone.header_rules = Ruleset(before.id if before else new_id(), before.version + 1 if before else 1, now(), rules)
    return Answer(wire(zone.header_rules))


def _zone(call: Call) -> Zone:
    phase = call.request.path_params["phase"]
    if phase != PHASE:
        raise not_implemented(f"The phase {phase}")
    return call.zone


def _rule(given: object) -> HeaderRule:
    if not isinstance(given, dict):
        raise CloudflareError(_INVALID, "A rule must be an object.")
    if given.get("action") != "rewrite":
        raise not_implemented(f"The action {given.get('action')}")
    parameters = given.get("action_parameters")
    headers = parameters.get("headers") if isinstance(parameters, dict) else None
    if not isinstance(headers, dict) or not headers or set(parameters or ()) != {"headers"}:
        raise not_implemented("A rewrite of anything but headers")
    enabled, expression = given.get("enabled", True), given.get("expression")
    if not isinstance(enabled, bool) or not isinstance(expression, str):
        raise CloudflareError(_INVALID, "A rule needs an expression, and enabled must be true or false.")
    return HeaderRule(
        id=new_id(),
        hosts=_hosts(expression),
        set={name: _value(name, item) for name, item in headers.items()},
        expression=expression,
        description=str(given.get("description") or ""),
        enabled=enabled,
        ref=str(given.get("ref") or ""),
    )


def _hosts(expression: str) -> tuple[str, ...]:
    """The hosts an expression is true for; none: it always is."""
    text = expression.strip()
    if _EVERY.fullmatch(text):
        return ()
    several = _SEVERAL.fullmatch(text)
    if several:
        return tuple(re.findall(r'"([^"]+)"', several[1]))
    found = [re.fullmatch(_ONE_HOST, part.strip()) for part in re.split(r"\s+or\s+", text)]
    if not all(found):
        raise not_implemented(f"The expression {expression}: only true and conditions on http.host are; it")
    return tuple(match[1] for match in found if match)


def _value(name: str, given: object) -> str:
    if not _HEADER.fullmatch(name) or name.lower() in _RESERVED or name.lower().startswith("cf-"):
        raise CloudflareError(_INVALID, f"The header {name} cannot be set.")
    if not isinstance(given, dict) or given.get("operation") != "set" or "value" not in given:
        raise not_implemented(f"What is to happen to the header {name}: only a static value is set; this")
    value = given["value"]
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise CloudflareError(_INVALID, f"The value of the header {name} must be printable text.")
    return value


_ENTRY = "/zones/{zone_id}/rulesets/phases/{phase}/entrypoint"
ROUTES: Routes = {
    ("GET", _ENTRY): Operation(get, "Zone Transform Rules Read", _REFUSAL),
    ("PUT", _ENTRY): Operation(put, "Zone Transform Rules Write", _REFUSAL),
}
