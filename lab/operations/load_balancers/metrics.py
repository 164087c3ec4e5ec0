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


#: From two neighbouring samples to a value: None where there is none.
_Value = Callable[[Sample, Sample], float | None]


def _rate(counter: Callable[[Traffic], int]) -> _Value:
    def rate(before: Sample, after: Sample) -> float | None:
        grown = counter(after.traffic) - counter(before.traffic)
        # Counters begin anew with the process that counts: nobody knows what it had counted at its end.
        return None if grown < 0 else grown / (after.time - before.time)

    return rate


#: The series of each type of metrics.
SERIES: Mapping[str, Mapping[str, _Value]] = {
    "open_connections": {"open_connections": lambda _, after: after.traffic.open_connections},
    "connections_per_second": {"connections_per_second": _rate(lambda traffic: traffic.connections)},
    "requests_per_second": {"requests_per_second": _rate(lambda traffic: traffic.requests)},
    "bandwidth": {
        "bandwidth.in": _rate(lambda traffic: traffic.bytes_in),
        "bandwidth.out": _rate(lambda traffic: traffic.bytes_out),
    },
}


def series(samples: Sequence[Sample], value: _Value, period: Period) -> list[tuple[float, float]]:
    """Points in time with values, one for each step in which something was sampled."""
    found: dict[int, tuple[float, float]] = {}
    for before, after in pairwise(samples):
        if period.start <= after.time <= period.end and after.time > before.time:
            known = value(before, after)
            if known is not None:
                found[int((after.time - period.start) // period.step)] = (after.time, known)
    return list(found.values())


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
                await self._sample(cloud, load_balancer.id)

    async def _sample(self, cloud: Cloud, load_balancer_id: int) -> None:
        try:
            status = await cloud.gate.load_balancer_status(load_balancer_id)
        except DriverError:
            return
        self._samples[load_balancer_id].append(Sample(cloud.store.time(), status.traffic))
