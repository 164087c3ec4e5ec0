#!/usr/bin/env python3
"""A client of the database that knows nothing but the published URL: writes without end, and reports what became of it.

    writer.py write  --url URL --out FILE   writes rows one by one until it is told to end (SIGTERM)
    writer.py report --url URL --out FILE   as JSON: the longest time without a write, and which of them are lost

A write counts when its commit was acknowledged. It runs on any server that has Python and psql; with
``--psql 'docker exec -i client psql'`` on one that has psql in a container only. It needs nothing of the checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
import uuid
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

# psql itself fills in what begins with a colon.
BEGIN = "CREATE TABLE IF NOT EXISTS written (run text, n bigint, PRIMARY KEY (run, n)); SELECT 'ready';"
WRITE = "INSERT INTO written VALUES (:'run', :n) RETURNING n;"
#: Seconds in which a connection is made, also when the first address that is tried is a dead server's.
CONNECTING = 10
READ = "SELECT coalesce(json_agg(n), '[]') FROM written WHERE run = :'run';"


class Session:
    """One psql, which is one connection. It ends at the first error, as a client's connection would."""

    def __init__(self, psql: str, url: str, run: str) -> None:
        self.process = subprocess.Popen(
            [*shlex.split(psql), "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", f"run={run}", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def ask(self, statement: str, patience: float) -> str | None:
        """The one line that a statement gives; None when there is none in time, or no connection any more."""
        feed, answer = self.process.stdin, self.process.stdout
        assert feed is not None
        assert answer is not None
        try:
            feed.write(statement.encode() + b"\n")
        except OSError:
            return None
        return _line(answer, time.monotonic() + patience)

    def end(self) -> str:
        self.process.kill()
        return self.process.communicate()[1].decode(errors="replace").strip()


def _line(answer: IO[bytes], deadline: float) -> str | None:
    said = b""
    while not said.endswith(b"\n"):
        if not select.select([answer], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        more = os.read(answer.fileno(), 65536)
        if not more:
            return None
        said += more
    return said.decode().strip()


def write(options: argparse.Namespace) -> None:
    """Every acknowledged row is a line of the file: its number and when its acknowledgement came."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    run, number, session = uuid.uuid4().hex, 0, None
    with Path(options.out).open("w", encoding="utf-8", buffering=1) as file:
        file.write(json.dumps({"run": run}) + "\n")
        while not ended:
            if session is None:
                session = Session(options.psql, options.url, run)
                if session.ask(BEGIN, CONNECTING) != "ready":
                    session = _given_up(session)
                    continue
            number += 1
            if session.ask(f"\\set n {number}\n{WRITE}", options.patience) == str(number):
                file.write(json.dumps({"n": number, "at": time.time()}) + "\n")
                time.sleep(options.every)
            else:
                session = _given_up(session)


def _given_up(session: Session) -> None:
    said = session.end()
    print(f"{time.time():.3f} {said or 'no answer'}", file=sys.stderr, flush=True)
    time.sleep(0.05)


def report(options: argparse.Namespace) -> dict[str, Any]:
    """What became of the rows of one run."""
    lines = [json.loads(line) for line in Path(options.out).read_text(encoding="utf-8").splitlines()]
    run, written = lines[0]["run"], lines[1:]
    session = Session(options.psql, options.url, run)
    said = session.ask(READ, 60)
    if said is None:
        sys.exit(f"the database does not answer: {session.end()}")
    session.end()
    kept = set(json.loads(said))
    gaps = [(later["at"] - sooner["at"], sooner["at"]) for sooner, later in pairwise(written)]
    longest, since = max(gaps, default=(0.0, 0.0))
    return {
        "acknowledged": len(written),
        "longest_outage": round(longest, 3),
        "outage_began": since,
        "lost": [line["n"] for line in written if line["n"] not in kept],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["write", "report"])
    parser.add_argument("--url", required=True, help="as published, with target_session_attrs=read-write")
    parser.add_argument("--out", required=True)
    parser.add_argument("--psql", default="psql")
    parser.add_argument("--every", type=float, default=0.02, help="seconds between two writes")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds after which a write has failed")
    options = parser.parse_args()
    if options.what == "write":
        write(options)
    else:
        print(json.dumps(report(options)))


if __name__ == "__main__":
    main()
