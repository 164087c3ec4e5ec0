"""Placement groups: servers that the vendor spreads over its machines. On one machine only the books are real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.errors import CloudError, invalid, invalid_field
from lab.operations import common
from lab.state.resources import Action, PlacementGroup, Ref, Server
from lab.state.store import Store

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

MOST_SERVERS = 10


def create(cloud: Cloud, name: str, group_type: str, labels: Mapping[str, str]) -> PlacementGroup:
    if group_type != "spread":
        raise invalid_field("type", "must be spread")
    checked_labels = common.check_labels(labels)
    common.check_name_is_free("placement group", name, cloud.store.placement_groups)
    common.check_limit(cloud.store, "placement_groups", len(cloud.store.placement_groups))
    group = PlacementGroup(cloud.store.new_id(), name, cloud.store.now(), checked_labels)
    cloud.store.placement_groups[group.id] = group
    return group


def update(cloud: Cloud, group: PlacementGroup, name: str | None, labels: Mapping[str, str] | None) -> None:
    common.rename("placement group", group, cloud.store.placement_groups, name)
    common.relabel(group, labels)


def delete(cloud: Cloud, group: PlacementGroup) -> None:
    if cloud.store.servers_in_group(group.id):
        raise CloudError("resource_in_use", f"placement group with ID {group.id} still has servers")
    del cloud.store.placement_groups[group.id]


def check_room(store: Store, group: PlacementGroup) -> None:
    if len(store.servers_in_group(group.id)) >= MOST_SERVERS:
        raise CloudError("placement_error", f"placement group {group.name} has {MOST_SERVERS} servers already")


def add_server(cloud: Cloud, server: Server, group_id: int) -> Action:
    ref = Ref("server", server.id)
    group = common.get("placement group", cloud.store.placement_groups, group_id)
    common.check_unlocked(cloud.store, ref)
    if server.status != "off":
        raise CloudError("server_not_stopped", f"server {server.name} needs to be powered off")
    if server.placement_group_id is not None:
        raise CloudError("already_in_placement_group", f"server {server.name} is already part of a placement group")
    check_room(cloud.store, group)
    undo = common.restoring(server, "placement_group_id")
    server.placement_group_id = group.id
    return cloud.actions.start_one("add_to_placement_group", [ref], undo=undo)


def remove_server(cloud: Cloud, server: Server) -> Action:
    ref = Ref("server", server.id)
    common.check_unlocked(cloud.store, ref)
    if server.placement_group_id is None:
        raise invalid(f"server {server.name} is not part of a placement group")
    undo = common.restoring(server, "placement_group_id")
    server.placement_group_id = None
    return cloud.actions.start_one("remove_from_placement_group", [ref], undo=undo)
