"""Routes of primary IPs."""

from __future__ import annotations

from functools import partial

from lab.api import actions, listing
from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.errors import invalid_field
from lab.operations import common, primary_ips
from lab.state.resources import AddressType, PrimaryIp, Ref
from lab.wire import resources as wire
from lab.wire.body import Body


async def list_primary_ips(call: Call) -> Answer:
    filters = listing.Filters(exact=("name", "ip"), sort=("id", "created"))
    render = partial(wire.primary_ip, call.cloud.catalog)
    return listing.answer(call, "primary_ips", call.cloud.store.primary_ips.values(), render, filters)


async def create_primary_ip(call: Call) -> Answer:
    body = call.body
    body.refuse("datacenter", "was removed in July 2026, use location")
    if body.optional_string("assignee_type") is not None:
        # The document demands it always; the vendor's own library sends it only together with assignee_id.
        _check_assignee_type(body)
    request = primary_ips.PrimaryIpRequest(
        name=body.name(),
        type=_address_type(body),
        location=body.optional_id_or_name("location"),
        server_id=body.optional_integer("assignee_id"),
        auto_delete=body.boolean("auto_delete", False),
        labels=body.labels(),
    )
    primary_ip, action = primary_ips.create(call.cloud, request)
    payload: dict[str, object] = {"primary_ip": wire.primary_ip(call.cloud.catalog, primary_ip)}
    if action is not None:
        payload["action"] = wire.action(action)
    return Answer(payload, CREATED)


async def get_primary_ip(call: Call) -> Answer:
    return Answer({"primary_ip": wire.primary_ip(call.cloud.catalog, _primary_ip(call))})


async def update_primary_ip(call: Call) -> Answer:
    primary_ip, body = _primary_ip(call), call.body
    primary_ips.update(
        call.cloud, primary_ip, body.optional_name(), body.optional_labels(), body.optional_boolean("auto_delete")
    )
    return Answer({"primary_ip": wire.primary_ip(call.cloud.catalog, primary_ip)})


async def delete_primary_ip(call: Call) -> Answer:
    primary_ips.delete(call.cloud, _primary_ip(call))
    return Answer(status=NO_CONTENT)


async def assign(call: Call) -> Answer:
    _check_assignee_type(call.body)
    return actions.created(primary_ips.assign(call.cloud, _primary_ip(call), call.body.integer("assignee_id")))


async def unassign(call: Call) -> Answer:
    return actions.created(primary_ips.unassign(call.cloud, _primary_ip(call)))


async def change_dns_ptr(call: Call) -> Answer:
    primary_ip, body = _primary_ip(call), call.body
    refs = [Ref("primary_ip", primary_ip.id)]
    name = body.optional_string("dns_ptr")
    return actions.created(primary_ips.change_dns_ptr(call.cloud, primary_ip, body.string("ip"), name, refs))


async def change_protection(call: Call) -> Answer:
    delete = call.body.required_boolean("delete")
    return actions.created(primary_ips.change_protection(call.cloud, _primary_ip(call), delete))


def _primary_ip(call: Call) -> PrimaryIp:
    return common.get("primary IP", call.cloud.store.primary_ips, call.id)


def _address_type(body: Body) -> AddressType:
    kind = body.string("type")
    if kind == "ipv4":
        return "ipv4"
    if kind == "ipv6":
        return "ipv6"
    raise invalid_field("type", "must be one of ipv4, ipv6")


def _check_assignee_type(body: Body) -> None:
    if body.string("assignee_type") != "server":
        raise invalid_field("assignee_type", "must be server")


ROUTES: Routes = {
    ("GET", "/primary_ips"): list_primary_ips,
    ("POST", "/primary_ips"): create_primary_ip,
    ("GET", "/primary_ips/{id:int}"): get_primary_ip,
    ("PUT", "/primary_ips/{id:int}"): update_primary_ip,
    ("DELETE", "/primary_ips/{id:int}"): delete_primary_ip,
    ("POST", "/primary_ips/{id:int}/actions/assign"): assign,
    ("POST", "/primary_ips/{id:int}/actions/unassign"): unassign,
    ("POST", "/primary_ips/{id:int}/actions/change_dns_ptr"): change_dns_ptr,
    ("POST", "/primary_ips/{id:int}/actions/change_protection"): change_protection,
    **actions.routes_of("/primary_ips", "primary_ip", "primary IP", lambda cloud: cloud.store.primary_ips),
}
