"""Tells what Alertmanager holds, a line each time that changes, until its input ends.

Runs on the monitoring server, where Prometheus' clock is its own.
"""

from __future__ import annotations

import json
import select
import sys
import time
import urllib.request
from typing import Any


def held(address: str) -> list[dict[str, Any]]:
    url = f"{address}/api/v2/alerts"
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 because it is an address of ours
        alerts = json.load(answer)
    found = [
        {
            "name": alert["labels"]["alertname"],
            "instance": alert["labels"].get("instance", ""),
            "since": alert["startsAt"],
            "kept_back": bool(alert["status"]["inhibitedBy"]),
        }
        for alert in alerts
    ]
    return sorted(found, key=lambda alert: (alert["name"], alert["instance"], alert["since"]))


def main() -> None:
    said = None
    while True:
        try:
            alerts = held(sys.argv[1])
        except OSError:
            alerts = said  # not answered: nothing is known to have changed
        if alerts != said:
            said = alerts
            print(json.dumps({"at": time.time(), "alerts": alerts}), flush=True)
        if select.select([sys.stdin], [], [], 1)[0]:
            return


if __name__ == "__main__":
    main()
