# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the vendor sells: server types and where they are to be had, images, locations, prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class ServerType:
    name: str
    architecture: str  # arm or x86
    disk: int  # GB
    available: frozenset[str]  # names of locations


@dataclass(frozen=True)
class Image:
    name: str
    family: str  # ubuntu, debian, …
    ids: Mapping[str, int]  # by architecture: one name stands for several images


@dataclass(frozen=True)
class Catalogue:
    zones: Mapping[str, str]  # location to network zone
    server_types: Mapping[str, ServerType]
    images: Mapping[str, Image]
    currency: str = "EUR"
    server_prices: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)  # type, location; net a month
    primary_ip_prices: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)  # type, location; net a month
    volume_price: Decimal = Decimal(0)  # a GB, net a month

    def available_types(self, location: str, architecture: str | None = None) -> list[str]:
        return sorted(
            server_type.name
            for server_type in self.server_types.values()
            if location in server_type.available and architecture in (None, server_type.architecture)
        )

    def server_price(self, server_type: str, location: str) -> Decimal:
        return self.server_prices.get((server_type, location), Decimal(0))

    def primary_ip_price(self, ip_type: str, location: str) -> Decimal:
        return self.primary_ip_prices.get((ip_type, location), Decimal(0))


def catalogue(
    locations: Iterable[Mapping[str, Any]],
    server_types: Iterable[Mapping[str, Any]],
    images: Iterable[Mapping[str, Any]],
    pricing: Mapping[str, Any],
    now: datetime,
) -> Catalogue:
    """From the API's listings; ``now`` decides which deprecated types can still be had."""
    ids: dict[str, dict[str, int]] = {}
    families: dict[str, str] = {}
    for image in images:
        ids.setdefault(image["name"], {})[image["architecture"]] = image["id"]
        families[image["name"]] = image["os_flavor"]
    return Catalogue(
        zones={location["name"]: location["network_zone"] for location in locations},
        server_types={data["name"]: _server_type(data, now) for data in server_types},
        images={name: Image(name, families[name], ids[name]) for name in families},
        currency=pricing["currency"],
        server_prices=by_location(pricing["server_types"], "name"),
        primary_ip_prices=by_location(pricing["primary_ips"], "type"),
        volume_price=Decimal(pricing["volume"]["price_per_gb_month"]["net"]),
    )


def _server_type(data: Mapping[str, Any], now: datetime) -> ServerType:
    available = {
        location["name"]
        for location in data["locations"]
        if location["available"] and not _withdrawn(location["deprecation"], now)
    }
    return ServerType(data["name"], data["architecture"], int(data["disk"]), frozenset(available))


def _withdrawn(deprecation: Mapping[str, str] | None, now: datetime) -> bool:
    if not deprecation:
        return False
    return datetime.fromisoformat(deprecation["unavailable_after"]).astimezone(UTC) <= now


def by_location(prices: Iterable[Mapping[str, Any]], key: str, side: str = "net") -> dict[tuple[str, str], Decimal]:
    """Prices of a month by type and location. ``key`` is what a type is called by, ``side`` is net or gross."""
    return {
        (price[key], place["location"]): Decimal(place["price_monthly"][side])
        for price in prices
        for place in price["prices"]
    }
