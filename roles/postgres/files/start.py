#!/usr/bin/python3
"""The one place that decides whether PostgreSQL may start here, and starts it.

bulwark-postgres run     decides, starts the container, and ends when it ends (what the unit runs)
bulwark-postgres check   decides and prints why; exit code 0: may start, 3: must stay down, 4: waits for a peer

Two primaries at once would each accept writes that the other never gets, so in doubt a former primary stays down:

- A fence mark keeps everything down.
- A replica starts always: it takes no writes.
- A primary stays down when a peer is primary, or has followed a newer one. It starts when a peer answers and neither
  holds.
- A primary whose peers do not answer starts if it ran as primary since the last boot (then only its own process has
  ended), if somebody has approved it, or if it has no peers. Otherwise it waits: its peer may have been promoted.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

MEMBERS = Path("/etc/bulwark/postgres/members.json")
COMPOSE = ["docker", "compose", "--file", "/etc/bulwark/postgres/compose.yml"]
NAME = "bulwark-postgres"
DATA = Path("/var/lib/postgresql")
FENCE = DATA / "fenced"
APPROVAL = DATA / "start-without-peer"
# Memory, so it is gone after a boot.
RAN_AS_PRIMARY = Path("/run/bulwark-postgres/primary")
WHY = Path("/run/bulwark-postgres/why")

START, HELD, WAIT = 0, 3, 4
PAUSE = 2  # seconds between two looks


@dataclass(frozen=True)
class Here:
    """What this member knows of itself."""

    fenced: bool
    standby: bool
    system: str
    timeline: int
    approved: bool
    ran_as_primary: bool
    peers: int


@dataclass(frozen=True)
class Peer:
    """What a peer answered."""

    name: str
    system: str
    timeline: int
    primary: bool


def decide(here: Here, peers: list[Peer]) -> tuple[int, str]:
    """Whether PostgreSQL may start, and why. Pure."""
    if here.fenced:
        return HELD, f"it is fenced ({FENCE}): rejoin this member, or build it anew from the primary"
    if here.standby:
        return START, "it is a replica"
    for peer in peers:
        if peer.primary:
            return HELD, f"{peer.name} is primary: rejoin this member, or build it anew from there"
        if peer.system == here.system and peer.timeline > here.timeline:
            return (
                HELD,
                f"{peer.name} has followed a newer primary, on timeline {peer.timeline}: rejoin this one",
            )
    if any(peer.system == here.system for peer in peers):
        return START, f"{peers[0].name} is a replica and knows no newer primary"
    if not here.peers:
        return START, "it has no peers"
    if here.ran_as_primary:
        return START, "it was primary since the last boot, and no peer says otherwise"
    if here.approved:
        return START, f"somebody has approved it ({APPROVAL})"
    return WAIT, f"no peer answers, and one may have been promoted; if you know that none was: touch {APPROVAL}"


def run(words: list[str], seconds: float = 60) -> tuple[int, str]:
    """Exit code and output of a program; a program that hangs has failed."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return 1, ""
    return done.returncode, done.stdout


def in_image(config: dict, program: str, *words: str) -> tuple[int, str]:
    """Run one of the image's programs, as the server's user, with the host's network."""
    return run(
        [
            *("docker", "run", "--rm", "--user", "999:999", "--network", "host", "--cap-drop", "ALL"),
            *(word for path in config["tmpfs"] for word in ("--tmpfs", path)),
            *("--volume", f"{DATA}:{DATA}", "--volume", f"{MEMBERS.parent}:{MEMBERS.parent}:ro"),
            *("--entrypoint", program, config["image"], *words),
        ]
    )


def look_here(config: dict) -> Here:
    """Read this member's own files."""
    _, text = in_image(config, "pg_controldata", "--pgdata", config["pgdata"])
    system = re.search(r"^Database system identifier:\s*(\d+)", text, re.MULTILINE)
    lines = re.findall(
        r"^(?:Latest checkpoint's TimeLineID|Min recovery ending loc's timeline):\s*(\d+)", text, re.MULTILINE
    )
    return Here(
        fenced=FENCE.exists(),
        standby=Path(config["pgdata"], "standby.signal").exists(),
        system=system[1] if system else "",
        timeline=max(map(int, lines), default=0),
        approved=APPROVAL.exists(),
        ran_as_primary=RAN_AS_PRIMARY.exists(),
        peers=len(config["peers"]),
    )


def ask(config: dict, peer: dict) -> Peer | None:
    """Ask a peer over TLS which timeline it is on and whether it is primary; None when it gives no answer."""
    code, said = in_image(
        config,
        "psql",
        *("--no-psqlrc", "--no-align", "--tuples-only", "--no-password"),
        *("--dbname", f"host={peer['address']} {config['conninfo']} replication=true connect_timeout=3"),
        *("--command", "IDENTIFY_SYSTEM", "--command", "SHOW in_hot_standby"),
    )
    lines = said.split()
    if code != 0 or len(lines) != 2 or lines[0].count("|") != 3:
        return None
    system, timeline, *_ = lines[0].split("|")
    return Peer(peer["name"], system, int(timeline), lines[1] == "off")


def look(config: dict) -> tuple[int, str]:
    """Decide with as few questions as it takes."""
    here = look_here(config)
    peers = [] if here.fenced or here.standby else [ask(config, peer) for peer in config["peers"]]
    return decide(here, [peer for peer in peers if peer])


def tell(why: str) -> None:
    """For people in the journal, and for whoever has started the unit."""
    print(why, flush=True)
    WHY.parent.mkdir(mode=0o755, exist_ok=True)
    WHY.write_text(why + "\n")


def supervise() -> int:
    """Wait until the container has ended, and return whether it ended well. Docker's daemon may restart in between."""
    while True:
        code, said = run(["docker", "wait", NAME], seconds=3600)
        _, running = run(["docker", "inspect", "--format", "{{.State.Running}}", NAME])
        if code == 0 and running.strip() == "false":
            return 0 if said.split()[-1] == "0" else 1
        if running.strip() != "true":
            time.sleep(PAUSE)
            if run(["docker", "version"])[0] == 0 and run(["docker", "inspect", NAME])[0] != 0:
                return 1  # somebody has removed it


def start(config: dict) -> int:
    """What the unit runs."""
    told = ""
    while True:
        verdict, why = look(config)
        if why != told:
            tell({START: "starts: ", HELD: "stays down: ", WAIT: "waits: "}[verdict] + why)
            told = why
        if verdict == HELD:
            return HELD
        if verdict == START:
            break
        time.sleep(PAUSE)
    standby = Path(config["pgdata"], "standby.signal").exists()
    if standby:
        # Before it starts: as soon as it runs, it may be promoted.
        RAN_AS_PRIMARY.unlink(missing_ok=True)
    started = subprocess.run([*COMPOSE, "up", "--detach", "--remove-orphans"], check=False).returncode
    if started != 0:
        return started
    if not standby:
        RAN_AS_PRIMARY.touch()
        APPROVAL.unlink(missing_ok=True)
    return supervise()


def main() -> int:
    os.umask(0o022)
    config = json.loads(MEMBERS.read_text())
    if sys.argv[1:] == ["check"]:
        verdict, why = look(config)
        print(why)
        return verdict
    return start(config)


if __name__ == "__main__":
    sys.exit(main())
