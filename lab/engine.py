"""The Docker Engine the lab's servers run in: the machine's own where there is one, else one we start.

This is the one place that knows how machines differ. An engine of ours lives in its own namespaces for network and
mounts: its bridge and its rules never touch the machine, and where the machine mounts cgroup v1 controllers the engine
sees a cgroup v2 tree of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from lab import settings
from lab.command import CommandError, end, run
from lab.net import namespaces, uplink

_FOLDER = settings.STATE / "engine"
_SOCKET = _FOLDER / "docker.sock"
_PID_FILE = _FOLDER / "dockerd.pid"
_LOG = _FOLDER / "dockerd.log"
_EXEC = _FOLDER / "exec"
#: Kept between runs, as Docker keeps its own: importing images takes time.
_DATA = settings.CACHE / "engine"

#: Of the machine's own engine. Never what a context or DOCKER_HOST names: that may be rootless, or another machine's.
_MACHINE_HOST = "unix:///var/run/docker.sock"
_OWN_HOST = f"unix://{_SOCKET}"

_START_SECONDS = 60
_STOP_SECONDS = 60


def _usable(host: str) -> bool:
    """Whether an engine answers whose containers can boot systemd, which wants cgroup v2."""
    try:
        words = ["docker", "--host", host, "info", "--format", "{{.CgroupVersion}}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == "2"


def own_pid() -> int | None:
    """The process of our own engine, None when it does not run."""
    try:
        number = int(_PID_FILE.read_text())
        words = Path(f"/proc/{number}/cmdline").read_text()
    except (OSError, ValueError):
        return None
    return number if str(_SOCKET) in words else None


def has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def find() -> str | None:
    """Where a usable engine answers, as DOCKER_HOST wants it; None for nowhere."""
    if own_pid() is not None and _usable(_OWN_HOST):
        return _OWN_HOST
    return _MACHINE_HOST if _usable(_MACHINE_HOST) else None


def find_or_revive() -> str | None:
    """As ``find``, but one of ours that was killed is started again: only an engine can end what it left running."""
    host = find()
    if host is None and namespaces.processes(uplink.ENGINE.namespace):
        host = _start_own()
    return host


def start() -> str:
    """Have a usable engine, and return where it answers."""
    host = find()
    if host is None and has_systemd():
        run("systemctl", "start", "docker", check=False)
        host = find()
    return host or _start_own()


def _start_own() -> str:
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        if _usable(_OWN_HOST):
            return _OWN_HOST
        # One that runs is starting, or ending, on behalf of a run that was killed.
        if process is None and own_pid() is None:
            process = _launch()
        time.sleep(0.2)
    tail = "\n".join(_LOG.read_text().splitlines()[-5:])
    raise CommandError(f"the Docker Engine did not start; the end of {_LOG}:\n{tail}")


def _end_what_is_left() -> None:
    """After an engine was killed: end its helpers, and the containers, which are their children.

    With them go its notes of what runs. In those a process ID may be anybody's by now, and the engine would not start.
    """
    helpers = namespaces.processes(uplink.ENGINE.namespace)
    if helpers:
        children = run("pgrep", "--parent", ",".join(map(str, helpers)), check=False)
        for child in map(int, children.split()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    namespaces.delete(uplink.ENGINE.namespace)
    shutil.rmtree(_EXEC, ignore_errors=True)
    _PID_FILE.unlink(missing_ok=True)


def _launch() -> subprocess.Popen[bytes]:
    _end_what_is_left()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _DATA.mkdir(parents=True, exist_ok=True)
    namespaces.create(uplink.ENGINE.namespace)
    uplink.connect(uplink.ENGINE)
    own_cgroups = "umount -l -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && "
    prepare = "" if Path("/sys/fs/cgroup/cgroup.controllers").exists() else own_cgroups
    words = [
        "dockerd",
        f"--host={_OWN_HOST}",
        f"--pidfile={_PID_FILE}",
        f"--data-root={_DATA}",
        f"--exec-root={_EXEC}",
    ]
    enter = f"{prepare}exec {' '.join(words)}"
    with _LOG.open("w") as log:
        return subprocess.Popen(
            [
                "nsenter",
                f"--net=/run/netns/{uplink.ENGINE.namespace}",
                "unshare",
                "--mount",
                "--propagation=private",
                "sh",
                "-c",
                enter,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def stop() -> None:
    """Stop the engine if it is ours, with its namespace. The machine's own goes on."""
    if not end(own_pid, _STOP_SECONDS):
        raise CommandError(f"the Docker Engine (process {own_pid()}) does not end; see {_LOG}")
    _end_what_is_left()
