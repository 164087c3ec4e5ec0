"""The limit of requests: so many in a window of time, and none at all for as long once there were more.

https://developers.cloudflare.com/fundamentals/api/reference/limits/
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

REQUESTS = 1200
WINDOW_SECONDS = 300.0


class RateLimit:
    def __init__(
        self, requests: int = REQUESTS, seconds: float = WINDOW_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.change(requests, seconds)

    def change(self, requests: int, seconds: float) -> None:
        """Another limit, and a new window."""
        self.requests = requests
        self.seconds = seconds
        self._used = 0
        self._ends = self._clock() + seconds

    def take(self) -> bool:
        """Count one request; False when it is one too many."""
        now = self._clock()
        if now >= self._ends:
            self._used, self._ends = 0, now + self.seconds
        self._used += 1
        if self._used == self.requests + 1:
            self._ends = now + self.seconds
        return self._used <= self.requests

    def headers(self) -> dict[str, str]:
        left = max(0, self.requests - self._used)
        wait = max(0, math.ceil(self._ends - self._clock()))
        found = {
            "Ratelimit": f'"default";r={left};t={wait}',
            "Ratelimit-Policy": f'"default";q={self.requests};w={math.ceil(self.seconds)}',
        }
        if self._used > self.requests:
            found["Retry-After"] = str(wait)
        return found
