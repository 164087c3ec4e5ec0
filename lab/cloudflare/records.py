"""DNS records: what can be one, which exclude each other, and how they are asked for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from lab import settings
from lab.cloudflare.errors import NOT_FOUND, CloudflareError, not_implemented
from lab.cloudflare.http import Answer, Call, Operation, Page, Routes
from lab.cloudflare.state import Record, RecordType, Zone, new_id, now

_TYPES = get_args(RecordType)
_PROXIABLE = ("A", "AAAA", "CNAME")
#: Types of the vendor that are not kept here.
_OTHER_TYPES = (
    "CAA CERT DNSKEY DS HTTPS LOC NAPTR NS OPENPGPKEY PTR SMIMEA SRV SSHFP SVCB TLSA URI".split()  # noqa: SIM905 because one word a line says no more
)
_FIELDS = ("name", "type", "content", "ttl", "proxied", "comment", "priority")
#: Fields of the vendor that may be given with what every record has.
_EMPTY_FIELDS = ("tags", "settings", "data")

_AUTOMATIC = 1
_LEAST_TTL, _MOST_TTL = 60, 86400  # of a zone that is not an enterprise's
_MOST_COMMENT = 100
_MOST_TEXT = 2048
_MOST_PRIORITY = 65535
_MOST_NAME = 253
_MOST_IN_BATCH = 200  # of a free zone
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

_FIRST_PER_PAGE, _MOST_PER_PAGE = 100, 5000
_ORDERS = ("type", "name", "content", "ttl", "proxied")
_MATCHES = ("exact", "contains", "startswith", "endswith")


def wire(record: Record) -> dict[str, object]:
    """A record as the vendor shows it."""
    shown: dict[str, object] = {
        "id": record.id,
        "name": record.name,
        "type": record.type,
        "content": record.content,
        "proxiable": record.type in _PROXIABLE,
        "proxied": record.proxied,
        "ttl": record.ttl,
        "settings": {},
        "meta": {},
        "comment": record.comment,
        "tags": [],
        "created_on": record.created_on,
        "modified_on": record.modified_on,
    }
    if record.priority is not None:
        shown["priority"] = record.priority
    return shown


# What can be a record


def build(zone: Zone, record_id: str, body: Mapping[str, object], before: Record | None = None) -> Record:
    """A record from the fields of a request; those that are missing are as in ``before`` or as usual."""
    _check_fields(body)
    given = {name: body[name] for name in _FIELDS if name in body}
    if before is not None:
        given = {**{name: getattr(before, name) for name in _FIELDS}, **given}
    kind = _type(given.get("type"))
    proxied = _proxied(kind, given.get("proxied", False))
    ttl = _ttl(given.get("ttl", _AUTOMATIC))
    moment = now()
    return Record(
        id=record_id,
        name=_name(zone, given.get("name")),
        type=kind,
        content=_content(kind, given.get("content"), proxied),
        ttl=_AUTOMATIC if proxied else ttl,
        proxied=proxied,
        comment=_comment(given.get("comment")),
        priority=_priority(kind, given.get("priority")),
        created_on=before.created_on if before else moment,
        modified_on=moment,
    )


def _check_fields(body: Mapping[str, object]) -> None:
    for name, value in body.items():
        if name in _FIELDS or (name in _EMPTY_FIELDS and not value) or name in ("id", "zone_id", "zone_name"):
            continue
        if name == "tags":
            count = len(value) if isinstance(value, list) else 1
            raise CloudflareError(9300, f"DNS record has {count} tags, exceeding the quota of 0.")
        raise not_implemented(f"The field {name} of a DNS record")


def _type(given: object) -> RecordType:
    for known in _TYPES:
        if given == known:
            return cast("RecordType", known)
    if given in _OTHER_TYPES:
        raise not_implemented(f"A DNS record of type {given}")
    raise CloudflareError(9004, "Invalid or missing DNS record type.")


def _name(zone: Zone, given: object) -> str:
    """In full: what does not end with the zone's name is below it."""
    if not isinstance(given, str) or not given:
        raise CloudflareError(9000, "DNS name is invalid.")
    name = given.lower().removesuffix(".")
    if name == "@":
        name = zone.name
    if not zone.holds(name):
        name = f"{name}.{zone.name}"
    if not valid_name(name.removeprefix("*.")):
        raise CloudflareError(9000, "DNS name is invalid.")
    for own in (*settings.REGISTRY_NAMES, settings.OBJECT_STORAGE_NAME):
        if name == own or name.endswith(f".{own}"):
            raise not_implemented(f"{name} is a name of the lab's own; a record of it")
    return name


def valid_name(name: str) -> bool:
    return len(name) <= _MOST_NAME and all(_LABEL.fullmatch(label) for label in name.split("."))


def _content(kind: RecordType, given: object, proxied: bool) -> str:
    if not isinstance(given, str) or not given.strip():
        raise CloudflareError(9002, f"Content for {kind} record is invalid.")
    content = given.strip()
    if kind in ("A", "AAAA"):
        return _address(kind, content, proxied)
    if kind in ("CNAME", "MX"):
        content = content.lower().removesuffix(".")
        if not valid_name(content) or content.rpartition(".")[2].isdecimal():
            code = 9007 if kind == "CNAME" else 9009
            raise CloudflareError(code, f"Content for {kind} record is invalid.")
        return content
    if len(content) > _MOST_TEXT or not content.isprintable():
        raise CloudflareError(9002, f"Content for {kind} record is invalid.")
    return content


def _address(kind: RecordType, content: str, proxied: bool) -> str:
    version = 4 if kind == "A" else 6
    try:
        address = ipaddress.ip_address(content)
    except ValueError:
        address = None
    if address is None or address.version != version or "%" in content:
        code = 9005 if kind == "A" else 9006
        raise CloudflareError(code, f"Content for {kind} record must be a valid IPv{version} address.")
    if proxied and not _can_be_an_origin(address):
        raise CloudflareError(9003, f"Target {address} is not allowed for a proxied record.")
    return str(address)


def _can_be_an_origin(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Public ones, which in the lab are those of the ranges for documentation, and not the edge's own."""
    if str(address) in (settings.EDGE_ADDRESS, settings.EDGE_IPV6):
        return False
    if any(
        address.version == network.version and address in network
        for network in map(ipaddress.ip_network, (settings.INTERNET_RANGE, settings.SERVER_IPV6_RANGE))
    ):
        return True
    return address.is_global and not address.is_multicast


def _proxied(kind: RecordType, given: object) -> bool:
    if given is None:
        return False
    if not isinstance(given, bool):
        raise CloudflareError(9004, "Invalid proxied mode: it must be true or false.")
    if given and kind not in _PROXIABLE:
        raise CloudflareError(9041, "Invalid proxied mode. Record cannot be proxied")
    return given


def _ttl(given: Any) -> int:  # noqa: ANN401 because it is what the request says
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    whole = isinstance(given, int) and not isinstance(given, bool)
    if not whole or not (given == _AUTOMATIC or _LEAST_TTL <= given <= _MOST_TTL):
        raise CloudflareError(
            9021, f"Invalid TTL. Must be between {_LEAST_TTL} and {_MOST_TTL} seconds, or 1 for Automatic."
        )
    return int(given)


def _comment(given: object) -> str | None:
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > _MOST_COMMENT:
        raise CloudflareError(9301, f"DNS record comment exceeds the maximum of {_MOST_COMMENT} characters.")
    return given


def _priority(kind: RecordType, given: object) -> int | None:
    if kind != "MX":
        return None
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= _MOST_PRIORITY:
        raise CloudflareError(9008, f"Invalid priority: a MX record needs one from 0 to {_MOST_PRIORITY}.")
    return given


def check_beside(zone: Zone, record: Record) -> None:
    """Whether a record may stand beside the zone's others.

    https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/
    """
    others = [other for other in zone.records.values() if other.name == record.name and other.id != record.id]
    if any((other.type, other.content) == (record.type, record.content) for other in others):
        raise CloudflareError(81058, "An identical record already exists.")
    kinds = {other.type for other in others}
    if record.type == "CNAME" and kinds & {"A", "AAAA", "CNAME"}:
        raise CloudflareError(81053, "An A, AAAA, or CNAME record with that host already exists.")
    if record.type in ("A", "AAAA") and "CNAME" in kinds:
        raise CloudflareError(81054, "A CNAME record with that host already exists.")


# Requests


async def list_records(call: Call) -> Page:
    filters = [
        *(f"{name}{match}" for name in ("name", "content") for match in ("", *(f".{word}" for word in _MATCHES))),
        *(f"comment{match}" for match in ("", ".present", ".absent", *(f".{word}" for word in _MATCHES))),
        "type",
        "proxied",
    ]
    call.understand(*filters, "match", "order", "direction", "page", "per_page")
    asked = [(name, call.one(name) or "") for name in filters if call.one(name) is not None]
    combine = any if call.one("match") == "any" else all
    found = [
        record
        for record in call.zone.records.values()
        if not asked or combine(_fits(record, name, value) for name, value in asked)
    ]
    order = call.one("order")
    if order is not None:
        if order not in _ORDERS:
            raise CloudflareError(1002, f"Invalid order: it must be one of {', '.join(_ORDERS)}.")
        found.sort(key=lambda record: getattr(record, order), reverse=call.one("direction") == "desc")
    return call.page([wire(record) for record in found], _FIRST_PER_PAGE, _MOST_PER_PAGE)


def _fits(record: Record, filter_name: str, value: str) -> bool:
    name, _, match = filter_name.partition(".")
    if name == "proxied":
        return record.proxied == (value.lower() == "true")
    actual = str(getattr(record, name) or "").lower()
    if match in ("present", "absent"):
        return bool(actual) == (match == "present")
    value = value.lower()
    if match == "contains":
        return value in actual
    if match == "startswith":
        return actual.startswith(value)
    if match == "endswith":
        return actual.endswith(value)
    return actual == value


def _find(zone: Zone, record_id: object) -> Record:
    record = zone.records.get(record_id) if isinstance(record_id, str) else None
    if record is None:
        raise CloudflareError(81044, "Record does not exist.", NOT_FOUND)
    return record


def _put(zone: Zone, record: Record) -> Record:
    check_beside(zone, record)
    zone.records[record.id] = record
    return record


def _create(zone: Zone, body: Mapping[str, object]) -> Record:
    return _put(zone, build(zone, new_id(), body))


def _overwrite(zone: Zone, record_id: object, body: Mapping[str, object]) -> Record:
    before = _find(zone, record_id)
    _check_type(before, body)
    return _put(zone, replace(build(zone, before.id, body), created_on=before.created_on))


def _edit(zone: Zone, record_id: object, body: Mapping[str, object]) -> Record:
    before = _find(zone, record_id)
    _check_type(before, body)
    return _put(zone, build(zone, before.id, body, before))


def _check_type(before: Record, body: Mapping[str, object]) -> None:
    """It stays what it was created as, since 30 June 2026.

    https://developers.cloudflare.com/fundamentals/api/reference/deprecations/
    """
    if body.get("type", before.type) != before.type:
        raise CloudflareError(9004, f"The type of a DNS record cannot be changed: this is one of type {before.type}.")


def _delete(zone: Zone, record_id: object) -> Record:
    record = _find(zone, record_id)
    del zone.records[record.id]
    return record


async def get(call: Call) -> Answer:
    return Answer(wire(_find(call.zone, call.id)))


async def create(call: Call) -> Answer:
    return Answer(wire(_create(call.zone, call.body)))


async def overwrite(call: Call) -> Answer:
    return Answer(wire(_overwrite(call.zone, call.id, call.body)))


async def edit(call: Call) -> Answer:
    return Answer(wire(_edit(call.zone, call.id, call.body)))


async def delete(call: Call) -> Answer:
    return Answer({"id": _delete(call.zone, call.id).id})


async def batch(call: Call) -> Answer:
    """All of it or, with the first that is refused, nothing; in this order, whatever the request's.

    https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/
    """
    operations: dict[str, Callable[[Zone, Mapping[str, object]], Record]] = {
        "deletes": lambda zone, body: _delete(zone, body.get("id")),
        "patches": lambda zone, body: _edit(zone, body.get("id"), body),
        "puts": lambda zone, body: _overwrite(zone, body.get("id"), body),
        "posts": _create,
    }
    if unknown := call.body.keys() - operations.keys():
        raise not_implemented(f"The field {min(unknown)} of a batch")
    given = {name: _batch_list(call, name) for name in operations}
    if sum(map(len, given.values())) > _MOST_IN_BATCH:
        raise CloudflareError(9000, f"A batch has at most {_MOST_IN_BATCH} changes.")
    changed = replace(call.zone, records=dict(call.zone.records))
    done = {name: [wire(operation(changed, body)) for body in given[name]] for name, operation in operations.items()}
    call.zone.records = changed.records
    return Answer(done)


def _batch_list(call: Call, name: str) -> list[dict[str, object]]:
    given = call.body.get(name) or []
    if not isinstance(given, list) or not all(isinstance(body, dict) for body in given):
        raise CloudflareError(9000, f"{name} must be a list of records.")
    return given


_LIST = "/zones/{zone_id}/dns_records"
_BATCH, _ONE = f"{_LIST}/batch", f"{_LIST}/{{id}}"
ROUTES: Routes = {
    ("GET", _LIST): Operation(list_records, "DNS Read"),
    ("POST", _LIST): Operation(create, "DNS Write"),
    ("POST", _BATCH): Operation(batch, "DNS Write"),
    ("GET", _ONE): Operation(get, "DNS Read"),
    ("PUT", _ONE): Operation(overwrite, "DNS Write"),
    ("PATCH", _ONE): Operation(edit, "DNS Write"),
    ("DELETE", _ONE): Operation(delete, "DNS Write"),
}
