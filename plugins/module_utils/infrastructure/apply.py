# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan: many calls at a time, each when its turn has come, and every action waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from ..hcloud_client import APIException, Client, explain
from ..retries import REFUSED_FOR_NOW, UNCLEAR, unclear
from .plan import Plan, Ref, Step, dependencies, resolve

#: Calls at a time. Waiting for actions takes none of them.
WORKERS = 8
#: Seconds between two looks at the running actions, whose states come 25 to a request.
POLL_INTERVAL = 0.5
POLL_BATCH = 25


#: After these it is worth to read again what is there, and to go on from that. Somebody else, or our own request whose
#: answer was lost, has changed what the plan was made from; or something passing has kept us waiting for too long.
READ_AGAIN = (
    REFUSED_FOR_NOW
    | UNCLEAR
    | {"uniqueness_error", "not_found", "action_failed", "resource_in_use"}
    # What a load balancer answers to being given what it has.
    | {"source_port_already_used", "target_already_defined", "load_balancer_already_attached", "ip_not_available"}
)


class ApplyError(Exception):
    """A step failed; the message is a sentence for a person. What was done stays done, the next run goes on from it."""


class UnclearError(ApplyError):
    """What is there has to be read again; maybe nothing is missing. All that does not depend on it was carried out."""


@dataclass
class _Running:
    """A step whose call was answered, until its actions have ended."""

    index: int
    actions: set[int]
    deadline: float


def apply(client: Client, plan: Plan, timeout: float, check: Callable[[], None] = lambda: None) -> list[Step]:
    """Carry out every step of ``plan``; ``timeout`` is in seconds, for the actions of one step.

    Returns the steps in the order they ended. Raises :class:`ApplyError` when one fails: steps under way are waited
    for, no other begins; nor does one once ``check`` raises. :class:`UnclearError` does not keep others from beginning.
    """
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        return _Application(client, plan, timeout, check, pool).run()


class _Application:
    """The main thread's view: which step is where. Only the calls themselves run in other threads."""

    def __init__(
        self, client: Client, plan: Plan, timeout: float, check: Callable[[], None], pool: ThreadPoolExecutor
    ) -> None:
        self.client = client
        self.check = check
        self.steps = plan.steps
        self.ids = dict(plan.ids)  # grows as resources are made
        self.timeout = timeout
        self.pool = pool
        self.waiting = dict(enumerate(dependencies(plan.steps)))
        self.calls: dict[Future[list[dict[str, Any]]], int] = {}
        self.running: list[_Running] = []
        self.ended: list[int] = []
        self.failures: list[str] = []
        self.unclear: list[str] = []
        self.next_poll = 0.0

    def run(self) -> list[Step]:
        self.start()
        while self.calls or self.running:
            self.collect()
            self.poll()
            self.start()
        if self.failures:
            raise ApplyError(" ".join(self.failures))
        if self.unclear:
            raise UnclearError(" ".join(self.unclear))
        return [self.steps[index] for index in self.ended]

    def start(self) -> None:
        """Make the calls whose turn has come; none any more after a failure."""
        try:
            self.check()
        except ApplyError as error:
            self.failures = self.failures or [str(error)]
        for index, needs in list(self.waiting.items()):
            if not self.failures and needs.issubset(self.ended):
                del self.waiting[index]
                self.calls[self.pool.submit(_call, self.client, self.steps[index], self.ids)] = index

    def collect(self) -> None:
        """Wait for an answer, or until it is time to ask for the running actions."""
        pause = max(0.0, self.next_poll - time.monotonic()) if self.running else POLL_INTERVAL
        if not self.calls:
            self.client.sleep(pause)
            return
        for future in wait(self.calls, timeout=pause, return_when=FIRST_COMPLETED).done:
            index = self.calls.pop(future)
            try:
                self.follow(index, future.result(), time.monotonic() + self.timeout)
            except Exception as error:  # whatever a call raises, the others are still waited for
                self.fail(index, self.tell(index, error), unclear(error) or getattr(error, "code", None) in READ_AGAIN)

    def follow(self, index: int, actions: list[dict[str, Any]], deadline: float) -> None:
        """A step has ended when all of its actions have."""
        for action in actions:
            if action["status"] == "error":
                error = action["error"]
                reason = f"{error['message']} ({error['code']}, action {action['id']} {action['command']})."
                self.fail(index, reason, error["code"] in READ_AGAIN)
                return
        busy = {action["id"] for action in actions if action["status"] == "running"}
        if not busy:
            self.ended.append(index)
        elif time.monotonic() > deadline:
            self.fail(index, f"It has not ended within {self.timeout:.0f} s; run again when it has.")
        else:
            self.running.append(_Running(index, busy, deadline))

    def poll(self) -> None:
        """Ask for all running actions at once, when it is time."""
        if not self.running or time.monotonic() < self.next_poll:
            return
        wanted = sorted({action for running in self.running for action in running.actions})
        states: dict[int, dict[str, Any]] = {}
        followed, self.running = self.running, []
        try:
            for first in range(0, len(wanted), POLL_BATCH):
                answer = self.client.request("GET", "/actions", params={"id": wanted[first : first + POLL_BATCH]})
                states.update((action["id"], action) for action in answer["actions"])
        except (APIException, OSError) as error:
            for running in followed:
                self.fail(running.index, explain(error))
            return
        for running in followed:
            unknown = running.actions - states.keys()
            if unknown:
                self.fail(running.index, f"The API does not know action {min(unknown)} any more.", read_again=True)
            else:
                self.follow(running.index, [states[action] for action in running.actions], running.deadline)
        self.next_poll = time.monotonic() + POLL_INTERVAL

    def fail(self, index: int, reason: str, read_again: bool = False) -> None:
        step = self.steps[index]
        (self.unclear if read_again else self.failures).append(f"{step.ref}: {step.action} failed. {reason}")

    def tell(self, index: int, error: Exception) -> str:
        """The error as a sentence; for a limit with how much of the kind there is, since the API does not say."""
        if getattr(error, "code", None) != "resource_limit_exceeded":
            return explain(error)
        kind = self.steps[index].ref.kind
        there = Counter(ref.kind for ref in self.ids)[kind]
        missing = [step.ref.name for step in self.steps if step.action == "create" and step.ref not in self.ids]
        return f"{explain(error)} The project has {there} of kind {kind}; not made yet: {', '.join(missing)}."


def _call(client: Client, step: Step, ids: dict[Ref, int]) -> list[dict[str, Any]]:
    """Make the step's call and return the actions it has started."""
    call = step.call
    if call is None:
        raise ApplyError(step.refused)
    body = resolve(call.body, ids)
    path = call.path.format(id=ids[call.target]) if call.target else call.path
    try:
        answer = client.request(call.method, path, json=body)
    except APIException as error:
        if call.method == "DELETE" and error.code == "not_found":
            return []  # an earlier try, whose answer was lost, has deleted it
        raise
    if step.action == "create":
        ids[step.ref] = answer[step.ref.kind]["id"]
    return list(_actions(answer))


def _actions(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if answer.get("action"):
        yield answer["action"]
    yield from answer.get("actions") or ()
    yield from answer.get("next_actions") or ()
