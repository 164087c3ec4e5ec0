#!/usr/bin/env python3
"""Memory of the running lab: proportional set size of every process in it, as a ratio to the 4 GiB it may take.

Counts the servers' processes, the embedded cloud's own, and a Docker Engine that the lab started. Needs root, and
`./bulwark up` before.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

LIMIT_GIB = 4.0
_MARKS = {"-m lab serve": "embedded cloud", "bulwark/dnsmasq": "DNS and DHCP", "bulwark/engine": "Docker Engine"}


def kind(process: Path, machine_pid_namespace: str) -> str | None:
    """Which part of the lab a process belongs to, None for none."""
    words = (process / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    for mark, name in _MARKS.items():
        if mark in words:
            return name
    in_container = re.search(r"/docker[/-][0-9a-f]{64}", (process / "cgroup").read_text())
    if in_container and (process / "ns/pid").readlink().name != machine_pid_namespace:
        return "servers"
    return None


def main() -> None:
    own = Path("/proc/self/ns/pid").readlink().name
    kibibytes: Counter[str] = Counter()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            part = kind(process, own)
            if part:
                found = re.search(r"^Pss:\s+(\d+)", (process / "smaps_rollup").read_text(), re.M)
                kibibytes[part] += int(found[1]) if found else 0
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
    if not kibibytes["servers"]:
        sys.exit("no server runs; ./bulwark up starts the lab")
    for part, amount in kibibytes.most_common():
        print(f"{part:<16} {amount / 1024:8.0f} MiB")
    total = sum(kibibytes.values()) / 1024 / 1024
    print(f"memory: {total:.2f} GiB of {LIMIT_GIB:.0f} GiB = {total / LIMIT_GIB:.2f}")


if __name__ == "__main__":
    main()
