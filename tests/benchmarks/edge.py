#!/usr/bin/env python3
"""What users notice while certificates, settings, versions and servers change. With the lab up:

    .venv/bin/python tests/benchmarks/edge.py [ROUNDS]

Somebody on the internet asks every 10 ms for a page through the edge. Prints for each event the requests that failed as
a ratio to all that were made meanwhile, of which there must be none; and for a server that is switched off without
warning how long it took until its health checks had taken it out, as a ratio to interval x retries + time-out, and the
requests that failed after that.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.real import users
from tests.real.users import Requests, asking

HOST = "app-02"


def told(what: str, requests: Requests, after: float = 0.0) -> None:
    failed = requests.failed(after)
    made = len([line for line in requests.lines if line["begun"] >= after])
    slowest = max(line["took"] for line in requests.lines)
    print(f"{what}: failed {len(failed)}/{made} = {len(failed) / made:.4f}, slowest {slowest:.2f} s", flush=True)
    for line in failed[:5]:
        print(f"  {line['failed']}", flush=True)


def main() -> None:
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1):
        print(f"round {number + 1}")
        with asking() as requests:
            users.rotate_certificate()
        told("certificate rotated", requests)
        with asking() as requests:
            users.change_settings()
        told("settings changed and changed back", requests)
        with asking() as requests:
            users.deploy("2")
            users.deploy("1")
        told("two versions deployed", requests)
        with asking() as requests:
            users.remove_as_planned(HOST)
            users.take_back(HOST)
        told("server drained, removed and taken back", requests)
        with asking() as requests:
            kill = users.kill(HOST)
            requests.goes_on()
        limit, took = users.detection_limit(), kill.out - kill.killed
        print(f"server killed: taken out after {took:.1f} s of {limit:.0f} s = {took / limit:.2f}", flush=True)
        told("after that", requests, after=kill.out)
        print(f"  before that, {len(requests.failed()) - len(requests.failed(kill.out))} failed", flush=True)
        users.revive(HOST)


if __name__ == "__main__":
    main()
