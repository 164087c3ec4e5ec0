"""Actions: what runs after a request was answered, how long it takes and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.drivers.base import DriverError
from lab.errors import CloudError
from lab.faults import Command, FaultPlan
from lab.state.resources import Action, Ref
from lab.state.store import Store

log = logging.getLogger(__name__)

Profile = Literal["fast", "realistic"]
Work = Callable[[], Awaitable[None]]

#: Seconds a command takes at least, by profile; a command that is not named takes what "" says. The realistic ones are
#: the order of what the vendor needs.
DURATIONS: Mapping[Profile, Mapping[str, float]] = {
    "fast": {"": 0.0},
    "realistic": {
        "": 1.0,
        "create_server": 7.0,
        "start_server": 3.0,
        "stop_server": 2.0,
        "reboot_server": 2.0,
        "reset_server": 2.0,
        "rebuild_server": 15.0,
        "delete_server": 4.0,
        "change_server_type": 20.0,
        "attach_to_network": 3.0,
        "detach_from_network": 3.0,
        "create_volume": 3.0,
        "attach_volume": 3.0,
        "detach_volume": 3.0,
    },
}
_TICKS = 10
_PROGRESS_WHILE_RUNNING = 95
#: Seconds between two looks at whether a resource is free.
_PAUSE = 0.05


async def nothing() -> None:
    """The work of a step that is done when it is written down, and the undoing of one that cannot be undone."""


@dataclass(frozen=True)
class Step:
    """One action to be: ``work`` makes it true, and raises DriverError or CloudError if it cannot.

    ``undo`` takes back what was written down when the action was; it runs when the action fails or never begins.
    """

    command: str
    resources: tuple[Ref, ...]
    work: Work
    undo: Work = nothing


class ActionRunner:
    def __init__(self, store: Store, faults: FaultPlan, changed: Callable[[], None]) -> None:
        """``changed`` is called after every change that is no request's own."""
        self._store = store
        self._changed = changed
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, steps: Sequence[Step]) -> list[Action]:
        """Run the steps one after the other from now on; when one fails, those after it fail with it."""
        actions = [self._new_action(step) for step in steps]
        self.background(self._run(steps, actions))
        return actions

    def start_one(self, command: str, resources: Sequence[Ref], work: Work = nothing, undo: Work = nothing) -> Action:
        return self.start([Step(command, tuple(resources), work, undo)])[0]

    def background(self, work: Awaitable[None]) -> None:
        """Run something that no client waits for."""
        task = asyncio.ensure_future(self._noted(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self, resource: Ref) -> None:
        """Wait until no action holds this resource."""
        while self._store.is_locked(resource):
            await asyncio.sleep(_PAUSE)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)  # lets finished tasks be taken off the list

    async def _noted(self, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            self._changed()

    async def stop(self) -> None:
        """Give up everything that is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _new_action(self, step: Step) -> Action:
        action = Action(self._store.new_id(), step.command, step.resources, started=self._store.now())
        self._store.actions[action.id] = action
        return action

    async def _run(self, steps: Sequence[Step], actions: Sequence[Action]) -> None:
        failed: Action | None = None
        for step, action in zip(steps, actions, strict=True):
            if failed is None:
                await self._run_step(step, action)
                failed = action if action.status == "error" else None
            else:
                why = f"not begun, because {failed.command} failed: {failed.error_message}"
                await self._fail(step, action, "action_failed", why)

    async def _run_step(self, step: Step, action: Action) -> None:
        clock = asyncio.ensure_future(self._tick(action))
        try:
            await self._disturb(action)
            await step.work()
            await clock
        except (DriverError, CloudError) as error:
            await self._fail(step, action, error.code, error.message)
        except Exception as error:
            log.exception("action %d (%s) ended in a fault of the embedded cloud", action.id, action.command)
            await self._fail(step, action, "server_error", f"fault of the embedded cloud: {error}")
        else:
            action.progress = 100
            action.status = "success"
            action.finished = self._store.now()
        finally:
            clock.cancel()
        self._changed()

    async def _tick(self, action: Action) -> None:
        """Let the minimum duration pass, with the progress rising."""
        durations = self._store.conditions.durations
        duration = durations.get(action.command, durations.get("", 0.0))
        if not duration:
            return
        for tick in range(1, _TICKS + 1):
            await asyncio.sleep(duration / _TICKS)
            action.progress = _PROGRESS_WHILE_RUNNING * tick // _TICKS

    async def _disturb(self, action: Action) -> None:
        """Let a fault that was asked for strike."""
        struck = self._faults.strike(Command(action.command))
        if struck is None:
            return
        _, fault = struck
        await asyncio.sleep(fault.delay)
        if fault.effect == "error":
            raise CloudError(fault.code or "", fault.message)

    async def _fail(self, step: Step, action: Action, code: str, message: str) -> None:
        try:
            await step.undo()
        except DriverError as error:
            message += f"; and it could not be taken back: {error.message}"
        action.status = "error"
        action.progress = 100
        action.finished = self._store.now()
        action.error_code = code
        action.error_message = message
        log.warning("action %d (%s) failed: %s (%s)", action.id, action.command, message, code)
