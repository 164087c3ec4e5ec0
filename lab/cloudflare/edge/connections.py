"""Connections to origins: which of the vendor's errors it is when there is none, and which are kept for later.

The time limits are those of https://developers.cloudflare.com/fundamentals/reference/connection-limits/
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
from httpcore._backends.base import SOCKET_OPTION

from lab.cloudflare.edge.pages import EdgeError

_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH)
_MOST_IDLE = 200
#: Pools that are kept although nobody uses them: a name each.
_MOST_POOLS = 200


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    connect: float = 19
    read: float = 120
    write: float = 30
    idle: float = 900


@dataclass
class Attempt:
    """One try of a request, as its connection sees it."""

    fresh: bool = False  # the connection was made for it
    answered: bool = False  # at least a byte of the answer came


#: That of the request which the running task carries out.
attempt: ContextVar[Attempt] = ContextVar("attempt")


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, revoked: Callable[[], frozenset[int]]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._revoked = revoked

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                found = await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        if found:
            attempt.get().answered = True
        return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        try:
            self._writer.write(buffer)
            async with asyncio.timeout(timeout):
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except ssl.SSLCertVerificationError as error:
            raise EdgeError(526, f"The origin's certificate is not valid: {error.verify_message}.") from error
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "reason", None) or str(error) or "it took too long"
            raise EdgeError(525, f"The origin does not speak TLS with the edge: {reason}.") from error
        if ssl_context.verify_mode is ssl.CERT_REQUIRED:
            certificate = self._writer.get_extra_info("peercert")
            if int(certificate["serialNumber"], 16) in self._revoked():
                self._writer.close()
                raise EdgeError(526, "The origin's certificate is not valid: it was revoked.")
        return self

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 because its base has it so
        if info == "is_readable":
            # Asked of a connection nobody uses: it is readable when its other end has closed it.
            return self._reader.at_eof() or self._writer.is_closing()
        if info == "ssl_object":
            return self._writer.get_extra_info("ssl_object")
        return None


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, local: Sequence[str], revoked: Callable[[], frozenset[int]]) -> None:
        self._local = local
        self._revoked = revoked

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        attempt.get().fresh = True
        own = next(((address, 0) for address in self._local if (":" in address) == (":" in host)), None)
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port, local_addr=own)
        except TimeoutError as error:
            raise EdgeError(522, f"The origin {host} did not answer the edge's connection.") from error
        except ConnectionRefusedError as error:
            raise EdgeError(521, f"The origin {host} refused the edge's connection on port {port}.") from error
        except OSError as error:
            code = 523 if error.errno in _UNREACHABLE else 520
            raise EdgeError(code, f"The edge cannot reach the origin {host}: {error.strerror or error}.") from error
        return _Stream(reader, writer, self._revoked)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Pool:
    """Connections on which TLS, if any, is done for one name and checked in one way."""

    def __init__(self, connections: httpcore.AsyncConnectionPool) -> None:
        self.connections = connections
        self.users = 0
        self.retired = False


class Connections:
    """Every connection to an origin."""

    def __init__(self, trusted: Iterable[Path], local: Sequence[str] = (), limits: Limits | None = None) -> None:
        """``trusted`` are the authorities that Full (strict) accepts, ``local`` the addresses to call from."""
        self.limits = limits or Limits()
        self._local = local
        self._pools: dict[tuple[str, str], Pool] = {}
        self._revoked: frozenset[int] = frozenset()
        self._strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for authority in trusted:
            self._strict.load_verify_locations(authority)
        self._lax = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._lax.check_hostname = False
        self._lax.verify_mode = ssl.CERT_NONE

    async def revoke(self, serials: frozenset[int]) -> None:
        """Certificates that are no longer valid; connections that were checked before are not used again."""
        if serials == self._revoked:
            return
        self._revoked = serials
        for key in [key for key in self._pools if key[0] == "strict"]:
            await self._retire(self._pools.pop(key))

    async def enter(self, check: str, name: str) -> Pool:
        """A pool for requests of a name; ``check`` is http, full or strict. To be left again."""
        key = (check, "" if check == "http" else name)
        pool = self._pools.pop(key, None)
        if pool is None:
            pool = Pool(
                httpcore.AsyncConnectionPool(
                    ssl_context=self._strict if check == "strict" else self._lax,
                    max_connections=None,
                    max_keepalive_connections=_MOST_IDLE,
                    keepalive_expiry=self.limits.idle,
                    network_backend=_Network(self._local, lambda: self._revoked),
                )
            )
        self._pools[key] = pool  # last, so that the first is the one that was not used for longest
        pool.users += 1
        for other in list(self._pools)[: max(0, len(self._pools) - _MOST_POOLS)]:
            await self._retire(self._pools.pop(other))
        return pool

    async def leave(self, pool: Pool) -> None:
        pool.users -= 1
        if pool.retired and pool.users == 0:
            await pool.connections.aclose()

    async def _retire(self, pool: Pool) -> None:
        pool.retired = True
        if pool.users == 0:
            await pool.connections.aclose()

    async def close(self) -> None:
        for pool in self._pools.values():
            with suppress(RuntimeError):  # it is still used: whoever does so is about to end as well
                await pool.connections.aclose()
