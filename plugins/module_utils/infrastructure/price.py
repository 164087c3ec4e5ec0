# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an environment costs in a month, by the vendor's own price list. Pure: the list is handed in.

Traffic beyond what is included, backups and images are no part of it.
https://docs.hetzner.cloud/reference/cloud#tag/pricing/get_pricing
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .catalogue import by_location
from .plan import cents

SIDES = ("net", "gross")
#: What the estimate leaves out, as a sentence.
LEFT_OUT = "Not in it: traffic beyond what is included, object storage, and what Cloudflare charges."


class PriceError(ValueError):
    """There is no price for what is declared; the message is a sentence for a person."""


@dataclass(frozen=True)
class Item:
    """``net`` and ``gross`` are of a month, for all ``count`` of them."""

    what: str
    count: int
    names: tuple[str, ...]
    net: Decimal
    gross: Decimal


@dataclass(frozen=True)
class Estimate:
    items: tuple[Item, ...]
    currency: str

    @property
    def net(self) -> Decimal:
        return sum((item.net for item in self.items), Decimal(0))

    @property
    def gross(self) -> Decimal:
        return sum((item.gross for item in self.items), Decimal(0))

    def result(self) -> dict[str, Any]:
        """As a module returns it; amounts are texts with two decimals."""
        return {
            "currency": self.currency,
            "net": str(cents(self.net)),
            "gross": str(cents(self.gross)),
            "items": [
                {
                    "what": item.what,
                    "count": item.count,
                    "names": list(item.names),
                    "net": str(cents(item.net)),
                    "gross": str(cents(item.gross)),
                }
                for item in self.items
            ],
            "lines": self.lines(),
        }

    def lines(self) -> list[str]:
        """For people, aligned."""
        rows = [(f"{item.count} x {item.what}", item.net, item.gross) for item in self.items]
        rows.append(("a month", self.net, self.gross))
        width = max(len(label) for label, _, _ in rows)
        table = [f"{label:{width}}  {cents(net):>9}  {cents(gross):>9}" for label, net, gross in rows]
        return [f"{self.currency:{width}}  {'net':>9}  {'gross':>9}", *table, LEFT_OUT]


def estimate(declared: Mapping[str, Any], pricing: Mapping[str, Any]) -> Estimate:
    """The price of what is declared.

    ``declared`` has ``servers`` (name, type, location), ``volumes`` (name, size in GB), ``primary_ips`` (name, type,
    location) and, unless there is none, ``load_balancer`` (name, type, location). ``pricing`` is the API's list.
    Raises :class:`PriceError` for what the list does not offer.
    """
    listing = _Listing(pricing)
    items = [
        *listing.items("server_types", "name", "{}", declared["servers"]),
        *listing.volumes(declared["volumes"]),
        *listing.items("primary_ips", "type", "primary {}", declared["primary_ips"]),
    ]
    if declared.get("load_balancer"):
        items += listing.items("load_balancer_types", "name", "load balancer {}", [declared["load_balancer"]])
    return Estimate(tuple(items), str(pricing["currency"]))


class _Listing:
    def __init__(self, pricing: Mapping[str, Any]) -> None:
        self._pricing = pricing

    def items(self, kind: str, key: str, what: str, things: Iterable[Mapping[str, Any]]) -> Iterable[Item]:
        """One item for each type and location."""
        net, gross = (by_location(self._pricing[kind], key, side) for side in SIDES)
        names: dict[tuple[str, str], list[str]] = {}
        for thing in things:
            names.setdefault((thing["type"], thing["location"]), []).append(thing["name"])
        for place, called in names.items():
            if place not in net:
                offered = ", ".join(sorted(name for name, location in net if location == place[1])) or "none"
                raise PriceError(f"{called[0]}: {place[0]} is not to be had in {place[1]}; what is there: {offered}.")
            count = len(called)
            yield Item(what.format(place[0]), count, tuple(called), net[place] * count, gross[place] * count)

    def volumes(self, things: Iterable[Mapping[str, Any]]) -> Iterable[Item]:
        price = self._pricing["volume"]["price_per_gb_month"]
        net, gross = (Decimal(price[side]) for side in SIDES)
        names: dict[int, list[str]] = {}
        for thing in things:
            names.setdefault(int(thing["size"]), []).append(thing["name"])
        for size, called in names.items():
            whole = size * len(called)
            yield Item(f"volume of {size} GB", len(called), tuple(called), net * whole, gross * whole)
