"""Making the real things what the books say: after a restart of the process, and when the books were exchanged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lab.drivers.base import DriverError, Inventory
from lab.operations import power, servers
from lab.state.resources import Server
from lab.state.store import Store

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

log = logging.getLogger(__name__)


def settle(store: Store) -> None:
    """End what was under way when the books were written: nobody works on it any more.

    Its actions have failed, places in networks that were not real yet are given up, volumes and load balancers that
    were being made do not exist. Servers half made or half deleted are for ``reconcile`` to remove.
    """
    for action in store.actions.values():
        if action.status == "running":
            action.status, action.progress, action.finished = "error", 100, store.now()
            action.error_code = "server_error"
            action.error_message = "cut short: the embedded cloud was restarted while this ran"
    for server in store.servers.values():
        server.attachments = [attachment for attachment in server.attachments if attachment.connected]
    for volume in list(store.volumes.values()):
        if not volume.available:
            del store.volumes[volume.id]
    for load_balancer in list(store.load_balancers.values()):
        if not load_balancer.available:
            del store.load_balancers[load_balancer.id]
        elif load_balancer.attachment is not None and not load_balancer.attachment.connected:
            load_balancer.attachment = None


async def reconcile(cloud: Cloud) -> None:
    """What cannot be made is written to the log; a server that cannot be started is off."""
    store, gate = cloud.store, cloud.gate
    there = await gate.inventory()
    await _all(
        *(gate.delete_machine(number) for number in there.machines.keys() - store.servers.keys()),
        *(gate.delete_load_balancer(number) for number in there.load_balancers - store.load_balancers.keys()),
        *(gate.delete_network(number) for number in there.networks - store.networks.keys()),
    )
    await _all(
        *(gate.delete_volume(number) for number in there.volumes - store.volumes.keys()),
        *(gate.create_volume(volume) for volume in store.volumes.values()),
        *(gate.sync_network(number) for number in store.networks),
    )
    await _all(*(gate.sync_load_balancer(number) for number in store.load_balancers))
    await _all(*(_server(cloud, server, there) for server in list(store.servers.values())))


async def _server(cloud: Cloud, server: Server, there: Inventory) -> None:
    if server.status in ("initializing", "deleting"):
        server.status = "off"
        await servers.remove(cloud, server)
        return
    running = there.machines.get(server.id)
    # A change of power that was cut short has gone as far as the machine shows.
    wanted = server.status == "running" or (server.status != "off" and bool(running))
    server.status = "running" if running else "off"
    if running is None:
        log.warning("the machine of server %s is gone; it gets a new one with an empty disk", server.name)
        async with cloud.gate.machine(server.id):
            await cloud.gate.create_machine(server)
    if not wanted:
        await power.stop(cloud, server)
    elif running:
        await cloud.gate.plug(server.id)
    else:
        await power.start(cloud, server)


async def _all(*work: Awaitable[None]) -> None:
    for result in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(result, DriverError):
            log.warning("not as it was: %s", result.message)
        elif isinstance(result, BaseException):
            raise result
