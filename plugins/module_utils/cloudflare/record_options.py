# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS records as the options declare them, checked as far as that needs no API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .client import CloudflareError
from .contents import normal
from .zones import full_name

TYPES = ("A", "AAAA", "CNAME", "TXT")
#: Seconds to live that mean "automatic", the only one a proxied record has.
AUTOMATIC = 1
#: Kinds that no record of the first kind may share its name with.
IN_THE_WAY = {"A": ("CNAME", "NS"), "AAAA": ("CNAME", "NS"), "CNAME": ("A", "AAAA", "NS"), "TXT": ("NS",)}


@dataclass(frozen=True)
class Declared:
    """A record as the options ask for it; what is None is left as it is."""

    name: str
    type: str
    content: str
    proxied: bool | None
    ttl: int | None
    comment: str | None


def parse(records: Sequence[Mapping[str, Any]], zone: str) -> list[Declared]:
    """Raises :class:`CloudflareError` for records that there cannot be."""
    declared = [_parse(record, zone) for record in records]
    seen: set[tuple[str, str, str]] = set()
    kinds = defaultdict(list)
    for record in declared:
        key = (record.name, record.type, record.content)
        if key in seen:
            raise CloudflareError(f"records: {record.name} {record.type} {record.content} is declared twice.")
        seen.add(key)
        kinds[record.name].append(record.type)
    for name, types in kinds.items():
        others = {kind for kind in types if kind in IN_THE_WAY["CNAME"]}
        if "CNAME" in types and (others or types.count("CNAME") > 1):
            raise CloudflareError(
                f"records: {name} has a CNAME and another record beside it, which DNS does not allow: keep the CNAME "
                "alone, or declare addresses only."
            )
    return declared


def _parse(record: Mapping[str, Any], zone: str) -> Declared:
    try:
        name = full_name(record["name"], zone)
        content = normal(record["type"], record["content"], zone)
    except (CloudflareError, ValueError) as error:
        raise CloudflareError(f"records: {record['name']} {record['type']}: {error}") from error
    proxied, ttl = record.get("proxied"), record.get("ttl")
    if proxied and record["type"] == "TXT":
        raise CloudflareError(f"records: {name}: a TXT record cannot be proxied.")
    if ttl is not None and ttl != AUTOMATIC and not 30 <= ttl <= 86400:
        raise CloudflareError(f"records: {name}: ttl is 1 (automatic), or from 30 to 86400 seconds.")
    if proxied and ttl not in (None, AUTOMATIC):
        raise CloudflareError(f"records: {name}: a proxied record has no ttl but the automatic one: leave ttl out.")
    return Declared(name, record["type"], content, proxied, ttl, record.get("comment"))


def parse_allow(names: Iterable[str], zone: str) -> frozenset[str]:
    """Names of which records of others may be taken over. Raises :class:`CloudflareError`."""
    allowed = set()
    for name in names:
        kind, _, rest = name.partition("/")
        if kind != "record" or not rest:
            raise CloudflareError(f"allow: {name!r} is not record/NAME such as record/www.")
        allowed.add(full_name(rest, zone))
    return frozenset(allowed)
