"""The limit of requests per hour: a bucket that fills up again evenly."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

REQUESTS_PER_HOUR = 3600
_HOUR = 3600.0


class RateLimit:
    def __init__(self, capacity: int = REQUESTS_PER_HOUR, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives seconds since 1970."""
        self._capacity = capacity
        self._clock = clock
        self._left = float(capacity)
        self._counted_at = clock()

    def take(self) -> bool:
        """Count one request; False when there is none left."""
        self._refill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def headers(self) -> dict[str, str]:
        self._refill()
        seconds_to_full = (self._capacity - self._left) / self._per_second
        return {
            "RateLimit-Limit": str(self._capacity),
            "RateLimit-Remaining": str(int(self._left)),
            "RateLimit-Reset": str(math.ceil(self._counted_at + seconds_to_full)),
        }

    @property
    def _per_second(self) -> float:
        return self._capacity / _HOUR

    def _refill(self) -> None:
        now = self._clock()
        passed = max(0.0, now - self._counted_at)  # a machine's clock may be set back
        self._left = min(self._capacity, self._left + passed * self._per_second)
        self._counted_at = now
