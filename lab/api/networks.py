"""Routes of networks."""

from __future__ import annotations

from functools import partial

from lab.api import actions, listing
from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.operations import common, networks
from lab.state.resources import Network, Route
from lab.wire import resources as wire
from lab.wire.body import Body


async def list_networks(call: Call) -> Answer:
    store = call.cloud.store
    return listing.answer(call, "networks", store.networks.values(), partial(wire.network, store))


async def create_network(call: Call) -> Answer:
    body = call.body
    network = await networks.create(
        call.cloud,
        name=body.name(),
        ip_range=body.string("ip_range"),
        subnets=[_subnet(item) for item in body.objects("subnets")],
        routes=[Route(item.string("destination"), item.string("gateway")) for item in body.objects("routes")],
        labels=body.labels(),
        expose_routes_to_vswitch=body.boolean("expose_routes_to_vswitch", False),
    )
    return Answer({"network": wire.network(call.cloud.store, network)}, CREATED)


async def get_network(call: Call) -> Answer:
    return Answer({"network": wire.network(call.cloud.store, _network(call))})


async def update_network(call: Call) -> Answer:
    network, body = _network(call), call.body
    networks.update(
        call.cloud,
        network,
        body.optional_name(),
        body.optional_labels(),
        body.optional_boolean("expose_routes_to_vswitch"),
    )
    return Answer({"network": wire.network(call.cloud.store, network)})


async def delete_network(call: Call) -> Answer:
    await networks.delete(call.cloud, _network(call))
    return Answer(status=NO_CONTENT)


async def add_subnet(call: Call) -> Answer:
    return actions.created(networks.add_subnet(call.cloud, _network(call), _subnet(call.body)))


async def delete_subnet(call: Call) -> Answer:
    return actions.created(networks.delete_subnet(call.cloud, _network(call), call.body.string("ip_range")))


async def add_route(call: Call) -> Answer:
    body = call.body
    action = networks.add_route(call.cloud, _network(call), body.string("destination"), body.string("gateway"))
    return actions.created(action)


async def delete_route(call: Call) -> Answer:
    body = call.body
    action = networks.delete_route(call.cloud, _network(call), body.string("destination"), body.string("gateway"))
    return actions.created(action)


async def change_ip_range(call: Call) -> Answer:
    return actions.created(networks.change_ip_range(call.cloud, _network(call), call.body.string("ip_range")))


async def change_protection(call: Call) -> Answer:
    return actions.created(networks.change_protection(call.cloud, _network(call), call.body.optional_boolean("delete")))


def _network(call: Call) -> Network:
    return common.get("network", call.cloud.store.networks, call.id)


def _subnet(body: Body) -> networks.SubnetRequest:
    return networks.SubnetRequest(body.string("type"), body.string("network_zone"), body.optional_string("ip_range"))


ROUTES: Routes = {
    ("GET", "/networks"): list_networks,
    ("POST", "/networks"): create_network,
    ("GET", "/networks/{id:int}"): get_network,
    ("PUT", "/networks/{id:int}"): update_network,
    ("DELETE", "/networks/{id:int}"): delete_network,
    ("POST", "/networks/{id:int}/actions/add_subnet"): add_subnet,
    ("POST", "/networks/{id:int}/actions/delete_subnet"): delete_subnet,
    ("POST", "/networks/{id:int}/actions/add_route"): add_route,
    ("POST", "/networks/{id:int}/actions/delete_route"): delete_route,
    ("POST", "/networks/{id:int}/actions/change_ip_range"): change_ip_range,
    ("POST", "/networks/{id:int}/actions/change_protection"): change_protection,
    **actions.routes_of("/networks", "network", "network", lambda cloud: cloud.store.networks),
}
