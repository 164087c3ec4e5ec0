"""What the vendor offers: locations, server types, images and prices, read from the data files beside this module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import yaml

Architecture = Literal["x86", "arm"]
ARCHITECTURES: tuple[Architecture, ...] = ("x86", "arm")


@dataclass(frozen=True)
class Location:
    id: int
    name: str
    description: str
    country: str
    city: str
    latitude: float
    longitude: float
    network_zone: str
    price_factor: Decimal
    included_traffic_tib: float
    price_per_tb: Decimal


@dataclass(frozen=True)
class Deprecation:
    locations: tuple[str, ...]
    announced: str
    unavailable_after: str


@dataclass(frozen=True)
class ServerType:
    id: int
    name: str
    architecture: Architecture
    cpu_type: Literal["shared", "dedicated"]
    cores: int
    memory: float  # GB
    disk: int  # GB
    monthly: Decimal  # net, in a location whose price factor is 1
    locations: tuple[str, ...]
    deprecated: Deprecation | None = None
    sold_out: tuple[str, ...] = ()

    def deprecation_in(self, location: str) -> Deprecation | None:
        return self.deprecated if self.deprecated and location in self.deprecated.locations else None

    def gone_from(self, location: str, now: str) -> bool:
        """Whether it can no longer be ordered in one of its locations."""
        deprecation = self.deprecation_in(location)
        return deprecation is not None and deprecation.unavailable_after <= now

    def sold_out_in(self, location: str, more: Mapping[str, Sequence[str]]) -> bool:
        """``more``: locations by server type, besides those of the catalogue."""
        return location in self.sold_out or location in more.get(self.name, ())


@dataclass(frozen=True)
class Image:
    id: int
    name: str
    architecture: Architecture
    os_flavor: str
    os_version: str
    description: str
    created: str
    disk_size: int  # GB


@dataclass(frozen=True)
class LoadBalancerType:
    id: int
    name: str
    monthly: Decimal  # net, in a location whose price factor is 1
    max_connections: int
    max_services: int
    max_targets: int
    max_certificates: int


@dataclass(frozen=True)
class Prices:
    currency: str
    vat_rate: Decimal
    hours_per_month: int
    primary_ip: Mapping[str, Decimal]
    floating_ip: Mapping[str, Decimal]
    image_gb_month: Decimal
    volume_gb_month: Decimal
    server_backup_percentage: Decimal


class _Named(Protocol):
    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...


_Item = TypeVar("_Item", bound=_Named)


def find(items: Iterable[_Item], id_or_name: str) -> _Item | None:
    """The item with this ID or name, the first of several; requests name things of the catalogue either way."""
    return next((item for item in items if id_or_name in (str(item.id), item.name)), None)


@dataclass(frozen=True)
class Catalog:
    locations: tuple[Location, ...]
    server_types: tuple[ServerType, ...]
    images: tuple[Image, ...]
    load_balancer_types: tuple[LoadBalancerType, ...]
    prices: Prices

    def location(self, name: str) -> Location:
        """The location of this name, which must exist."""
        return next(location for location in self.locations if location.name == name)

    def server_type(self, name: str) -> ServerType:
        """The server type of this name, which must exist."""
        return next(server_type for server_type in self.server_types if server_type.name == name)

    def image(self, image_id: int) -> Image:
        """The image with this ID, which must exist."""
        return next(image for image in self.images if image.id == image_id)

    def load_balancer_type(self, name: str) -> LoadBalancerType:
        """The load balancer type of this name, which must exist."""
        return next(item for item in self.load_balancer_types if item.name == name)

    @property
    def network_zones(self) -> frozenset[str]:
        return frozenset(location.network_zone for location in self.locations)


def _text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.yaml").read_text()


def _location(data: dict[str, Any]) -> Location:
    return Location(
        **{**data, "price_factor": Decimal(data["price_factor"]), "price_per_tb": Decimal(data["price_per_tb"])}
    )


def _server_type(data: dict[str, Any]) -> ServerType:
    deprecated = data.get("deprecated")
    return ServerType(
        **{
            **data,
            "monthly": Decimal(data["monthly"]),
            "locations": tuple(data["locations"]),
            "sold_out": tuple(data.get("sold_out", ())),
            "deprecated": Deprecation(**{**deprecated, "locations": tuple(deprecated["locations"])})
            if deprecated
            else None,
        }
    )


def _images(data: dict[str, Any]) -> Iterable[Image]:
    """In the order in which they are listed: old clients know no architecture and take the first of a name.

    The vendor lists x86 first, so such clients cannot order arm servers there; here they can.
    """
    ids = data.pop("ids")
    return [Image(id=ids[architecture], architecture=architecture, **data) for architecture in ("arm", "x86")]


def _prices(data: dict[str, Any]) -> Prices:
    return Prices(
        currency=data["currency"],
        vat_rate=Decimal(data["vat_rate"]),
        hours_per_month=data["hours_per_month"],
        primary_ip={kind: Decimal(price) for kind, price in data["primary_ip"].items()},
        floating_ip={kind: Decimal(price) for kind, price in data["floating_ip"].items()},
        image_gb_month=Decimal(data["image_gb_month"]),
        volume_gb_month=Decimal(data["volume_gb_month"]),
        server_backup_percentage=Decimal(data["server_backup_percentage"]),
    )


def _load_balancer_type(data: dict[str, Any]) -> LoadBalancerType:
    return LoadBalancerType(**{**data, "monthly": Decimal(data["monthly"])})


@cache
def load_catalog() -> Catalog:
    return Catalog(
        locations=tuple(map(_location, yaml.safe_load(_text("locations")))),
        server_types=tuple(map(_server_type, yaml.safe_load(_text("server_types")))),
        images=tuple(image for data in yaml.safe_load(_text("images")) for image in _images(data)),
        load_balancer_types=tuple(map(_load_balancer_type, yaml.safe_load(_text("load_balancer_types")))),
        prices=_prices(yaml.safe_load(_text("prices"))),
    )
