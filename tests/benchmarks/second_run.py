#!/usr/bin/env python3
"""Repeat site.yml on the running lab: what it changes, how many module executions each host costs, how long it takes.

Prints changed tasks and executions as a ratio to hosts. Needs `./bulwark up` before.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.launcher import recap


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "executions"
        path.touch()
        environment = os.environ | {
            "MODULE_EXECUTIONS_PATH": str(path),
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "module_executions",
            "ANSIBLE_NOCOLOR": "1",
        }
        begin = time.monotonic()
        done = subprocess.run(
            [str(ROOT / "bulwark"), "run", "playbooks/site.yml"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begin
        if done.returncode != 0:
            sys.exit(done.stdout[-3000:] + done.stderr)
        rows = [line.split() for line in path.read_text().splitlines()]
    hosts = recap(done.stdout)
    per_host = Counter(host for host, _, _ in rows)
    modules = Counter(module for _, _, module in rows)
    for host in sorted(per_host):
        changed = hosts[host].changed if host in hosts else 0
        print(f"{host:<16} changed={changed} module executions={per_host[host]}")
    print("by module: " + ", ".join(f"{name.rpartition('.')[2]} {count}" for name, count in modules.most_common()))
    changed = sum(counts.changed for counts in hosts.values())
    servers = len([host for host in hosts if host != "localhost"])
    on_servers = sum(count for host, count in per_host.items() if host != "localhost")
    print(f"changed: {changed}/{len(hosts)} hosts")
    print(f"module executions: {on_servers}/{servers} = {on_servers / servers:.1f} per server")
    print(f"wall time: {seconds:.1f} s")


if __name__ == "__main__":
    main()
