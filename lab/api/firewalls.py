"""Routes of firewalls."""

from __future__ import annotations

from functools import partial

from lab.api import actions, listing
from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.errors import invalid_field
from lab.operations import common, firewalls
from lab.state.resources import Firewall, FirewallRule
from lab.wire import resources as wire
from lab.wire.body import Body


async def list_firewalls(call: Call) -> Answer:
    store = call.cloud.store
    return listing.answer(call, "firewalls", store.firewalls.values(), partial(wire.firewall, store))


async def create_firewall(call: Call) -> Answer:
    body = call.body
    firewall, begun = firewalls.create(
        call.cloud,
        name=body.name(),
        rules=[_rule(item) for item in body.objects("rules")],
        targets=[_target(item) for item in body.objects("apply_to")],
        labels=body.labels(),
    )
    payload: dict[str, object] = {
        "firewall": wire.firewall(call.cloud.store, firewall),
        "actions": [wire.action(action) for action in begun],
    }
    return Answer(payload, CREATED)


async def get_firewall(call: Call) -> Answer:
    return Answer({"firewall": wire.firewall(call.cloud.store, _firewall(call))})


async def update_firewall(call: Call) -> Answer:
    firewall = _firewall(call)
    firewalls.update(call.cloud, firewall, call.body.optional_name(), call.body.optional_labels())
    return Answer({"firewall": wire.firewall(call.cloud.store, firewall)})


async def delete_firewall(call: Call) -> Answer:
    firewalls.delete(call.cloud, _firewall(call))
    return Answer(status=NO_CONTENT)


async def set_rules(call: Call) -> Answer:
    rules = [_rule(item) for item in call.body.required_objects("rules")]
    return actions.all_created(firewalls.set_rules(call.cloud, _firewall(call), rules))


async def apply_to_resources(call: Call) -> Answer:
    targets = [_target(item) for item in call.body.required_objects("apply_to")]
    return actions.all_created(firewalls.apply_to(call.cloud, _firewall(call), targets))


async def remove_from_resources(call: Call) -> Answer:
    targets = [_target(item) for item in call.body.required_objects("remove_from")]
    return actions.all_created(firewalls.remove_from(call.cloud, _firewall(call), targets))


def _firewall(call: Call) -> Firewall:
    return common.get("firewall", call.cloud.store.firewalls, call.id)


def _rule(body: Body) -> FirewallRule:
    return FirewallRule(
        direction=body.string("direction"),
        protocol=body.string("protocol"),
        port=body.optional_string("port"),
        source_ips=tuple(body.strings("source_ips")),
        destination_ips=tuple(body.strings("destination_ips")),
        description=body.optional_string("description"),
    )


def _target(body: Body) -> firewalls.Target:
    kind = body.string("type")
    if kind == "server":
        return firewalls.Target(server_id=body.nested("server").integer("id"))
    if kind == "label_selector":
        return firewalls.Target(selector=body.nested("label_selector").string("selector"))
    raise invalid_field("type", "must be one of server, label_selector")


ROUTES: Routes = {
    ("GET", "/firewalls"): list_firewalls,
    ("POST", "/firewalls"): create_firewall,
    ("GET", "/firewalls/{id:int}"): get_firewall,
    ("PUT", "/firewalls/{id:int}"): update_firewall,
    ("DELETE", "/firewalls/{id:int}"): delete_firewall,
    ("POST", "/firewalls/{id:int}/actions/set_rules"): set_rules,
    ("POST", "/firewalls/{id:int}/actions/apply_to_resources"): apply_to_resources,
    ("POST", "/firewalls/{id:int}/actions/remove_from_resources"): remove_from_resources,
    **actions.routes_of("/firewalls", "firewall", "firewall", lambda cloud: cloud.store.firewalls),
}
