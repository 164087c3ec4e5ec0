"""Routes of SSH keys and placement groups."""

from __future__ import annotations

from functools import partial

from lab.api import listing
from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.operations import common, placement_groups, ssh_keys
from lab.state.resources import PlacementGroup, SshKey
from lab.wire import resources as wire


async def list_ssh_keys(call: Call) -> Answer:
    filters = listing.Filters(exact=("name", "fingerprint"), sort=("id", "name"))
    return listing.answer(call, "ssh_keys", call.cloud.store.ssh_keys.values(), wire.ssh_key, filters)


async def create_ssh_key(call: Call) -> Answer:
    body = call.body
    key = ssh_keys.create(call.cloud, body.name(), body.string("public_key"), body.labels())
    return Answer({"ssh_key": wire.ssh_key(key)}, CREATED)


async def get_ssh_key(call: Call) -> Answer:
    return Answer({"ssh_key": wire.ssh_key(_ssh_key(call))})


async def update_ssh_key(call: Call) -> Answer:
    key = _ssh_key(call)
    ssh_keys.update(call.cloud, key, call.body.optional_name(), call.body.optional_labels())
    return Answer({"ssh_key": wire.ssh_key(key)})


async def delete_ssh_key(call: Call) -> Answer:
    ssh_keys.delete(call.cloud, _ssh_key(call))
    return Answer(status=NO_CONTENT)


def _ssh_key(call: Call) -> SshKey:
    return common.get("SSH key", call.cloud.store.ssh_keys, call.id)


async def list_placement_groups(call: Call) -> Answer:
    store = call.cloud.store
    filters = listing.Filters(exact=("name", "type"), choices={"type": ("spread",)})
    render = partial(wire.placement_group, store)
    return listing.answer(call, "placement_groups", store.placement_groups.values(), render, filters)


async def create_placement_group(call: Call) -> Answer:
    body = call.body
    group = placement_groups.create(call.cloud, body.name(), body.string("type"), body.labels())
    return Answer({"placement_group": wire.placement_group(call.cloud.store, group), "action": None}, CREATED)


async def get_placement_group(call: Call) -> Answer:
    return Answer({"placement_group": wire.placement_group(call.cloud.store, _placement_group(call))})


async def update_placement_group(call: Call) -> Answer:
    group = _placement_group(call)
    placement_groups.update(call.cloud, group, call.body.optional_name(), call.body.optional_labels())
    return Answer({"placement_group": wire.placement_group(call.cloud.store, group)})


async def delete_placement_group(call: Call) -> Answer:
    placement_groups.delete(call.cloud, _placement_group(call))
    return Answer(status=NO_CONTENT)


def _placement_group(call: Call) -> PlacementGroup:
    return common.get("placement group", call.cloud.store.placement_groups, call.id)


ROUTES: Routes = {
    ("GET", "/ssh_keys"): list_ssh_keys,
    ("POST", "/ssh_keys"): create_ssh_key,
    ("GET", "/ssh_keys/{id:int}"): get_ssh_key,
    ("PUT", "/ssh_keys/{id:int}"): update_ssh_key,
    ("DELETE", "/ssh_keys/{id:int}"): delete_ssh_key,
    ("GET", "/placement_groups"): list_placement_groups,
    ("POST", "/placement_groups"): create_placement_group,
    ("GET", "/placement_groups/{id:int}"): get_placement_group,
    ("PUT", "/placement_groups/{id:int}"): update_placement_group,
    ("DELETE", "/placement_groups/{id:int}"): delete_placement_group,
}
