#!/usr/bin/env python3
"""Provision the default topology with the vendor's durations, and repeat it.

Prints the wall time as a ratio to the longest chain of actions that must follow each other, and what the repeated run
asks. The embedded cloud takes its realistic durations and makes nothing; it is served by a process of its own.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client

from lab.actions import DURATIONS
from lab.api.app import create_app
from lab.drivers.null import NullDriver
from lab.operations.cloud import Cloud
from tests.benchmarks.serving import SERVE, serve, served
from tests.integration.environment import declared, run_with
from tests.lab.cloud_api import TOKEN

#: What a database server needs, one after the other, since each of these locks it: no order of steps is shorter.
LONGEST_CHAIN = ("create_server", "attach_to_network", "attach_volume", "start_server")


class Counting(Client):
    """Counts what is really sent."""

    def __init__(self, token: str, api_endpoint: str) -> None:
        super().__init__(token, api_endpoint)
        self.methods: Counter[str] = Counter()

    def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
        self.methods[method] += 1
        return super().request(method, url, **kwargs)


def provision(url: str) -> tuple[float, Counter[str]]:
    client = Counting(TOKEN, url)
    begin = time.monotonic()
    run_with(client, declared())
    return time.monotonic() - begin, client.methods


def main() -> None:
    if SERVE in sys.argv:
        serve(create_app(Cloud(NullDriver(), TOKEN, "realistic")))
        return
    chain = sum(DURATIONS["realistic"][command] for command in LONGEST_CHAIN)
    with served(__file__) as url:
        seconds, asked = provision(url)
        repeated_seconds, repeated = provision(url)
    print(f"wall time: {seconds:.1f} s / {chain:.1f} s of actions in a chain = {seconds / chain:.2f}")
    print(f"requests: {asked.total()}, {asked.total() - asked['GET']} of them changes")
    changes = repeated.total() - repeated["GET"]
    print(f"repeated: {repeated.total()} requests, {changes} changes, {repeated_seconds:.1f} s")


if __name__ == "__main__":
    main()
