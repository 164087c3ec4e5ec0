"""The cloud as one object: its state, its catalogue, its driver and everything under way."""

from __future__ import annotations

import asyncio

from lab.actions import DURATIONS, ActionRunner, Profile
from lab.catalog import load_catalog
from lab.drivers.base import Driver, Exit
from lab.faults import FaultPlan
from lab.operations import power
from lab.operations.gate import Gate
from lab.operations.load_balancers.metrics import Meter
from lab.operations.reconcile import reconcile, settle
from lab.request_log import RequestLog
from lab.state.resources import Conditions
from lab.state.storage import StateFile
from lab.state.store import Store


class Cloud:
    """The whole book-keeping. Its state is only ever changed on the thread of the event loop that serves the API."""

    def __init__(
        self, driver: Driver, token: str, profile: Profile = "fast", state_file: StateFile | None = None
    ) -> None:
        """Raises ValueError when there is a state file that cannot be read."""
        self.driver = driver
        self.token = token
        self.catalog = load_catalog()
        self._state_file = state_file
        saved = state_file.load() if state_file else None
        self._profile = profile
        self.store = saved or self._new_store()
        self._must_reconcile = saved is not None
        self.faults = FaultPlan()
        self.requests = RequestLog()
        self.actions = ActionRunner(self.store, self.faults, self.save)
        self.gate = Gate(self.store, self.catalog, driver)
        self.meter = Meter()
        self._metering: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        driver.on_exit(self._machine_exited)

    async def serve(self) -> None:
        """Called on the event loop before the first request: takes up what an earlier process left."""
        self._loop = asyncio.get_running_loop()
        if self._must_reconcile:
            self._must_reconcile = False
            await self._take_up()
        self._metering = asyncio.create_task(self.meter.run(self))

    async def replace(self, store: Store) -> None:
        """Exchange the books, and make the real things what the new ones say. Waits for what is under way."""
        await self.actions.idle()
        self.store.replace(store)
        await self._take_up()

    async def reset(self) -> None:
        """Empty books, and nothing real any more."""
        await self.replace(self._new_store())

    def _new_store(self) -> Store:
        return Store(conditions=Conditions(durations=dict(DURATIONS[self._profile])))

    async def _take_up(self) -> None:
        settle(self.store)
        await reconcile(self)
        self.save()

    def save(self) -> None:
        """Write the state down, before anybody hears of it."""
        if self._state_file is not None:
            self._state_file.save(self.store)

    async def stop(self) -> None:
        """Called on the event loop after the last request: gives up what is under way."""
        self._loop = None
        if self._metering is not None:
            self._metering.cancel()
            await asyncio.gather(self._metering, return_exceptions=True)
        await self.actions.stop()

    def close(self) -> None:
        """Let go of the driver; what it made stays."""
        self.gate.close()
        self.driver.close()

    def _machine_exited(self, server_id: int, reason: Exit) -> None:
        """Told by the driver, from a thread of its own."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(lambda: self.actions.background(power.after_exit(self, server_id, reason)))
