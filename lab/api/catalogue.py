"""Routes of what the vendor offers: locations, types of servers and load balancers, images, prices."""

from __future__ import annotations

from functools import partial

from lab.api import actions, listing
from lab.api.http import Answer, Call, Routes
from lab.catalog import ARCHITECTURES, ServerType
from lab.errors import CloudError, invalid_field
from lab.operations import common
from lab.wire import catalogue as wire


async def list_locations(call: Call) -> Answer:
    filters = listing.Filters(labels=False, sort=("id", "name"))
    return listing.answer(call, "locations", call.cloud.catalog.locations, wire.location, filters)


async def get_location(call: Call) -> Answer:
    table = {item.id: item for item in call.cloud.catalog.locations}
    return Answer({"location": wire.location(common.get("location", table, call.id))})


async def list_server_types(call: Call) -> Answer:
    """Types that can be had nowhere any more are left out, but can still be asked for by ID."""
    store, catalog = call.cloud.store, call.cloud.catalog
    today = store.now()
    offered = [item for item in catalog.server_types if not _gone(item, today)]
    filters = listing.Filters(labels=False, sort=("id", "name"))
    return listing.answer(call, "server_types", offered, partial(wire.server_type, store, catalog), filters)


def _gone(item: ServerType, today: str) -> bool:
    return all(item.gone_from(name, today) for name in item.locations)


async def get_server_type(call: Call) -> Answer:
    store, catalog = call.cloud.store, call.cloud.catalog
    table = {item.id: item for item in catalog.server_types}
    return Answer({"server_type": wire.server_type(store, catalog, common.get("server type", table, call.id))})


async def list_load_balancer_types(call: Call) -> Answer:
    catalog = call.cloud.catalog
    filters = listing.Filters(labels=False, sort=("id", "name"))
    render = partial(wire.load_balancer_type, catalog)
    return listing.answer(call, "load_balancer_types", catalog.load_balancer_types, render, filters)


async def get_load_balancer_type(call: Call) -> Answer:
    catalog = call.cloud.catalog
    found = common.get("load balancer type", {item.id: item for item in catalog.load_balancer_types}, call.id)
    return Answer({"load_balancer_type": wire.load_balancer_type(catalog, found)})


_IMAGES = listing.Filters(
    exact=("name", "type", "status", "architecture", "bound_to"),
    choices={
        "type": ("system", "app", "snapshot", "backup"),
        "status": ("available", "creating", "unavailable"),
        "architecture": ARCHITECTURES,
    },
)


async def list_images(call: Call) -> Answer:
    if call.one("include_deprecated") not in (None, "true", "false"):
        raise invalid_field("include_deprecated", "must be true or false")
    return listing.answer(call, "images", call.cloud.catalog.images, wire.image, _IMAGES)


async def get_image(call: Call) -> Answer:
    table = {item.id: item for item in call.cloud.catalog.images}
    return Answer({"image": wire.image(common.get("image", table, call.id))})


async def get_pricing(call: Call) -> Answer:
    return Answer({"pricing": wire.pricing(call.cloud.catalog)})


async def datacenters(_call: Call) -> Answer:
    raise CloudError(
        "deprecated_api_endpoint",
        "data centers were removed on 2026-10-01; use locations",
        {"announcement": "https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated"},
    )


ROUTES: Routes = {
    ("GET", "/locations"): list_locations,
    ("GET", "/locations/{id:int}"): get_location,
    ("GET", "/server_types"): list_server_types,
    ("GET", "/server_types/{id:int}"): get_server_type,
    ("GET", "/load_balancer_types"): list_load_balancer_types,
    ("GET", "/load_balancer_types/{id:int}"): get_load_balancer_type,
    ("GET", "/images"): list_images,
    ("GET", "/images/{id:int}"): get_image,
    **actions.routes_of("/images", "image", "image", lambda cloud: {item.id: item for item in cloud.catalog.images}),
    ("GET", "/pricing"): get_pricing,
    ("GET", "/datacenters"): datacenters,
    ("GET", "/datacenters/{id:int}"): datacenters,
}
