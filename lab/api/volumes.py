"""Routes of volumes."""

from __future__ import annotations

from functools import partial

from lab.api import actions, listing
from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.operations import common, volumes
from lab.state.resources import Volume
from lab.wire import resources as wire


async def list_volumes(call: Call) -> Answer:
    filters = listing.Filters(exact=("name", "status"), choices={"status": ("available", "creating")})
    render = partial(wire.volume, call.cloud.catalog)
    return listing.answer(call, "volumes", call.cloud.store.volumes.values(), render, filters)


async def create_volume(call: Call) -> Answer:
    body = call.body
    request = volumes.VolumeRequest(
        name=body.name(),
        size=body.integer("size"),
        location=body.optional_id_or_name("location"),
        server_id=body.optional_integer("server"),
        format=body.optional_string("format"),
        automount=body.boolean("automount", False),
        labels=body.labels(),
    )
    volume, first, others = volumes.create(call.cloud, request)
    payload: dict[str, object] = {
        "volume": wire.volume(call.cloud.catalog, volume),
        "action": wire.action(first),
        "next_actions": [wire.action(action) for action in others],
    }
    return Answer(payload, CREATED)


async def get_volume(call: Call) -> Answer:
    return Answer({"volume": wire.volume(call.cloud.catalog, _volume(call))})


async def update_volume(call: Call) -> Answer:
    volume = _volume(call)
    volumes.update(call.cloud, volume, call.body.optional_name(), call.body.optional_labels())
    return Answer({"volume": wire.volume(call.cloud.catalog, volume)})


async def delete_volume(call: Call) -> Answer:
    await volumes.delete(call.cloud, _volume(call))
    return Answer(status=NO_CONTENT)


async def attach(call: Call) -> Answer:
    server_id, automount = call.body.integer("server"), call.body.boolean("automount", False)
    return actions.created(volumes.attach(call.cloud, _volume(call), server_id, automount))


async def detach(call: Call) -> Answer:
    return actions.created(volumes.detach(call.cloud, _volume(call)))


async def resize(call: Call) -> Answer:
    return actions.created(volumes.resize(call.cloud, _volume(call), call.body.integer("size")))


async def change_protection(call: Call) -> Answer:
    delete = call.body.optional_boolean("delete")
    return actions.created(volumes.change_protection(call.cloud, _volume(call), delete))


def _volume(call: Call) -> Volume:
    return common.get("volume", call.cloud.store.volumes, call.id)


ROUTES: Routes = {
    ("GET", "/volumes"): list_volumes,
    ("POST", "/volumes"): create_volume,
    ("GET", "/volumes/{id:int}"): get_volume,
    ("PUT", "/volumes/{id:int}"): update_volume,
    ("DELETE", "/volumes/{id:int}"): delete_volume,
    ("POST", "/volumes/{id:int}/actions/attach"): attach,
    ("POST", "/volumes/{id:int}/actions/detach"): detach,
    ("POST", "/volumes/{id:int}/actions/resize"): resize,
    ("POST", "/volumes/{id:int}/actions/change_protection"): change_protection,
    **actions.routes_of("/volumes", "volume", "volume", lambda cloud: cloud.store.volumes),
}
