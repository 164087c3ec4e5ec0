"""Who may look at the console: a link that works once becomes a session, which a cookie carries.

The API's token never reaches a browser. Everything is kept in memory, so that a restart ends all sessions.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable

LINK_SECONDS = 120
SESSION_SECONDS = 12 * 3600
_MOST = 64  # links and sessions at a time, so that nobody fills the memory


class _Tickets:
    """Random texts that hold for a while. Only their digests are kept."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends: dict[bytes, float] = {}

    def issue(self) -> str:
        self._forget()
        while len(self._ends) >= _MOST:
            del self._ends[next(iter(self._ends))]  # the oldest
        text = secrets.token_urlsafe(32)
        self._ends[_digest(text)] = self._clock() + self._seconds
        return text

    def holds(self, text: str) -> bool:
        self._forget()
        return _digest(text) in self._ends

    def spend(self, text: str) -> bool:
        """Whether it held; it does no more."""
        self._forget()
        return self._ends.pop(_digest(text), None) is not None

    def _forget(self) -> None:
        now = self._clock()
        self._ends = {digest: end for digest, end in self._ends.items() if end > now}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


class Sessions:
    """``clock`` tells seconds that only ever grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._links = _Tickets(LINK_SECONDS, clock)
        self._sessions = _Tickets(SESSION_SECONDS, clock)

    def invite(self) -> str:
        """What opens one session, within two minutes."""
        return self._links.issue()

    def open(self, invitation: str) -> str | None:
        """The secret of a new session; None when the invitation is none, was used, or is too old."""
        return self._sessions.issue() if self._links.spend(invitation) else None

    def knows(self, session: str) -> bool:
        return self._sessions.holds(session)
