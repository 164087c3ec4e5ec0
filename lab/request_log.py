"""What was asked of the API lately, for tests and for people who look for a mistake."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MOST_ENTRIES = 2000


@dataclass
class Entry:
    """One request. It holds no header and no body, so no secret."""

    number: int
    at: str
    method: str
    path: str
    query: str
    status: int | None = None  # None: cut off before it was looked at
    delivered: bool = True  # False: the caller never saw the answer
    milliseconds: float = 0.0
    fault: int | None = None  # the number of the fault that struck


class RequestLog:
    """The latest requests, oldest first."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=MOST_ENTRIES)
        self._last = 0

    def begin(self, at: str, method: str, path: str, query: str) -> Entry:
        self._last += 1
        entry = Entry(self._last, at, method, path, query)
        self.entries.append(entry)
        return entry
