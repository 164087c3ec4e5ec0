#!/usr/bin/env python3
"""How long clients cannot write when the primary moves or dies, and what a disaster would cost. With the lab up:

    tests/benchmarks/pair.py [ROUNDS]

A client on app-01 that holds only the published write URL writes all the time. Prints for each round, as ratios to what
is promised: its longest time without a write during a switchover (5 s); the time from the failover's command, after
the primary's server was switched off, to the first write that was accepted (10 s); and how old the newest transaction
in the archive was when a restore drill began (60 s). The pair is as before afterwards, but for who is primary.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.launcher import on, succeed
from tests.real.database import CLIENT, Writer, play, power, primary, streaming, until, writer

SWITCHOVER, FAILOVER, RECOVERY_POINT = 5.0, 10.0, 60.0


def switchover() -> float:
    with writer("bench-switchover") as client:
        client.goes_on()
        play("switchover")
        client.goes_on()
    return checked(client)["longest_outage"]


def failover() -> float:
    old = primary()
    until(lambda: streaming(old), "streaming")
    with writer("bench-failover") as client:
        client.goes_on()
        power(old, "off")
        began = time.time()
        play("failover")
        client.goes_on()
    written = [json.loads(line) for line in on(CLIENT, "cat", client.file).splitlines()[1:]]
    first: float = min(line["at"] for line in written if line["at"] > began)
    play("rejoin")
    return first - began


def recovery_point() -> float:
    with writer("bench-drill") as client:
        client.goes_on()
        said = succeed("run", "playbooks/restore_drill.yml")
    found = re.search(r"([0-9.]+)\s+s\s+of\s+work\s+would", said)
    if not found:
        sys.exit("the drill named no age")
    return float(found[1])


def checked(client: Writer) -> dict[str, float]:
    found = client.report()
    if found["lost"]:
        sys.exit(f"{len(found['lost'])} acknowledged rows are lost")
    return found


def main() -> None:
    measures = (
        ("switchover, longest time without a write", switchover, SWITCHOVER),
        ("failover, from the command to the first write", failover, FAILOVER),
        ("recovery point, age of the newest transaction", recovery_point, RECOVERY_POINT),
    )
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        for told, measure, promised in measures:
            seconds = measure()
            print(
                f"round {number + 1}: {told}: {seconds:.1f} s of {promised:.0f} s = {seconds / promised:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
