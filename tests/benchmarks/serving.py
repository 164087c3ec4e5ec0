"""An application served on loopback by a process of its own, so that it takes no time from what is measured."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

SERVE = "--serve"


def serve(app: ASGIApp) -> None:
    """Serve until the other end is done with us, which closes our input; the URL is the first line printed."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run([listener])


@contextmanager
def served(script: str, *arguments: str) -> Iterator[str]:
    """The URL of what ``script`` serves when it is called with ``--serve``."""
    process = subprocess.Popen([sys.executable, script, SERVE, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(30)
