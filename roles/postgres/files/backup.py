#!/usr/bin/python3
"""What the timers of the backups run, and people too.

postgres-backup run full|diff   makes a backup, where the primary is
postgres-backup check           whether WAL arrives in the object storage, and how old the newest backup is

Every member has the timers, and whichever is primary does the work; on a replica both say so and end well. The check
leaves its findings as metrics, and ends with exit code 1 when somebody should look.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

NAME = "bulwark-postgres"
EXEC = ["docker", "exec", "--user", "999:999", NAME]
PGBACKREST = [*EXEC, "pgbackrest", "--config=/etc/bulwark/postgres/pgbackrest.conf", "--stanza=main"]
METRICS = Path("/var/lib/bulwark/metrics/postgres_backup.prom")
#: How long a segment may wait before archiving counts as stalled, and how old the newest backup may be, in seconds.
STALLED, TOO_OLD = 300, 36 * 3600

QUESTION = """
SELECT json_build_object(
  'replica', pg_is_in_recovery(),
  'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
  'oldest', coalesce((SELECT extract(epoch FROM now() - min(modification)) FROM pg_ls_archive_statusdir()
    WHERE name LIKE '%.ready'), 0),
  'failures', (SELECT failed_count FROM pg_stat_archiver))
"""


def out_of(words: list[str]) -> str | None:
    """What a program prints, None when it fails or hangs."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout if done.returncode == 0 else None


def ask() -> dict | None:
    """The server's answer, None when it does not run."""
    said = out_of([*EXEC, "psql", "-X", "-q", "-A", "-t", "-U", "postgres", "-d", "postgres", "-c", QUESTION])
    return json.loads(said) if said else None


def newest_backup() -> float | None:
    """When the newest backup ended, 0 without one, None when the object storage cannot be asked."""
    said = out_of([*PGBACKREST, "info", "--output=json"])
    if said is None:
        return None
    try:
        # What does not decrypt is quoted in it as it is.
        stanzas = json.loads(said, strict=False)
    except ValueError:
        return None
    if any(entry["status"]["code"] not in {0, 1, 2, 3} for stanza in stanzas for entry in stanza.get("repo", [])):
        return None
    backups = stanzas[0].get("backup", []) if stanzas else []
    return float(backups[-1]["timestamp"]["stop"]) if backups else 0.0


def judge(server: dict, newest: float | None, now: float) -> list[str]:
    """What somebody should look at. Pure."""
    wrong = []
    if server["oldest"] > STALLED:
        wrong.append(
            f"archiving has stalled: {server['waiting']} segments wait for the object storage, the oldest for "
            f"{server['oldest']:.0f} s; what happens now could not be restored"
        )
    if newest is None:
        wrong.append("the object storage cannot be asked for its backups")
    elif newest == 0:
        wrong.append("there is no backup")
    elif now - newest > TOO_OLD:
        wrong.append(f"the newest backup is {(now - newest) / 3600:.0f} hours old")
    return wrong


def metrics(server: dict, newest: float | None) -> str:
    """Findings for a collector of text files. Pure."""
    values = {
        "bulwark_postgres_primary": ("Whether this member is primary.", 0 if server["replica"] else 1),
    }
    if not server["replica"]:
        values |= {
            "bulwark_postgres_archive_waiting_segments": ("WAL segments that wait to be archived.", server["waiting"]),
            "bulwark_postgres_archive_oldest_seconds": ("How long the oldest of them has waited.", server["oldest"]),
            "bulwark_postgres_archive_failures_total": ("Failed attempts to archive a segment.", server["failures"]),
        }
        if newest is not None:
            values["bulwark_postgres_backup_timestamp_seconds"] = ("When the newest backup ended.", newest)
    return "".join(
        f"# HELP {name} {told}\n# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}\n{name} {value}\n"
        for name, (told, value) in values.items()
    )


def check() -> int:
    server = ask()
    if server is None:
        METRICS.unlink(missing_ok=True)
        print("PostgreSQL does not run here")
        return 0
    newest = None if server["replica"] else newest_backup()
    METRICS.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = METRICS.with_suffix(".unfinished")
    unfinished.write_text(metrics(server, newest))
    unfinished.chmod(0o644)
    unfinished.replace(METRICS)
    if server["replica"]:
        print("this member is a replica: its primary archives")
        return 0
    wrong = judge(server, newest, time.time())
    print("; ".join(wrong) or "WAL arrives in the object storage, and the newest backup is recent")
    return 1 if wrong else 0


def run(kind: str) -> int:
    server = ask()
    if server is None or server["replica"]:
        print("the backup is made where the primary runs, which is not here")
        return 0
    return subprocess.run([*PGBACKREST, "--log-level-console=info", f"--type={kind}", "backup"], check=False).returncode


def main() -> int:
    match sys.argv[1:]:
        case ["check"]:
            return check()
        case ["run", ("full" | "diff") as kind]:
            return run(kind)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
