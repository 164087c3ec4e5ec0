"""Things of the catalogue as the vendor writes them."""

from __future__ import annotations

from decimal import Decimal

from lab.catalog import Catalog, Image, LoadBalancerType, Location, ServerType
from lab.state.store import Store

Json = dict[str, object]

_TIB = 1024**4
_HUNDRED = Decimal(100)


def location(item: Location) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "country": item.country,
        "city": item.city,
        "latitude": item.latitude,
        "longitude": item.longitude,
        "network_zone": item.network_zone,
    }


def image(item: Image) -> Json:
    return {
        "id": item.id,
        "type": "system",
        "status": "available",
        "name": item.name,
        "description": item.description,
        "image_size": None,
        "disk_size": item.disk_size,
        "created": item.created,
        "created_from": None,
        "bound_to": None,
        "os_flavor": item.os_flavor,
        "os_version": item.os_version,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deleted": None,
        "labels": {},
        "architecture": item.architecture,
    }


def server_type(store: Store, catalog: Catalog, item: ServerType) -> Json:
    everywhere = item.deprecated if all(map(item.deprecation_in, item.locations)) else None
    return {
        "id": item.id,
        "name": item.name,
        "description": item.name.upper(),
        "category": _category(item),
        "cores": item.cores,
        "memory": item.memory,
        "disk": item.disk,
        "storage_type": "local",
        "cpu_type": item.cpu_type,
        "architecture": item.architecture,
        "deprecated": everywhere is not None,
        "deprecation": _deprecation(item, everywhere is not None),
        "prices": server_type_prices(catalog, item),
        "locations": [
            {
                "id": catalog.location(name).id,
                "name": name,
                "deprecation": _deprecation(item, item.deprecation_in(name) is not None),
                "recommended": item.deprecation_in(name) is None,
                "available": not item.sold_out_in(name, store.conditions.sold_out)
                and not item.gone_from(name, store.now()),
            }
            for name in item.locations
        ],
    }


def _category(item: ServerType) -> str:
    if item.cpu_type == "dedicated":
        return "general_purpose"
    return "regular_performance" if item.name.startswith("cpx") else "cost_optimized"


def _deprecation(item: ServerType, applies: bool) -> Json | None:
    if item.deprecated is None or not applies:
        return None
    return {"announced": item.deprecated.announced, "unavailable_after": item.deprecated.unavailable_after}


def server_type_prices(catalog: Catalog, item: ServerType) -> list[Json]:
    return [_instance_price(catalog, item.monthly, catalog.location(name)) for name in item.locations]


def load_balancer_type(catalog: Catalog, item: LoadBalancerType) -> Json:
    return {
        "id": item.id,
        "name": item.name,
        "description": item.name.upper(),
        "max_connections": item.max_connections,
        "max_services": item.max_services,
        "max_targets": item.max_targets,
        "max_assigned_certificates": item.max_certificates,
        "deprecated": None,
        "prices": load_balancer_type_prices(catalog, item),
    }


def load_balancer_type_prices(catalog: Catalog, item: LoadBalancerType) -> list[Json]:
    """Every location has every type."""
    return [_instance_price(catalog, item.monthly, place) for place in catalog.locations]


def included_traffic(item: Location) -> int:
    """Bytes a month."""
    return int(item.included_traffic_tib * _TIB)


def _instance_price(catalog: Catalog, monthly: Decimal, place: Location) -> Json:
    """The price of something that runs by the hour and includes traffic."""
    monthly_there = monthly * place.price_factor
    return {
        "location": place.name,
        "price_hourly": _price(catalog, monthly_there / catalog.prices.hours_per_month),
        "price_monthly": _price(catalog, monthly_there),
        "included_traffic": included_traffic(place),
        "price_per_tb_traffic": _price(catalog, place.price_per_tb),
    }


def _price(catalog: Catalog, net: Decimal) -> Json:
    gross = net * (1 + catalog.prices.vat_rate / _HUNDRED)
    return {"net": f"{net:.10f}", "gross": f"{gross:.16f}"}


def pricing(catalog: Catalog) -> Json:
    prices = catalog.prices
    return {
        "currency": prices.currency,
        "vat_rate": f"{prices.vat_rate:.6f}",
        "image": {"price_per_gb_month": _price(catalog, prices.image_gb_month)},
        "volume": {"price_per_gb_month": _price(catalog, prices.volume_gb_month)},
        "server_backup": {"percentage": f"{prices.server_backup_percentage:.10f}"},
        "floating_ip": {"price_monthly": _price(catalog, prices.floating_ip["ipv4"])},
        "floating_ips": [
            {
                "type": kind,
                "prices": [
                    {"location": place.name, "price_monthly": _price(catalog, monthly)} for place in catalog.locations
                ],
            }
            for kind, monthly in prices.floating_ip.items()
        ],
        "primary_ips": [
            {
                "type": kind,
                "prices": [
                    {
                        "location": place.name,
                        "price_hourly": _price(catalog, monthly / prices.hours_per_month),
                        "price_monthly": _price(catalog, monthly),
                    }
                    for place in catalog.locations
                ],
            }
            for kind, monthly in prices.primary_ip.items()
        ],
        "server_types": [
            {"id": item.id, "name": item.name, "prices": server_type_prices(catalog, item)}
            for item in catalog.server_types
        ],
        "load_balancer_types": [
            {"id": item.id, "name": item.name, "prices": load_balancer_type_prices(catalog, item)}
            for item in catalog.load_balancer_types
        ],
    }
