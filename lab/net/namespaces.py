"""Network namespaces and the cables between them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from ctypes import CDLL, get_errno
from pathlib import Path
from threading import Thread
from typing import TypeVar

from lab.command import batch, run

T = TypeVar("T")

NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_END_SECONDS = 5


def exists(name: str) -> bool:
    return (NAMESPACES / name).exists()


def listed(prefix: str) -> list[str]:
    """Names of the namespaces that begin with ``prefix``."""
    return sorted(path.name for path in NAMESPACES.glob(f"{prefix}*")) if NAMESPACES.is_dir() else []


def create(name: str, settings: Iterable[tuple[str, str]] = ()) -> None:
    """Make a namespace with loopback up; ``settings`` are sysctls of it, such as ("net.ipv4.ip_forward", "1")."""
    if not exists(name):
        run("ip", "netns", "add", name)
    configure(name, ["link set lo up"])
    words = [f"{key}={value}" for key, value in settings]
    if words:
        run("ip", "netns", "exec", name, "sysctl", "-q", "-w", *words)


def delete(name: str) -> None:
    """Remove a namespace and end every process in it; they are ours, since only we lead anybody there."""
    for process in processes(name):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    # As long as one is there, so are the namespace's cables, whatever becomes of its name.
    deadline = time.monotonic() + _END_SECONDS
    while processes(name) and time.monotonic() < deadline:
        time.sleep(0.02)
    if exists(name):
        run("ip", "netns", "delete", name)


def processes(name: str) -> list[int]:
    """Ids of the processes that run in a namespace."""
    return [int(word) for word in run("ip", "netns", "pids", name).split()] if exists(name) else []


def configure(name: str, lines: Iterable[str]) -> None:
    """Carry out lines of ``ip`` in a namespace, all in one execution."""
    batch(("ip", "-n", name, "-batch", "-"), list(lines))


def has_link(name: str, link: str) -> bool:
    return link in links(name)


def links(name: str) -> set[str]:
    """Names of a namespace's interfaces."""
    rows = run("ip", "-n", name, "-o", "link", "show").splitlines()
    return {row.split(": ")[1].split("@")[0] for row in rows}


def inside(name: str, action: Callable[[], T]) -> T:
    """Do something in a namespace, such as opening a listening socket, and return what came of it.

    It runs in a thread of its own, which is the only part of the process that ever leaves its namespace.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            handle = os.open(NAMESPACES / name, os.O_RDONLY)
            try:
                if CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
                    raise OSError(get_errno(), f"cannot enter the namespace {name}")
            finally:
                os.close(handle)
            outcome.append(action())
        except BaseException as error:
            failure.append(error)

    thread = Thread(target=enter_and_act, name=f"inside-{name}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
