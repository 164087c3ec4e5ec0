"""What went through load balancers: samples of the driver's counters, and the series that follow from them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lab.drivers.base import DriverError, Traffic

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud

log = logging.getLogger(__name__)

#: Seconds between two samples, and how many are kept: a day's.
INTERVAL = 10.0
_KEPT = 8640

#: How many values a series has when nobody asks for a step, and the most there are; source: the document.
_USUAL = 200
_MOST = 500


@dataclass(frozen=True)
class Sample:
    time: float  # seconds since 1970
    traffic: Traffic


@dataclass(frozen=True)
class Period:
    """What a request asks for, in seconds since 1970."""

    start: float
    end: float
    step: float

    @classmethod
    def of(cls, start: float, end: float, step: float | None) -> Period:
        """With the step that the vendor makes of it."""
        length = end - start
        return cls(start, end, max(step or max(length / _USUAL, 1.0), length / _MOST))

    def number(self, time: float) -> int | None:
        """Which step this is in."""
        return int((time - self.start) // self.step) if self.start <= time <= self.end else None


#: Points in time with values: at most one for each step, and none for a step in which nothing was sampled.
Values = list[tuple[float, float]]
_Counter = Callable[[Traffic], int]
_Series = Callable[[Sequence[Sample], Period], Values]


def _level(counter: _Counter) -> _Series:
    """What was seen last in each step."""

    def series(samples: Sequence[Sample], period: Period) -> Values:
        seen = {period.number(sample.time): (sample.time, float(counter(sample.traffic))) for sample in samples}
        return [value for number, value in seen.items() if number is not None]

    return series


def _rate(counter: _Counter) -> _Series:
    """By how much it grew each second of a step that is known."""

    def series(samples: Sequence[Sample], period: Period) -> Values:
        found: dict[int, tuple[float, float, int]] = {}
        for before, after in pairwise(samples):
            number, seconds = period.number(after.time), after.time - before.time
            grown = counter(after.traffic) - counter(before.traffic)
            # Counters begin anew with the process that counts: nobody knows what it had counted at its end.
            if number is not None and seconds > 0 and grown >= 0:
                _, known, sum_before = found.get(number, (0.0, 0.0, 0))
                found[number] = (after.time, known + seconds, sum_before + grown)
        return [(at, grown / seconds) for at, seconds, grown in found.values()]

    return series


#: The series of each type of metrics.
SERIES: Mapping[str, Mapping[str, _Series]] = {
    "open_connections": {"open_connections": _level(lambda traffic: traffic.open_connections)},
    "connections_per_second": {"connections_per_second": _rate(lambda traffic: traffic.connections)},
    "requests_per_second": {"requests_per_second": _rate(lambda traffic: traffic.requests)},
    "bandwidth": {
        "bandwidth.in": _rate(lambda traffic: traffic.bytes_in),
        "bandwidth.out": _rate(lambda traffic: traffic.bytes_out),
    },
}


class Meter:
    """Samples of this process's life, by load balancer."""

    def __init__(self) -> None:
        self._samples: defaultdict[int, deque[Sample]] = defaultdict(lambda: deque(maxlen=_KEPT))

    def samples(self, load_balancer_id: int) -> Sequence[Sample]:
        return tuple(self._samples[load_balancer_id])

    async def run(self, cloud: Cloud) -> None:
        """Sample all load balancers, again and again."""
        while True:
            try:
                await self.sample(cloud)
            except Exception:
                log.exception("sampling load balancers ended in a fault of the embedded cloud")
            await asyncio.sleep(INTERVAL)

    async def sample(self, cloud: Cloud) -> None:
        for number in self._samples.keys() - cloud.store.load_balancers.keys():
            del self._samples[number]
        for load_balancer in list(cloud.store.load_balancers.values()):
            if load_balancer.available:
                await self.sample_one(cloud, load_balancer.id)

    async def sample_one(self, cloud: Cloud, load_balancer_id: int) -> None:
        """What one load balancer has counted up to now."""
        try:
            status = await cloud.gate.load_balancer_status(load_balancer_id)
        except DriverError:
            return
        self._samples[load_balancer_id].append(Sample(cloud.store.time(), status.traffic))
