"""The HAProxy processes that play load balancers: for each one a master and its workers, in a namespace of its own.

A change is a reload: the master starts a new worker that takes over the listening sockets, and the old one serves what
it has to the end. Whether a change is needed is asked of the running worker, not of a file.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from lab import settings
from lab.command import CommandError, end, run
from lab.drivers.base import LoadBalancer, LoadBalancerStatus, Traffic
from lab.net import haproxy, namespaces

_FOLDER = settings.STATE / "load_balancers"
_CONFIGURATION = "haproxy.cfg"
_PID_FILE = "pid"
_SOCKET = "master"
_LOG = "log"
_TRAFFIC = "traffic.json"

_STOP_SECONDS = 5
_READY_SECONDS = 20
_LOOKS = 5
_PAUSE_SECONDS = 0.05
_ANSWER_SECONDS = 10

#: What was counted by workers is read and written by whoever asks.
_counting = threading.Lock()


def folder(load_balancer_id: int) -> Path:
    return _FOLDER / str(load_balancer_id)


def pid(load_balancer_id: int) -> int | None:
    """The master process, None when it does not run."""
    for _ in range(_LOOKS):
        try:
            number = int((folder(load_balancer_id) / _PID_FILE).read_text())
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        if words != [b""]:
            return number if str(folder(load_balancer_id)).encode() in words else None
        # A process has no name when it has ended, and for a moment while it executes itself anew.
        time.sleep(_PAUSE_SECONDS)
    return None


def ensure(load_balancer: LoadBalancer, namespace: str) -> None:
    """Have HAProxy run in a namespace as described.

    Raises haproxy.RefusedError or CommandError; what it refuses to run, it has not begun to.
    """
    wanted = haproxy.render(load_balancer)
    number = load_balancer.load_balancer_id
    home = folder(number)
    if pid(number) is not None and _description(number) == wanted.digest:
        return
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    for name, content in wanted.files.items():
        _write(home / name, content)
    unchecked = home / f"{_CONFIGURATION}.new"
    _write(unchecked, wanted.text)
    try:
        run("haproxy", "-c", "-C", str(home), "-f", unchecked.name)
    except CommandError as error:
        _tidy(home)
        raise CommandError(haproxy.alerts(str(error))) from error
    if pid(number) is None:
        _start(load_balancer, namespace, unchecked)
        _await(number, wanted.digest, failures=0, said=0)
    else:
        failures, said = haproxy.failures(_ask(number, "show proc")), (home / _LOG).stat().st_size
        _reload(load_balancer, unchecked)
        _await(number, wanted.digest, failures, said)
    _tidy(home)


def _write(path: Path, content: str) -> None:
    """Whole or not at all, and for root only."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    unfinished.rename(path)


def _tidy(home: Path) -> None:
    """Remove a configuration that was refused, and certificates that the current one does not name."""
    (home / f"{_CONFIGURATION}.new").unlink(missing_ok=True)
    current = home / _CONFIGURATION
    named = current.read_text() if current.exists() else ""
    for certificate in (home / haproxy.CERTIFICATES).glob("*"):
        if f"{haproxy.CERTIFICATES}/{certificate.name}" not in named:
            certificate.unlink()


def _start(load_balancer: LoadBalancer, namespace: str, configuration: Path) -> None:
    # Workers whose master was killed end by themselves, but not before they have noticed.
    for left in namespaces.processes(namespace):
        with suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    home = configuration.parent
    _write(home / haproxy.KNOWN_TARGETS, haproxy.known_targets(load_balancer, {}))
    (home / _TRAFFIC).unlink(missing_ok=True)
    configuration.rename(home / _CONFIGURATION)
    words = ["ip", "netns", "exec", namespace, "haproxy", "-W", "-C", str(home), "-f", _CONFIGURATION]
    with open(os.open(home / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as log:
        process = subprocess.Popen(
            [*words, "-S", f"unix@{_SOCKET},mode,600"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _write(home / _PID_FILE, str(process.pid))


def _reload(load_balancer: LoadBalancer, configuration: Path) -> None:
    number = load_balancer.load_balancer_id
    home = configuration.parent
    _cut(load_balancer)
    _traffic(number)
    before = haproxy.servers(_ask(number, f"@!{_current(number).pid} show servers state"))
    _write(home / haproxy.KNOWN_TARGETS, haproxy.known_targets(load_balancer, before))
    configuration.rename(home / _CONFIGURATION)
    master = pid(number)
    if master is not None:
        os.kill(master, signal.SIGUSR2)


def _cut(load_balancer: LoadBalancer) -> None:
    """End the connections to targets that are not described any more, and let nobody make new ones."""
    number = load_balancer.load_balancer_id
    for worker in _workers(number):
        _ask(number, f"@!{worker.pid} {haproxy.cut(load_balancer)}")


def _await(number: int, digest: str, failures: int, said: int) -> None:
    """Wait until the worker of this configuration answers.

    ``failures`` is how often the master had failed before, ``said`` how many bytes it had written.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while _description(number) != digest:
        if pid(number) is None or _failures(number) > failures or time.monotonic() > deadline:
            since = (folder(number) / _LOG).read_bytes()[said:].decode(errors="replace")
            raise CommandError(f"load balancer {number} did not take its configuration. {haproxy.alerts(since)}")
        time.sleep(_PAUSE_SECONDS)


def _failures(number: int) -> int:
    try:
        return haproxy.failures(_ask(number, "show proc"))
    except CommandError:
        return 0  # between two masters


def _workers(number: int) -> list[haproxy.Worker]:
    """All of a load balancer's workers, the one that accepts connections first. Raises CommandError for none."""
    found = haproxy.workers(_ask(number, "show proc"))
    if not found:
        raise CommandError(f"HAProxy of load balancer {number} has no worker")
    return found


def _current(number: int) -> haproxy.Worker:
    """The worker that accepts connections; after a reload that failed it counts among the old ones."""
    return _workers(number)[0]


def _description(number: int) -> str | None:
    """Which configuration the running worker has."""
    try:
        worker = _current(number)
        if worker.old:
            return None
        return haproxy.information(_ask(number, f"@!{worker.pid} show info")).get("description")
    except CommandError:
        return None  # between two masters


def _ask(number: int, command: str) -> str:
    """Send a command to the master's socket. Raises CommandError when nobody answers."""
    try:
        home = os.open(folder(number), os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ANSWER_SECONDS)
                # By way of /proc, since the path of a socket is short and that of the state folder need not be.
                connection.connect(f"/proc/self/fd/{home}/{_SOCKET}")
                connection.sendall(f"{command}\n".encode())
                connection.shutdown(socket.SHUT_WR)  # or it waits for more commands
                answer = bytearray()
                while part := connection.recv(65536):
                    answer += part
        finally:
            os.close(home)
    except OSError as error:
        raise CommandError(f"HAProxy of load balancer {number} does not answer: {error}") from error
    return answer.decode()


def status(load_balancer_id: int) -> LoadBalancerStatus:
    """What it sees of its targets, and what went through it. Raises CommandError when it does not run."""
    rows = haproxy.statistics(_ask(load_balancer_id, f"@!{_current(load_balancer_id).pid} show stat -1 4 -1"))
    return LoadBalancerStatus(haproxy.healths(rows), _traffic(load_balancer_id))


def _traffic(number: int) -> Traffic:
    """What all workers have counted since the master began.

    What a worker carries to its end after a change, it does not tell any more: that is missing.
    """
    path = folder(number) / _TRAFFIC
    with _counting:
        workers = _workers(number)
        noted = json.loads(path.read_text()) if path.exists() else {}
        before, counted = noted.get("before", [0, 0, 0, 0]), noted.get("counted", [0, 0, 0, 0])
        if noted.get("worker") != workers[0].pid:
            before, counted = _sum(before, counted), [0, 0, 0, 0]
        if not workers[0].old:
            rows = haproxy.statistics(_ask(number, f"@!{workers[0].pid} show stat -1 1 -1"))
            counted = haproxy.traffic(rows)
        _write(path, json.dumps({"before": before, "worker": workers[0].pid, "counted": counted}))
    told = [haproxy.information(_ask(number, f"@!{worker.pid} show info")) for worker in workers]
    # One that has just ended tells nothing.
    return Traffic(sum(int(one.get("CurrConns", "0")) for one in told), *_sum(before, counted))


def _sum(one: list[int], other: list[int]) -> list[int]:
    return [first + second for first, second in zip(one, other, strict=True)]


def stop(load_balancer_id: int) -> None:
    """End it and forget its folder, with the keys in it."""
    if not end(lambda: pid(load_balancer_id), _STOP_SECONDS):
        raise CommandError(f"HAProxy of load balancer {load_balancer_id} does not end")
    shutil.rmtree(folder(load_balancer_id), ignore_errors=True)


def forget_all() -> None:
    """Stop every one of which a folder is there."""
    for home in _FOLDER.glob("*"):
        if home.name.isdecimal():
            stop(int(home.name))
    shutil.rmtree(_FOLDER, ignore_errors=True)
