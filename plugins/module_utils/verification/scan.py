# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP scan that knows when it cannot be believed: full connections, in batches, each with ports known to be open.

A scan that loses packets reports an open port as closed. So every batch also tries the ports that must answer, and one
of them missing makes the whole scan invalid.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Iterator, Sequence

#: Connections tried at once. Each takes a file descriptor (1024 by default) and an entry in connection tracking.
BATCH = 500
#: Answers that say "closed": refused, or turned away by something on the path. Silence says it as well.
CLOSED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES})


class ScanInvalid(Exception):  # noqa: N818 because it is an outcome
    """What was found cannot be believed; the message says why."""


def parse_ports(ranges: Iterable[str]) -> list[int]:
    """Ports from texts such as ``22`` and ``1-1024``, in order, each once. Raises ValueError."""
    ports: set[int] = set()
    for text in ranges:
        first, dash, last = text.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            low = high = 0
        if not 1 <= low <= high <= 65535:
            raise ValueError(f"{text!r} is no port and no range of ports: write 22 or 1-1024, within 1 to 65535.")
        ports.update(range(low, high + 1))
    return sorted(ports)


def open_ports(address: str, ports: Sequence[int], known_open: Sequence[int], timeout: float) -> set[int]:
    """Which of ``ports`` accept a TCP connection, ``known_open`` included. Raises ScanInvalid."""
    if not known_open:
        raise ScanInvalid("no port is known to be open, so silence proves nothing")
    return asyncio.run(_scan(address, ports, known_open, timeout))


async def _scan(address: str, ports: Sequence[int], known_open: Sequence[int], timeout: float) -> set[int]:
    found: set[int] = set()
    for batch in _batches([port for port in ports if port not in known_open]):
        tried = [*batch, *known_open]
        answers = await asyncio.gather(*(_accepts(address, port, timeout) for port in tried))
        accepted = {port for port, answer in zip(tried, answers, strict=True) if answer}
        if missing := sorted(set(known_open) - accepted):
            raise ScanInvalid(f"port {missing[0]} must be open and did not answer, so silence proves nothing")
        found |= accepted
    return found


def _batches(ports: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ports) or 1, BATCH):
        yield ports[start : start + BATCH]


async def _accepts(address: str, port: int, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return False
    except OSError as error:
        if error.errno in CLOSED:
            return False
        raise ScanInvalid(f"port {port} could not be tried: {error.strerror or error}") from error
    writer.close()
    return True
