"""The way to the driver: calls leave the event loop, and never two at once go to the same object.

A description is computed only when it is the object's turn, so that the last call always carries the latest state.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from lab.catalog import Catalog
from lab.drivers.base import Driver, Inventory, LoadBalancer, LoadBalancerStatus, Machine
from lab.operations import descriptions
from lab.state.resources import Server, Volume
from lab.state.store import Store

_A = TypeVar("_A")
_R = TypeVar("_R")
_THREADS = 16


class Gate:
    def __init__(self, store: Store, catalog: Catalog, driver: Driver) -> None:
        self._store = store
        self._catalog = catalog
        self._driver = driver
        self._load_balancers: dict[int, LoadBalancer] = {}  # as last described without a failure
        self._locks: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="driver")

    def close(self) -> None:
        """Wait for the calls under way; the driver is not called any more afterwards."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def machine(self, server_id: int) -> AbstractAsyncContextManager[None]:
        """Holds the server's machine: needed around each method below that takes a server."""
        return self._locks["machine", server_id]

    async def create_machine(self, server: Server) -> None:
        await self._with_machine(self._driver.create_machine, server)

    async def start_machine(self, server: Server) -> None:
        await self._with_machine(self._driver.start_machine, server)

    async def shutdown_machine(self, server: Server) -> None:
        await self._with_machine(self._driver.shutdown_machine, server)

    async def stop_machine(self, server: Server) -> None:
        await self._with_machine(self._driver.stop_machine, server)

    async def delete_machine(self, server_id: int) -> None:
        await self._call(self._driver.delete_machine, server_id)

    async def plug(self, server_id: int) -> None:
        """Bring a running machine's cables, cloud firewall and volumes up to date. Others get theirs at their start."""
        async with self.machine(server_id):
            server = self._store.servers.get(server_id)
            if server is not None and server.status == "running":
                await self._with_machine(self._driver.plug, server)

    async def sync_network(self, network_id: int) -> None:
        async with self._locks["network", network_id]:
            network = self._store.networks.get(network_id)
            if network is not None:
                await self._call(self._driver.sync_network, descriptions.network(self._store, network))

    async def delete_network(self, network_id: int) -> None:
        async with self._locks["network", network_id]:
            await self._call(self._driver.delete_network, network_id)

    async def create_volume(self, volume: Volume) -> None:
        async with self._locks["volume", volume.id]:
            await self._call(self._driver.create_volume, descriptions.volume(volume))

    async def resize_volume(self, volume: Volume) -> None:
        async with self._locks["volume", volume.id]:
            await self._call(self._driver.resize_volume, descriptions.volume(volume))

    async def delete_volume(self, volume_id: int) -> None:
        async with self._locks["volume", volume_id]:
            await self._call(self._driver.delete_volume, volume_id)

    async def sync_load_balancer(self, load_balancer_id: int) -> None:
        await self._sync_load_balancer(load_balancer_id, always=True)

    async def refresh_load_balancer(self, load_balancer_id: int) -> None:
        """The same, where its description has changed since it was last told."""
        await self._sync_load_balancer(load_balancer_id, always=False)

    async def _sync_load_balancer(self, load_balancer_id: int, always: bool) -> None:
        async with self._locks["load balancer", load_balancer_id]:
            found = self._store.load_balancers.get(load_balancer_id)
            if found is None:
                return
            described = descriptions.load_balancer(self._store, self._catalog, found)
            if always or self._load_balancers.get(load_balancer_id) != described:
                self._load_balancers.pop(load_balancer_id, None)
                await self._call(self._driver.sync_load_balancer, described)
                self._load_balancers[load_balancer_id] = described

    async def delete_load_balancer(self, load_balancer_id: int) -> None:
        async with self._locks["load balancer", load_balancer_id]:
            self._load_balancers.pop(load_balancer_id, None)
            await self._call(self._driver.delete_load_balancer, load_balancer_id)

    async def load_balancer_status(self, load_balancer_id: int) -> LoadBalancerStatus:
        async with self._locks["load balancer", load_balancer_id]:
            return await self._call(self._driver.load_balancer_status, load_balancer_id)

    async def inventory(self) -> Inventory:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._driver.inventory)

    async def _with_machine(self, function: Callable[[Machine], None], server: Server) -> None:
        await self._call(function, descriptions.machine(self._store, self._catalog, server))

    async def _call(self, function: Callable[[_A], _R], argument: _A) -> _R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, argument)
