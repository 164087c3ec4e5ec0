# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change about volumes."""

from __future__ import annotations

from . import actual, declared
from .plan import Ref
from .planning import Planning


def plan_volumes(planning: Planning) -> None:
    for volume in planning.declared.volumes or ():
        ref = Ref("volume", volume.name)
        existing = planning.actual.volumes.get(volume.name)
        if volume.server and not planning.known(ref, "server", [volume.server]):
            continue
        if existing is None:
            if planning.location(ref, volume.location):
                _create(planning, ref, volume)
                _attach(planning, ref, volume)
        elif planning.owns(ref, existing):
            _update(planning, ref, volume, existing)


def _create(planning: Planning, ref: Ref, volume: declared.Volume) -> None:
    body = {
        "name": volume.name,
        "size": volume.size,
        "location": volume.location,
        "labels": planning.labels(volume.labels),
    }
    if volume.format:
        body["format"] = volume.format
    planning.create(ref, body, monthly=volume.size * planning.actual.catalogue.volume_price)


def _attach(planning: Planning, ref: Ref, volume: declared.Volume) -> None:
    if volume.server:
        server = Ref("server", volume.server)
        # Mounting is the servers' own business: the roles know where.
        body = {"server": server, "automount": False}
        planning.do(
            ref, "attach", "attach", body, "not attached", after={"server": volume.server}, writes=frozenset({server})
        )


def _update(planning: Planning, ref: Ref, volume: declared.Volume, existing: actual.Volume) -> None:
    attached = planning.actual.name("server", existing.server) if existing.server else None
    kept = [
        planning.keeps(ref, "location", existing.location, volume.location, "A volume cannot move"),
        planning.keeps(
            ref,
            "format",
            existing.format,
            # None on either side: nobody knows, or nobody cares.
            volume.format if existing.format and volume.format else existing.format,
            "Formatting it anew would destroy its data",
        ),
        planning.keeps(ref, "size", max(existing.size, volume.size), volume.size, "A volume cannot shrink"),
        planning.keeps(
            ref,
            "server",
            attached,
            volume.server if attached and volume.server else attached,
            "Detach it yourself once nothing uses its data",
        ),
    ]
    if not all(kept):
        return
    planning.update(ref, {"labels": existing.labels}, {"labels": planning.labels(volume.labels, existing.labels)})
    if attached is None:
        _attach(planning, ref, volume)
    if volume.size > existing.size:
        planning.do(
            ref,
            "resize",
            "resize",
            {"size": volume.size},
            "bigger is declared; its file system grows on the server",
            before={"size": existing.size},
            after={"size": volume.size},
            monthly=(volume.size - existing.size) * planning.actual.catalogue.volume_price,
        )
