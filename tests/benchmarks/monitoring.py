#!/usr/bin/env python3
"""What monitoring takes, and how soon it tells. With the lab up:

    .venv/bin/python tests/benchmarks/monitoring.py [--chaos]

Prints the resident memory of Prometheus as a ratio to 400 MiB and of each exporter to 30 MiB, and for how many series
and samples that is. With --chaos it makes fault after fault and prints what alerts took to fire and to resolve, as
ratios to the times in docs/alerts.md; that is half an hour in which the lab is of no other use.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.launcher import on, status
from tests.real import alerts

PROMETHEUS_MIB, EXPORTER_MIB = 400.0, 30.0
#: Programs by the name of their executable, as distributions and their makers call them.
_PROGRAM = re.compile(r"(?:^|/)(?:prometheus-)?(prometheus|alertmanager|(?:node|postgres|blackbox)[_-]exporter)$")
_LOOK = "for p in /proc/[0-9]*; do echo \"$(readlink $p/exe) $(sed -n 's/^VmRSS: *//p' $p/status)\"; done 2>/dev/null"


def memory(host: str) -> list[tuple[str, float]]:
    """Each program of monitoring on a server, with its resident memory in MiB."""
    found = []
    for line in on(host, "sh", "-c", _LOOK).splitlines():
        executable, _, rest = line.partition(" ")
        named = _PROGRAM.search(executable)
        if named and rest:
            found.append((named[1].replace("-", "_"), int(rest.split()[0]) / 1024))
    return found


def one(expression: str) -> float:
    (answer,) = alerts.evaluate([expression])
    (item,) = answer["data"]["result"]
    return float(item["value"][1])


def taken() -> None:
    for host in sorted(server["name"] for server in status()["servers"]):
        for program, mib in sorted(memory(host)):
            if program == "alertmanager":
                print(f"{host}: {program} {mib:.0f} MiB")
                continue
            limit = PROMETHEUS_MIB if program == "prometheus" else EXPORTER_MIB
            print(f"{host}: {program} {mib:.0f} MiB of {limit:.0f} MiB = {mib / limit:.2f}")
    print(f"targets: {one('count(up)'):.0f}, samples of one round: {one('sum(scrape_samples_scraped)'):.0f}")
    print(f"series: {one('prometheus_tsdb_head_series'):.0f}, hours so far: {one(_AGE) / 3600:.1f}")


_AGE = "time() - process_start_time_seconds{job='prometheus'}"


def chaos() -> None:
    for faults in alerts.ALONE.values():
        with alerts.watching() as watch:
            for measured in alerts.chaos(watch, *faults()):
                print(measured, flush=True)


if __name__ == "__main__":
    taken()
    if "--chaos" in sys.argv[1:]:
        chaos()
