"""Serving the edge: sockets, and TLS for users as the zone's settings want it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from lab.api.middleware import CuttableProtocol
from lab.cloudflare.edge.known import Watch

_FAREWELL_SECONDS = 2
_KEEP_ALIVE_SECONDS = 400  # https://developers.cloudflare.com/fundamentals/reference/connection-limits/
_BACKLOG = 2048
#: Between two looks at which versions of TLS a connection may begin with.
_ADOPT_SECONDS = 0.1
_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


class UserTls:
    """TLS towards users: for the names of the certificate only, in the versions their zone allows."""

    def __init__(self, watch: Watch, certificate: Path, key: Path) -> None:
        self._watch = watch
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Versions before 1.2 need what OpenSSL takes for too weak by itself.
        self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.load_cert_chain(certificate, key)
        self.context.sni_callback = self._judge
        self.adopt()

    def adopt(self) -> None:
        """What the zones want, for connections from now on: the version is chosen before the name is known."""
        found = [zone.settings for zone in self._watch.now().store.zones.values()]
        newest = "1.3" if any(item.tls_1_3 == "on" for item in found) else "1.2"
        least = min([newest, *(item.min_tls_version for item in found)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what a new zone allows
            self.context.minimum_version = _VERSIONS[least]
            self.context.maximum_version = _VERSIONS[newest]

    def _judge(self, _connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        """By the name the user wants. The vendor has a certificate for a zone's name and those one level below it."""
        zone = self._watch.now().zone(name.lower()) if name else None
        if zone is None or name is None or name.lower().removesuffix(zone.name).count(".") > 1:
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
        return None


class _Server(uvicorn.Server):
    """A server that leaves signals to us: they are taken once, for both together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    # Inherited by connections. Without it, the kernel waits for an acknowledgement in the middle of an answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _server(app: ASGIApp, context: ssl.SSLContext | None = None) -> _Server:
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
    )
    config.load()
    config.ssl = context
    return _Server(config)


async def serve(
    app: ASGIApp, tls: UserTls, plain: Sequence[socket.socket], secure: Sequence[socket.socket], stop: asyncio.Event
) -> None:
    """Serve both schemes until told to stop."""
    servers = [(_server(app), list(plain)), (_server(app, tls.context), list(secure))]

    async def adopt() -> None:
        while True:
            tls.adopt()
            await asyncio.sleep(_ADOPT_SECONDS)

    async def end() -> None:
        await stop.wait()
        for server, _ in servers:
            server.should_exit = True

    helpers = [asyncio.ensure_future(adopt()), asyncio.ensure_future(end())]
    try:
        await asyncio.gather(*(server.serve(sockets) for server, sockets in servers))
    finally:
        for helper in helpers:
            helper.cancel()
