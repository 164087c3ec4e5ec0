"""What every request passes on its way to a route: the log, the limit of requests, and faults that were asked for."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from lab.api.http import PREFIX, error_response
from lab.api.limit import RateLimit
from lab.errors import CloudError
from lab.faults import Fault, FaultPlan, Request
from lab.request_log import Entry, RequestLog

_TRANSPORT = "transport"
_ENTRY = "bulwark.entry"


class CuttableProtocol(HttpToolsProtocol):
    """Serves HTTP as usual, and lets a fault get at the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # because its base does so
        super().connection_made(transport)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


async def _cut(scope: Scope, receive: Receive) -> None:
    """End the connection without an answer."""
    scope["state"][_TRANSPORT].abort()
    # The server must have taken note, or it would try to answer for us.
    while (await receive())["type"] != "http.disconnect":
        pass


class _Clock(Protocol):
    def now(self) -> str: ...


class Recorded(Protocol):
    """What has a log of requests and knows the time."""

    @property
    def requests(self) -> RequestLog: ...

    @property
    def store(self) -> _Clock: ...


class Record:
    """Writes every request into the log."""

    def __init__(self, app: ASGIApp, cloud: Recorded) -> None:
        self._app = app
        self._cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = scope["query_string"].decode("ascii", "replace")
        entry = self._cloud.requests.begin(self._cloud.store.now(), scope["method"], scope["path"], query)
        scope[_ENTRY] = entry
        begun = time.monotonic()

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            entry.milliseconds = round((time.monotonic() - begun) * 1000, 1)


class CommonHeaders:
    """Rate limit and correlation ID, which every answer carries, errors included."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowed = self._limit.take()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = {**self._limit.headers(), "X-Correlation-Id": secrets.token_hex(16)}
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name.lower().encode(), value.encode()) for name, value in added.items()),
                ]
            await send(message)

        app = self._app if allowed else error_response(CloudError("rate_limit_exceeded", "limit of requests reached"))
        await app(scope, receive, send_with_headers)


def _error(fault: Fault) -> Response:
    if fault.code is None:
        return PlainTextResponse(fault.message, fault.status or 500)
    return error_response(CloudError(fault.code, fault.message, status=fault.status))


class Disturb:
    """Makes go wrong what was asked to. ``error`` puts an error into the words of the API that has this prefix."""

    def __init__(
        self, app: ASGIApp, faults: FaultPlan, prefix: str = PREFIX, error: Callable[[Fault], Response] = _error
    ) -> None:
        self._app = app
        self._faults = faults
        self._prefix = prefix
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        struck = None
        if scope["type"] == "http":
            struck = self._faults.strike(Request(scope["method"], scope["path"].removeprefix(self._prefix)))
        if struck is None:
            await self._app(scope, receive, send)
            return
        entry: Entry = scope[_ENTRY]
        entry.fault, fault = struck
        await asyncio.sleep(fault.delay)
        if fault.effect == "error":
            await self._error(fault)(scope, receive, send)
        elif fault.effect == "reset":
            entry.delivered = False
            await _cut(scope, receive)
        elif fault.effect == "lose_answer":
            entry.delivered = False

            async def keep(message: Message) -> None:
                if message["type"] == "http.response.start":
                    entry.status = message["status"]

            await self._app(scope, receive, keep)
            await _cut(scope, receive)
        else:
            await self._app(scope, receive, send)
