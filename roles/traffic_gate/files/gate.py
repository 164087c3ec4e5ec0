#!/usr/bin/env python3
"""Stands between the load balancer and the application on this server: gate.py SETTINGS PAGE.

drained: every connection is handed on, but one that asks for the health check is told 503.
closed: every request is told 503 with the page, but the health check 200, whatever becomes of the application.

What is handed on is not changed. Told to end, it takes no more connections and gives those that are there their time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Most bytes of a request's head, and seconds to wait for it.
HEAD_BYTES, HEAD_SECONDS = 65536, 30
#: Seconds without a byte after an answer in which a connection counts as busy, and that are given to those that are.
QUIET_SECONDS, LINGER_SECONDS = 2.0, 60.0
#: Seconds in which who was refused may finish sending what nobody reads, so that the answer arrives.
REFUSED_SECONDS = 2.0
_CHUNK = 65536


@dataclass(frozen=True)
class Settings:
    mode: str
    address: str
    port: int
    application_port: int
    health_path: str
    retry_after: int  # seconds


def path_of(head: bytes) -> str:
    """The path that a request asks for, without its query; empty for what is no request."""
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(words) != 3:
        return ""
    target = words[1].partition("?")[0]
    # A proxy may be asked with a whole URL.
    return "/" + target.split("/", 3)[3] if target.startswith("http") and target.count("/") >= 3 else target


def answer(status: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {"Content-Length": str(len(body)), "Cache-Control": "no-store", "Connection": "close", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


class Gate:
    def __init__(self, settings: Settings, page: bytes) -> None:
        self.settings = settings
        self.page = page
        #: Connections that are handed on: when the application last sent something, None while it owes an answer.
        self.answered: dict[asyncio.StreamWriter, float | None] = {}

    async def serve(self) -> None:
        """Until SIGTERM."""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND: at boot the address may come later
            listening.bind((self.settings.address, self.settings.port))
            server = await asyncio.start_server(self.handle, sock=listening, limit=HEAD_BYTES, backlog=1024)
            ended = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
            _tell_systemd("READY=1")
            await ended.wait()
            server.close()
            await self.linger()

    async def linger(self) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + LINGER_SECONDS
        while now() < deadline and any(
            answered is None or now() - answered < QUIET_SECONDS for answered in self.answered.values()
        ):
            await asyncio.sleep(0.2)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client may go away at any moment, which is its own business.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            closed, asked = self.settings.mode == "closed", path_of(head) == self.settings.health_path
            if asked:
                status, told = ("200 OK", b"maintenance\n") if closed else ("503 Service Unavailable", b"drained\n")
                writer.write(answer(status, {"Content-Type": "text/plain"}, told))
                await writer.drain()
            elif closed:
                await self.refuse(head, reader, writer)
            else:
                await self.hand_on(head, reader, writer)
        writer.close()

    async def refuse(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fields = {"Content-Type": "text/html; charset=utf-8", "Retry-After": str(self.settings.retry_after)}
        told = answer("503 Service Unavailable", fields, self.page)
        writer.write(told.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD ") else told)
        writer.write_eof()
        async with asyncio.timeout(REFUSED_SECONDS):
            while await reader.read(_CHUNK):
                pass

    async def hand_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = (self.settings.address, self.settings.application_port)
        try:
            back, forth = await asyncio.open_connection(*there, limit=HEAD_BYTES)
        except OSError:
            writer.write(answer("502 Bad Gateway", {"Content-Type": "text/plain"}, b"no application answers\n"))
            await writer.drain()
            return
        self.answered[writer] = None
        try:
            forth.write(head)
            await asyncio.gather(self.pump(reader, forth, writer), self.pump(back, writer, writer))
        finally:
            del self.answered[writer]
            forth.close()

    async def pump(
        self, source: asyncio.StreamReader, goal: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while chunk := await source.read(_CHUNK):
            self.answered[client] = asyncio.get_running_loop().time() if goal is client else None
            goal.write(chunk)
            await goal.drain()
        goal.write_eof()


def _tell_systemd(what: str) -> None:
    """See sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(what.encode(), "\0" + path[1:] if path.startswith("@") else path)


if __name__ == "__main__":
    gate = Gate(Settings(**json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]).read_bytes())
    asyncio.run(gate.serve())
