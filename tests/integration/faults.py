"""Faults at the client's edge: a transport that loses, delays and refuses requests by a seeded dice."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import requests
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client
from requests.adapters import HTTPAdapter

from lab.drivers.base import DriverError
from tests.lab.cloud_api import TOKEN, CloudApi


@dataclass(frozen=True)
class Fault:
    """What becomes of a request. Without ``status`` and ``delay`` the connection is cut."""

    name: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    delivered: bool = False  # whether the API carries the request out all the same
    delay: float = 0.0  # seconds that the answer takes longer, with which nothing else is wrong
    paths: frozenset[str] | None = None  # of the POST requests that can meet it; None: every request can

    def fits(self, method: str, path: str) -> bool:
        return self.paths is None or (method == "POST" and path in self.paths)


#: What a location has only so many of, and can be out of for a while: 412 in the general table of
#: https://docs.hetzner.cloud/reference/cloud#errors.
ORDERS = frozenset({"/v1/servers", "/v1/volumes", "/v1/primary_ips"})
FAULTS = (
    Fault("resource_unavailable", 412, paths=ORDERS),
    Fault("conflict", 409),
    Fault("locked", 423),
    Fault("rate_limit_exceeded", 429, (("RateLimit-Reset", "1"),)),
    Fault("rate_limit_exceeded", 429, (("Retry-After", "3"),)),
    Fault("unavailable", 503),
    Fault("timeout", 504),
    Fault("timeout", 504, delivered=True),
    Fault("cut before"),
    Fault("cut after", delivered=True),
    Fault("slow", delivered=True, delay=0.03),
)
#: Share of the requests that meet one of the faults.
RATE = 0.3


def choose(dice: random.Random, method: str, path: str) -> Fault | None:
    """What a request meets; ``path`` is without its query."""
    if dice.random() >= RATE:
        return None
    return dice.choice([fault for fault in FAULTS if fault.fits(method, path)])


class FaultyTransport(HTTPAdapter):
    def __init__(self, dice: random.Random) -> None:
        super().__init__(pool_maxsize=20)
        self._dice = dice
        self._mutex = threading.Lock()
        self.met: Counter[str] = Counter()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        path = request.path_url.partition("?")[0]
        with self._mutex:
            fault = choose(self._dice, str(request.method), path)
            self.met[fault.name if fault else "none"] += 1
        if fault is None:
            return super().send(request, *args, **kwargs)
        if fault.delivered:
            answer = super().send(request, *args, **kwargs)
            if fault.delay:
                time.sleep(fault.delay)
                return answer
        if not fault.status:
            raise requests.ConnectionError(fault.name, request=request)
        response = requests.Response()
        response.status_code = fault.status
        response.headers.update(fault.headers)
        response.request = request
        response._content = json.dumps({"error": {"code": fault.name, "message": "by the dice"}}).encode()
        return response


class FailingNowAndThen(dict[str, DriverError]):
    """For ``NullDriver.failures``: every call to the driver may fail but the one that clears up after another."""

    def __init__(self, dice: random.Random, rate: float) -> None:
        super().__init__()
        self._dice, self._rate = dice, rate

    def __contains__(self, method: object) -> bool:
        return method != "delete_machine" and self._dice.random() < self._rate

    def __getitem__(self, method: str) -> DriverError:
        return DriverError(f"{method} failed by the dice")


def faulty_client(api: CloudApi, transport: FaultyTransport) -> Client:
    """A client that waits in milliseconds for what it would wait for in seconds."""
    client = Client(TOKEN, api.url)
    client._client._session.mount("http://", transport)
    client.sleep = lambda seconds: time.sleep(min(seconds, 16.0) / 1000)
    return client
