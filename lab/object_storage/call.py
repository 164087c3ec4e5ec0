"""What every operation shares: a verified request as handlers see it, and answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from starlette.responses import Response

from lab.object_storage import xml
from lab.object_storage.errors import StorageError
from lab.object_storage.payload import Payload
from lab.object_storage.signature import Received
from lab.object_storage.store import Incoming, Store
from lab.object_storage.uploads import Uploads

T = TypeVar("T")

#: How much of a body is handed to a thread at a time.
_BATCH = 2**20
#: The longest body that is a document, not an object: a thousand keys, each of whose bytes may need six.
_LONGEST_DOCUMENT = 8 * 2**20
_THREADS = 8


class Backend:
    """The store, and threads of its own: disks are slow, and the loop that serves this serves all the cloud."""

    def __init__(self, store: Store, region: str) -> None:
        self.store = store
        self.uploads = Uploads(store)
        self.region = region
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@dataclass(frozen=True)
class Call:
    """A request that was signed by who may do everything."""

    backend: Backend
    bucket: str
    key: str
    received: Received
    payload: Payload

    @property
    def store(self) -> Store:
        return self.backend.store

    @property
    def uploads(self) -> Uploads:
        return self.backend.uploads

    async def run(self, work: Callable[[], T]) -> T:
        return await self.backend.run(work)

    def header(self, name: str) -> str | None:
        return self.received.header(name)

    def parameter(self, name: str) -> str:
        return self.received.parameter(name) or ""

    def number(self, name: str, default: int, allowed: range) -> int:
        """A whole number of the query."""
        text = self.received.parameter(name)
        if text is None:
            return default
        if not text.isdecimal() or int(text) not in allowed:
            raise StorageError("InvalidArgument", f"{name} must be from {allowed[0]} to {allowed[-1]}")
        return int(text)

    async def receive(self) -> tuple[Incoming, dict[str, bytes]]:
        """The body as a finished file, and its digests, which are those that were announced."""
        incoming = await self.run(lambda: self.store.incoming(self.payload.algorithms))
        batch = bytearray()

        async def write() -> None:
            data = bytes(batch)
            batch.clear()
            await self.run(lambda: incoming.write(data))

        try:
            async for piece in self.payload:
                batch += piece
                if len(batch) >= _BATCH:
                    await write()
            await write()
            digests = await self.run(incoming.finish)
            self.payload.check(digests)
        except BaseException:
            incoming.discard()
            raise
        return incoming, digests

    async def document(self) -> bytes:
        """The body as a whole, where it is a small document."""
        if self.payload.size > _LONGEST_DOCUMENT:
            raise StorageError("MalformedXML")
        incoming, _ = await self.receive()
        try:
            return await self.run(incoming.path.read_bytes)
        finally:
            incoming.discard()


Handler = Callable[[Call], Awaitable[Response]]


def answer(node: xml.Node, status: int = 200) -> Response:
    return Response(xml.document(node), status, media_type="application/xml")


def quoted(etag: str) -> str:
    return f'"{etag}"'
