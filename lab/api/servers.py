"""Routes of servers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

from lab.api import actions, listing
from lab.api.http import CREATED, Answer, Call, Handler, Routes
from lab.operations import common, networks, placement_groups, power, servers
from lab.operations.cloud import Cloud
from lab.state.resources import Action, Network, Server, ServerStatus
from lab.wire import resources as wire
from lab.wire.body import Body
from lab.wire.catalogue import Json

_FILTERS = listing.Filters(exact=("name", "status"), choices={"status": (*get_args(ServerStatus), "unknown")})


async def list_servers(call: Call) -> Answer:
    render = partial(wire.server, call.cloud.store, call.cloud.catalog)
    return listing.answer(call, "servers", call.cloud.store.servers.values(), render, _FILTERS)


async def create_server(call: Call) -> Answer:
    body = call.body
    body.refuse("datacenter", "was removed in July 2026, use location")
    request = servers.ServerRequest(
        name=body.name(),
        server_type=body.id_or_name("server_type"),
        image=body.id_or_name("image"),
        location=body.optional_id_or_name("location"),
        ssh_keys=body.ids_or_names("ssh_keys"),
        user_data=body.optional_string("user_data") or "",
        networks=body.integers("networks"),
        volumes=body.integers("volumes"),
        firewalls=[item.integer("firewall") for item in body.objects("firewalls")],
        placement_group=body.optional_integer("placement_group"),
        ipv4=_address(body.nested("public_net"), "ipv4"),
        ipv6=_address(body.nested("public_net"), "ipv6"),
        start_after_create=body.boolean("start_after_create", True),
        automount=body.boolean("automount", False),
        labels=body.labels(),
    )
    server, first, others = servers.create(call.cloud, request)
    payload: Json = {
        "server": _render(call, server),
        "action": wire.action(first),
        "next_actions": [wire.action(action) for action in others],
        "root_password": _NO_PASSWORD,
    }
    return Answer(payload, CREATED)


#: The vendor makes up a root password when no SSH key is named. Nothing would set it here, so none is shown.
_NO_PASSWORD = None


def _address(public_net: Body, name: str) -> servers.Address:
    return servers.Address(public_net.boolean(f"enable_{name}", True), public_net.optional_integer(name))


async def get_server(call: Call) -> Answer:
    return Answer({"server": _render(call, _server(call))})


async def update_server(call: Call) -> Answer:
    server = _server(call)
    servers.update(call.cloud, server, call.body.optional_name(), call.body.optional_labels())
    return Answer({"server": _render(call, server)})


async def delete_server(call: Call) -> Answer:
    return Answer({"action": wire.action(servers.delete(call.cloud, _server(call)))})


def _bare(operation: Callable[[Cloud, Server], Action]) -> Handler:
    """An action that needs nothing but the server."""

    async def handler(call: Call) -> Answer:
        return actions.created(operation(call.cloud, _server(call)))

    return handler


async def rebuild(call: Call) -> Answer:
    image, user_data = call.body.id_or_name("image"), call.body.optional_string("user_data")
    action = servers.rebuild(call.cloud, _server(call), image, user_data)
    return Answer({"action": wire.action(action), "root_password": _NO_PASSWORD}, CREATED)


async def change_type(call: Call) -> Answer:
    name, upgrade_disk = call.body.id_or_name("server_type"), call.body.required_boolean("upgrade_disk")
    return actions.created(servers.change_type(call.cloud, _server(call), name, upgrade_disk))


async def change_protection(call: Call) -> Answer:
    delete, rebuild = call.body.optional_boolean("delete"), call.body.optional_boolean("rebuild")
    return actions.created(servers.change_protection(call.cloud, _server(call), delete, rebuild))


async def change_dns_ptr(call: Call) -> Answer:
    ip, name = call.body.string("ip"), call.body.optional_string("dns_ptr")
    return actions.created(servers.change_dns_ptr(call.cloud, _server(call), ip, name))


async def attach_to_network(call: Call) -> Answer:
    body = call.body
    action = networks.attach(
        call.cloud,
        _server(call),
        _network(call),
        ip=body.optional_string("ip"),
        alias_ips=body.strings("alias_ips"),
        ip_range=body.optional_string("ip_range"),
    )
    return actions.created(action)


async def detach_from_network(call: Call) -> Answer:
    return actions.created(networks.detach(call.cloud, _server(call), _network(call)))


async def change_alias_ips(call: Call) -> Answer:
    aliases = call.body.required_strings("alias_ips")
    return actions.created(networks.change_alias_ips(call.cloud, _server(call), _network(call), aliases))


async def add_to_placement_group(call: Call) -> Answer:
    group_id = call.body.integer("placement_group")
    return actions.created(placement_groups.add_server(call.cloud, _server(call), group_id))


def _server(call: Call) -> Server:
    return common.get("server", call.cloud.store.servers, call.id)


def _network(call: Call) -> Network:
    return common.get("network", call.cloud.store.networks, call.body.integer("network"))


def _render(call: Call, server: Server) -> Json:
    return wire.server(call.cloud.store, call.cloud.catalog, server)


ROUTES: Routes = {
    ("GET", "/servers"): list_servers,
    ("POST", "/servers"): create_server,
    ("GET", "/servers/{id:int}"): get_server,
    ("PUT", "/servers/{id:int}"): update_server,
    ("DELETE", "/servers/{id:int}"): delete_server,
    ("POST", "/servers/{id:int}/actions/poweron"): _bare(power.poweron),
    ("POST", "/servers/{id:int}/actions/poweroff"): _bare(power.poweroff),
    ("POST", "/servers/{id:int}/actions/shutdown"): _bare(power.shutdown),
    ("POST", "/servers/{id:int}/actions/reboot"): _bare(power.reboot),
    ("POST", "/servers/{id:int}/actions/reset"): _bare(power.reset),
    ("POST", "/servers/{id:int}/actions/rebuild"): rebuild,
    ("POST", "/servers/{id:int}/actions/change_type"): change_type,
    ("POST", "/servers/{id:int}/actions/change_protection"): change_protection,
    ("POST", "/servers/{id:int}/actions/change_dns_ptr"): change_dns_ptr,
    ("POST", "/servers/{id:int}/actions/attach_to_network"): attach_to_network,
    ("POST", "/servers/{id:int}/actions/detach_from_network"): detach_from_network,
    ("POST", "/servers/{id:int}/actions/change_alias_ips"): change_alias_ips,
    ("POST", "/servers/{id:int}/actions/add_to_placement_group"): add_to_placement_group,
    ("POST", "/servers/{id:int}/actions/remove_from_placement_group"): _bare(placement_groups.remove_server),
    **actions.routes_of("/servers", "server", "server", lambda cloud: cloud.store.servers),
}
