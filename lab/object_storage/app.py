"""The server: verifies who asks, finds out what for, and puts errors into the vendor's words."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from lab.object_storage import operations, xml
from lab.object_storage.availability import Availability
from lab.object_storage.call import Backend, Call
from lab.object_storage.errors import StorageError
from lab.object_storage.names import meant
from lab.object_storage.payload import Payload
from lab.object_storage.signature import Credentials, Received, parse_query, verify
from lab.object_storage.store import Store

log = logging.getLogger(__name__)


class ObjectStorage:
    """An ASGI application. ``name`` is its own; buckets are also called by a label before that."""

    def __init__(
        self, store: Store, credentials: Credentials, name: str, region: str, availability: Availability
    ) -> None:
        store.tidy()
        self._backend = Backend(store, region)
        self._credentials = credentials
        self._name = name
        self._availability = availability

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"object storage does not speak {scope['type']}")
        number = secrets.token_hex(8).upper()
        body = _Body(receive)
        try:
            response = await self._answer(Request(scope), body)
        except ClientDisconnect:
            return
        except StorageError as error:
            response = await self._refuse(scope, body, error, number)
        except Exception as error:
            log.exception("%s %s ended in a fault of the embedded object storage", scope["method"], scope["path"])
            response = await self._refuse(scope, body, StorageError("InternalError", f"fault: {error}"), number)
        response.headers["x-amz-request-id"] = number
        with suppress(ClientDisconnect):
            await response(scope, receive, send)

    async def _answer(self, request: Request, body: _Body) -> Response:
        self._availability.check()
        raw_path: bytes = request.scope["raw_path"]
        received = Received(
            request.method, raw_path, parse_query(request.scope["query_string"]), request.headers.items()
        )
        signed = verify(received, self._credentials, self._backend.region, datetime.now(UTC))
        bucket, key = meant(received.header("host") or "", raw_path, self._name)
        handler = operations.find(received, bucket, key)
        payload = Payload(received, signed, body.pieces())
        return await handler(Call(self._backend, bucket, key, received, payload))

    async def _refuse(self, scope: Scope, body: _Body, error: StorageError, number: str) -> Response:
        nodes = [
            ("Code", error.code),
            ("Message", error.message),
            ("Resource", scope["raw_path"].decode("latin-1")),
            ("RequestId", number),
        ]
        content = xml.document(("Error", [*nodes, *error.details.items()]), namespace=False)
        headers = await body.give_up(expected=any(name == b"expect" for name, _ in scope["headers"]))
        if scope["method"] == "HEAD" or error.code == "NotModified":
            content = b""
        return Response(content, error.status, headers, "application/xml")


class _Body:
    """The body as it arrives."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._begun = False
        self._ended = False

    async def pieces(self) -> AsyncIterator[bytes]:
        while not self._ended:
            self._begun = True
            message: Message = await self._receive()
            if message["type"] == "http.disconnect":
                self._ended = True
                raise ClientDisconnect
            self._ended = not message.get("more_body", False)
            yield message.get("body", b"")

    async def give_up(self, expected: bool) -> dict[str, str]:
        """Headers of an answer that comes before the body's end.

        A client that waits with it (Expect: 100-continue) never sends it, so the connection serves no other request.
        Any other one reads the answer only when it has sent it all.
        """
        if expected and not self._begun:
            return {"Connection": "close"}
        try:
            async for _ in self.pieces():
                pass
        except ClientDisconnect:
            return {"Connection": "close"}
        return {}
