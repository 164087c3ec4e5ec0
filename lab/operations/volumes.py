"""Volumes: disks that live on their own and are attached to one server at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.actions import Step
from lab.catalog import find
from lab.drivers.base import DriverError
from lab.errors import CloudError, invalid, invalid_field, not_implemented
from lab.operations import common
from lab.state.resources import Action, Ref, Server, Volume

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

SMALLEST = 10
LARGEST = 10240
_MOST_ON_A_SERVER = 16
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_FORMATS = ("xfs", "ext4")


@dataclass(frozen=True)
class VolumeRequest:
    name: str
    size: int
    location: str | None = None
    server_id: int | None = None
    format: str | None = None
    automount: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


def create(cloud: Cloud, request: VolumeRequest) -> tuple[Volume, Action, list[Action]]:
    """The volume, the action that makes it and those that follow."""
    store = cloud.store
    _check_name(request.name)
    _check_size(request.size)
    labels = common.check_labels(request.labels)
    if request.format is not None and request.format not in _FORMATS:
        raise invalid_field("format", f"must be one of {', '.join(_FORMATS)}")
    if (request.location is None) == (request.server_id is None):
        raise invalid("exactly one of location and server must be given")
    if request.automount and request.server_id is None:
        raise invalid_field("automount", "needs a server")
    check_no_automount(request.automount)
    server: Server | None = None
    if request.server_id is not None:
        server = common.get("server", store.servers, request.server_id)
        common.check_unlocked(store, Ref("server", server.id))
        _check_room(cloud, server)
        location_name = server.location
    else:
        location = find(cloud.catalog.locations, request.location or "")
        if location is None:
            raise invalid(f"location '{request.location}' not found")
        location_name = location.name
    common.check_name_is_free("volume", request.name, store.volumes)
    common.check_limit(store, "volumes", len(store.volumes))

    volume = Volume(
        store.new_id(), request.name, store.now(), request.size, location_name, request.format, labels=labels
    )
    store.volumes[volume.id] = volume
    ref = Ref("volume", volume.id)

    async def make() -> None:
        await cloud.gate.create_volume(volume)
        volume.available = True

    async def unmake() -> None:
        del store.volumes[volume.id]

    if server is None:
        return volume, cloud.actions.start_one("create_volume", [ref], make, unmake), []
    refs = (Ref("server", server.id), ref)
    unplug = common.restoring(volume, "server_id")
    volume.server_id = server.id
    first, *others = cloud.actions.start(
        [
            Step("create_volume", refs, make, unmake),
            Step("attach_volume", refs, lambda: cloud.gate.plug(server.id), unplug),
        ]
    )
    return volume, first, others


def update(cloud: Cloud, volume: Volume, name: str | None, labels: Mapping[str, str] | None) -> None:
    if name is not None:
        _check_name(name)
    common.rename("volume", volume, cloud.store.volumes, name)
    common.relabel(volume, labels)


async def delete(cloud: Cloud, volume: Volume) -> None:
    """Answered only when the disk is gone, as the vendor's answer names no action to wait for.

    A server whose deletion was accepted lets go of its volumes; not every client waits for that to be over.
    """
    common.check_deletable("volume", volume)
    holder = cloud.store.servers.get(volume.server_id or 0)
    if holder is not None and holder.status == "deleting":
        await cloud.actions.settled(Ref("server", holder.id))
        common.get("volume", cloud.store.volumes, volume.id)  # somebody else may have deleted it meanwhile
    common.check_unlocked(cloud.store, Ref("volume", volume.id))
    if volume.server_id is not None:
        raise CloudError("resource_in_use", f"volume with ID {volume.id} is still attached to a server")
    del cloud.store.volumes[volume.id]
    try:
        await cloud.gate.delete_volume(volume.id)
    except DriverError as error:
        cloud.store.volumes[volume.id] = volume
        raise CloudError("server_error", error.message) from error


def attach(cloud: Cloud, volume: Volume, server_id: int, automount: bool) -> Action:
    server = common.get("server", cloud.store.servers, server_id)
    refs = [Ref("server", server.id), Ref("volume", volume.id)]
    common.check_unlocked(cloud.store, *refs)
    check_attachable(volume, server.location)
    check_no_automount(automount)
    _check_room(cloud, server)
    undo = common.restoring(volume, "server_id")
    volume.server_id = server.id
    return cloud.actions.start_one("attach_volume", refs, lambda: cloud.gate.plug(server.id), undo)


def detach(cloud: Cloud, volume: Volume) -> Action:
    if volume.server_id is None:
        raise invalid("volume is not attached to a server")
    server_id = volume.server_id
    refs = [Ref("server", server_id), Ref("volume", volume.id)]
    common.check_unlocked(cloud.store, *refs)

    async def work() -> None:
        volume.server_id = None
        await cloud.gate.plug(server_id)

    return cloud.actions.start_one("detach_volume", refs, work, common.restoring(volume, "server_id"))


def resize(cloud: Cloud, volume: Volume, size: int) -> Action:
    ref = Ref("volume", volume.id)
    common.check_unlocked(cloud.store, ref)
    _check_size(size)
    if size <= volume.size_gb:
        raise invalid_field("size", f"must be greater than the present size of {volume.size_gb} GB")

    async def work() -> None:
        volume.size_gb = size
        await cloud.gate.resize_volume(volume)

    return cloud.actions.start_one("resize_volume", [ref], work, common.restoring(volume, "size_gb"))


def change_protection(cloud: Cloud, volume: Volume, delete: bool | None) -> Action:
    undo = common.restoring(volume, "protect_delete")
    if delete is not None:
        volume.protect_delete = delete
    return cloud.actions.start_one("change_protection", [Ref("volume", volume.id)], undo=undo)


def check_attachable(volume: Volume, location: str) -> None:
    if volume.server_id is not None:
        raise CloudError("volume_already_attached", f"volume {volume.name} is already attached to a server")
    if volume.location != location:
        raise invalid_field("server", f"volume {volume.name} is in {volume.location}, the server in {location}")


def check_no_automount(automount: bool) -> None:
    """Mounting is done by an agent in the vendor's images, which the lab's images do not have."""
    if automount:
        raise not_implemented("automount of volumes")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid_field("name", "must have 1 to 64 characters of [A-Za-z0-9._-], alphanumeric at both ends")


def _check_size(size: int) -> None:
    if not SMALLEST <= size <= LARGEST:
        raise invalid_field("size", f"must be from {SMALLEST} to {LARGEST} GB")


def _check_room(cloud: Cloud, server: Server) -> None:
    if len(cloud.store.volumes_of(server.id)) >= _MOST_ON_A_SERVER:
        raise CloudError("resource_limit_exceeded", f"a server has at most {_MOST_ON_A_SERVER} volumes")
