"""Serves the edge (internal: the API's process starts it in the internet's namespace)."""

from __future__ import annotations

import asyncio
import logging
import signal
from logging.handlers import RotatingFileHandler
from pathlib import Path

from lab import settings
from lab.cloudflare.authority import Authority
from lab.cloudflare.edge.app import Edge
from lab.cloudflare.edge.connections import Connections
from lab.cloudflare.edge.known import Watch
from lab.cloudflare.edge.process import LOG_FILE
from lab.cloudflare.edge.server import UserTls, listen, serve
from lab.cloudflare.state import STATE_FILE
from lab.containers import certificates

_MOST_LOG = 4 * 2**20  # bytes
_ADDRESSES = (settings.EDGE_ADDRESS, settings.EDGE_IPV6)


async def _run() -> None:
    watch = Watch(STATE_FILE)
    names = (settings.CLOUDFLARE_ZONE, f"*.{settings.CLOUDFLARE_ZONE}")
    public_authority: Path = certificates.authority()[0]
    trusted = (public_authority, *Authority(settings.CLOUDFLARE).certificates)
    connections = Connections(trusted, _ADDRESSES)
    tls = UserTls(watch, *certificates.issue(names))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    plain, secure = ([listen(address, port) for address in _ADDRESSES] for port in (80, 443))
    try:
        await serve(Edge(watch, connections), tls, plain, secure, stop)
    finally:
        await connections.close()


# Every request that fails is a line; somebody who asks again and again must not fill the disk.
_lines = RotatingFileHandler(LOG_FILE, maxBytes=_MOST_LOG, backupCount=1)
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=[_lines])
logging.getLogger("httpcore").setLevel(logging.WARNING)
asyncio.run(_run())
