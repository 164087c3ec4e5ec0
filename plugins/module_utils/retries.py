# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which requests to an API may be repeated, when, and how many of them in one run.

Codes are Hetzner's, https://docs.hetzner.cloud/reference/cloud#errors, statuses everybody's; headers: the same,
#rate-limiting.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: The API has refused for now, and done nothing: whatever was asked may be asked again.
REFUSED_FOR_NOW = frozenset({"conflict", "locked", "rate_limit_exceeded", "unavailable", "maintenance", 423, 429, 503})
#: Nobody knows whether it was done, as where no answer came at all.
UNCLEAR = frozenset({"timeout", "bad_gateway", "server_error", 500, 502, 504})
#: Done twice, these are as good as done once; PATCH, because all that are sent from here set values.
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})

#: Times that one request is repeated; fewer where there is no answer, since the endpoint may simply be wrong.
MAX_RETRIES = 6
MAX_RETRIES_UNANSWERED = 3
#: Seconds that the pause between two tries grows up to, unless the API asks for more.
MAX_DELAY = 16.0
#: Seconds that are waited at most because the API asks for it. Where it asks for more, the run ends instead.
MAX_TOLD_DELAY = 120.0
#: The rate limit's reset is when the whole allowance is back, up to an hour. A part comes back every second, so that
#: after this many seconds there is enough to go on with.
MAX_RATE_LIMIT_DELAY = 60.0
#: Retries that a run may make in a row. Each request that succeeds gives half a one back, so that a run gets through
#: when every third request fails, and a service that is down is left alone soon.
BUDGET = 50.0
GIVEN_BACK = 0.5
#: Times that a run reads again, and goes on, after something unclear. The pauses between grow from a second.
REPAIRS = 5


def unclear(error: BaseException) -> bool:
    """Whether it is unknown if the request was carried out."""
    code = getattr(error, "code", None)
    return isinstance(error, OSError) if code is None else code in UNCLEAR


class Retries:
    """The retries of one run, for all of its threads. ``clock`` gives seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        self._left = BUDGET
        self._not_before = 0.0

    def wait(self) -> float:
        """Seconds until any request may be made: a limit that one thread has met holds for all."""
        return self._not_before - self._clock()

    def succeeded(self) -> None:
        with self._mutex:
            self._left = min(BUDGET, self._left + GIVEN_BACK)

    def pause(self, method: str, error: BaseException, headers: Mapping[str, str], attempt: int) -> float | None:
        """Seconds until the failed request may be repeated, or None where it must not be.

        ``headers`` are the answer's, in lower case; ``attempt`` is 0 for a request that was made once.
        """
        code = getattr(error, "code", None)
        if code not in REFUSED_FOR_NOW and not (method in REPEATABLE_METHODS and unclear(error)):
            return None
        if attempt >= (MAX_RETRIES_UNANSWERED if code is None else MAX_RETRIES):
            return None
        told = self._told(code, headers)
        if told > MAX_TOLD_DELAY:
            return None
        with self._mutex:
            if self._left < 1:
                return None
            self._left -= 1
            if code in ("rate_limit_exceeded", 429):
                self._not_before = max(self._not_before, self._clock() + told)
        # Beyond what was told, so that not all come back in the same moment.
        return told + random.uniform(0.5, 1.0) * min(MAX_DELAY, 2.0**attempt)  # noqa: S311 because it is jitter

    def _told(self, code: str | int | None, headers: Mapping[str, str]) -> float:
        """Seconds that the API asks to wait."""
        after, reset = headers.get("retry-after", ""), headers.get("ratelimit-reset", "")
        if after.isdecimal():
            return float(after)
        if after:
            try:
                return max(
                    0.0, (parsedate_to_datetime(after) - datetime.fromtimestamp(self._clock(), UTC)).total_seconds()
                )
            except (TypeError, ValueError):
                return 0.0
        if code in ("rate_limit_exceeded", 429) and reset.isdecimal():
            return min(MAX_RATE_LIMIT_DELAY, max(0.0, float(reset) - self._clock()))
        return 0.0
