#!/usr/bin/env python3
"""PostgreSQL in its deployed container against the same PostgreSQL run natively, on the same server and volume.

With the lab up:

    tests/benchmarks/pgbench.py [ROUNDS]

Installs PostgreSQL and pgBackRest natively on the primary (the container's are from the same packages), then lets both
serve the same data with the same settings in turn, and prints transactions a second of each round and the ratio of
the medians. Reading and writing, as pgbench does it by default, over the local socket. The pair is as before
afterwards.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCALE, CLIENTS, SECONDS = 20, 4, 20
CONTAINER = ["docker", "exec", "--user", "999:999", "bulwark-postgres"]
FOLDER = "/usr/lib/postgresql/17/bin"
# As whoever owns the data, with the container's socket folder, command line and limits.
AS_OWNER = [
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
    "env",
    "PGDATA=/var/lib/postgresql/17/data",
]
NATIVE = [*AS_OWNER, f"{FOLDER}/postgres", "-c", "config_file=/etc/bulwark/postgres/postgresql.conf"]

# The package's user becomes the one whose data it is: the package gives him the folder that the volume is mounted on.
INSTALL = """
set -e
getent passwd postgres >/dev/null || useradd --system --uid 999 --no-create-home --home-dir /var/lib/postgresql postgres
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
dpkg -s postgresql-17 pgbackrest >/dev/null 2>&1 && exit 0
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql-17 pgbackrest
systemctl -q disable --now postgresql
"""


def on(host: str, *words: str) -> str:
    """What a command prints on a server of the lab."""
    done = subprocess.run(
        ["./bulwark", "exec", host, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} on {host} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def primary() -> str:
    """The member that takes writes now."""
    for host in ("db-primary", "db-replica"):
        if on(host, *CONTAINER, "psql", "-XAtU", "postgres", "-c", "SELECT pg_is_in_recovery()").strip() == "f":
            return host
    sys.exit("no member is primary; is the lab up?")


def bench(host: str, program: list[str]) -> float:
    """Transactions a second."""
    on(host, *program[:-1], "psql", "-XqU", "postgres", "-d", "bench", "-c", "CHECKPOINT")
    words = [*program, "--username=postgres", f"--client={CLIENTS}", "--jobs=2", f"--time={SECONDS}", "bench"]
    found = re.search(r"^tps = ([0-9.]+)", on(host, *words), re.MULTILINE)
    if not found:
        sys.exit("pgbench printed no figure")
    return float(found[1])


def native(host: str) -> float:
    on(host, "systemctl", "stop", "bulwark-postgres")
    on(host, "install", "-d", "-o", "postgres", "-g", "postgres", "/var/run/postgresql")
    on(host, "systemd-run", "--quiet", "--unit=bench-postgres", "--property=KillSignal=SIGINT", *NATIVE)
    try:
        for _ in range(100):
            ready = subprocess.run(
                ["./bulwark", "exec", host, *AS_OWNER, f"{FOLDER}/pg_isready", "-q"], cwd=ROOT, check=False
            )
            if ready.returncode == 0:
                break
            time.sleep(0.2)
        return bench(host, [*AS_OWNER, f"PATH={FOLDER}:/usr/bin:/bin", "pgbench"])
    finally:
        on(host, "systemctl", "stop", "bench-postgres")
        on(host, "systemctl", "start", "bulwark-postgres")
        for _ in range(100):
            answer = subprocess.run(
                ["./bulwark", "exec", host, *CONTAINER, "pg_isready", "-q"], cwd=ROOT, check=False, capture_output=True
            )
            if answer.returncode == 0:
                break
            time.sleep(0.2)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    host = primary()
    on(host, "sh", "-c", INSTALL)
    for statement in ("DROP DATABASE IF EXISTS bench WITH (FORCE)", "CREATE DATABASE bench"):
        on(host, *CONTAINER, "psql", "-XqU", "postgres", "-c", statement)
    try:
        on(host, *CONTAINER, "pgbench", "--username=postgres", "--initialize", "--quiet", f"--scale={SCALE}", "bench")
        figures: dict[str, list[float]] = {"container": [], "native": []}
        for number in range(rounds):
            # Whoever comes second finds the tables larger, so they take turns.
            for name in sorted(figures, reverse=number % 2 == 0):
                figures[name].append(native(host) if name == "native" else bench(host, [*CONTAINER, "pgbench"]))
            print(f"round {number + 1}: " + ", ".join(f"{name} {tps[-1]:.0f} tps" for name, tps in figures.items()))
    finally:
        on(host, *CONTAINER, "psql", "-XqU", "postgres", "-c", "DROP DATABASE bench WITH (FORCE)")
    container, bare = (statistics.median(figures[name]) for name in ("container", "native"))
    print(f"median: container {container:.0f} tps / native {bare:.0f} tps = {container / bare:.3f}")


if __name__ == "__main__":
    main()
