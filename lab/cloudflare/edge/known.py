"""What the edge knows: the state the API's process writes, read again as soon as it is another one."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass

from lab.cloudflare.state import Record, StateFile, Store, Zone

log = logging.getLogger(__name__)

_MOST_ALIASES = 8
_Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Known:
    store: Store
    revoked: frozenset[int]

    def zone(self, host: str) -> Zone | None:
        return self.store.zone_of(host)

    async def origins(self, records: list[Record]) -> list[str]:
        """The addresses behind proxied records, following aliases; none when they lead nowhere."""
        for _ in range(_MOST_ALIASES):
            addresses = [record.content for record in records if record.type in ("A", "AAAA")]
            alias = next((record.content for record in records if record.type == "CNAME"), None)
            if addresses or alias is None:
                return addresses
            zone = self.store.zone_of(alias)
            if zone is None:
                return await _resolve(alias)
            records = zone.named(alias)
        return []


async def _resolve(name: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Watch:
    """The state as it is now."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._stamp: _Stamp | None = None
        self._known = Known(Store(), frozenset())

    def now(self) -> Known:
        """One look at the file's date for each call; a file that cannot be read leaves what was known."""
        try:
            found = self._file.path.stat()
        except OSError:
            return self._known
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                store = self._file.load() or Store()
            except (OSError, ValueError) as error:
                log.error("%s cannot be read: %s", self._file.path, error)
            else:
                self._known = Known(store, store.revoked())
        return self._known
