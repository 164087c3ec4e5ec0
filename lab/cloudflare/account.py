"""The embedded Cloudflare as one object: what it knows, who may ask, what was asked and what is to go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab.cloudflare import state
from lab.cloudflare.authority import Authority
from lab.cloudflare.limit import RateLimit
from lab.cloudflare.state import StateFile, Store, Token
from lab.faults import FaultPlan
from lab.request_log import RequestLog

Publish = Callable[[Store], None]


def _nowhere(_store: Store) -> None:
    """Names that nobody asks for."""


class Cloudflare:
    """Changed only on the thread of the event loop that serves the API."""

    def __init__(self, folder: Path, publish: Publish = _nowhere) -> None:
        """Takes up what an earlier process left in the folder; raises ValueError when that cannot be read.

        ``publish`` makes the resolvers answer what is in the zones it is given. It may take its time: it runs in a
        thread of its own.
        """
        self._file = StateFile(folder / state.STATE_FILE.path.name)
        self._publish = publish
        self._publishing = asyncio.Lock()
        self.authority = Authority(folder)
        self.faults = FaultPlan()
        self.requests = RequestLog()
        self.limit = RateLimit()
        self._default_token = state.make_token(folder / state.TOKEN_FILE.name)
        self.store = self._file.load() or state.fresh()
        if self.find_token(self._default_token) is None:
            self._admit_default_token()
        self.save()

    def _admit_default_token(self) -> None:
        token = Token(state.new_id(), state.digest(self._default_token), state.DEFAULT_PERMISSIONS)
        self.store.tokens[token.id] = token

    def find_token(self, text: str) -> Token | None:
        wanted = state.digest(text)
        return next((token for token in self.store.tokens.values() if token.digest == wanted), None)

    def save(self) -> None:
        """Write the state down; the edge reads it there."""
        self._file.save(self.store)

    async def publish(self) -> None:
        """Let the resolvers know."""
        async with self._publishing:
            # What a thread goes through must not change under it. Records are replaced, never changed.
            zones = {zone.id: replace(zone, records=dict(zone.records)) for zone in self.store.zones.values()}
            await asyncio.to_thread(self._publish, Store(zones=zones))

    async def reset(self) -> None:
        """The zone as at first, under the same ID, and the lab's token alone; no faults, no log, the usual limit."""
        before = self.store
        self.store = state.fresh()
        self.store.account_id = before.account_id
        for zone in before.zones.values():
            self.store.zones = {zone.id: state.Zone(zone.id, zone.name, zone.created_on)}
        self._admit_default_token()
        self.faults.rules.clear()
        self.requests.entries.clear()
        self.limit = RateLimit()
        self.save()
        await self.publish()
