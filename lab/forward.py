"""A port of this machine that leads to a Unix socket, such as the end of an SSH tunnel out of a namespace."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from lab.command import CommandError

_WAIT_SECONDS = 20


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _connect(goal: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(goal)


async def _answers(goal: Path) -> bool:
    """Whether somebody takes connections at the other end: a tunnel to nobody closes them at once."""
    reader, writer = await _connect(goal)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return bool(await asyncio.wait_for(reader.read(1), _WAIT_SECONDS))
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()


async def _serve(port: int, goal: Path, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_SECONDS
    while not goal.exists():
        if loop.time() > deadline:
            raise CommandError("the tunnel through the bastion did not open; ./bulwark status shows what runs")
        await asyncio.sleep(0.1)
    if not await _answers(goal):
        raise CommandError(
            "nobody answers at the other end; Grafana runs only where its image can be had, see docs/monitoring.md"
        )

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await _connect(goal)
            await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
            far_writer.close()
        except OSError:
            pass  # the tunnel is gone; so is this connection
        finally:
            writer.close()

    try:
        # To whom it listens: programs on this machine.
        server = await asyncio.start_server(lead, "127.0.0.1", port, family=socket.AF_INET)
    except OSError as error:
        raise CommandError(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror}; does another program use it?"
        ) from error
    ready()
    await server.serve_forever()


def forward(port: int, goal: Path, ready: Callable[[], None]) -> None:
    """Lead connections to 127.0.0.1:``port`` to a Unix socket until interrupted. ``ready`` is called once it does."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(port, goal, ready))
