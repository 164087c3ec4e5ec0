"""Bringing the embedded cloud up and taking it down, whatever state an earlier run left it in."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from lab import engine, settings
from lab.command import CommandError, end, run
from lab.containers import build as containers
from lab.containers import certificates
from lab.drivers.docker import driver, load_balancers, volumes
from lab.image import build
from lab.net import dnsmasq, internet, namespaces, uplink
from lab.object_storage import credentials

Say = Callable[[str], None]

_TOKEN = settings.STATE / "token"
_PID_FILE = settings.STATE / "serve.pid"
_LOG = settings.STATE / "serve.log"
ADMIN_KEY = settings.STATE / "admin_ed25519"
#: What the administrator's SSH keeps of servers that are gone when the lab is: their keys, and shared connections.
_SSH = settings.STATE / "ssh"

_START_SECONDS = 30
_STOP_SECONDS = 10


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lab: one command at a time brings it up or takes it down. Raises CommandError when another one does."""
    settings.CACHE.mkdir(parents=True, exist_ok=True)
    with (settings.CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("another ./bulwark up or down is under way; wait for it to end") from error
        yield


def token() -> str:
    """The API token of this lab, made when it is first brought up."""
    return _TOKEN.read_text().strip()


def api(path: str, method: str = "GET", url: str = settings.API_URL) -> dict[str, Any]:
    """Ask the API, from the machine itself. Raises CommandError with what to do when it does not answer.

    ``url``: of another of the lab's interfaces that the same token opens.
    """
    # A fixed address on loopback, never a file.
    request = urllib.request.Request(url + path, method=method)  # noqa: S310 because of the line above
    try:
        request.add_header("Authorization", f"Bearer {token()}")
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 because of the line above
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raise CommandError(f"the embedded cloud refused {method} {path}: {error.code} {error.reason}") from error
    except (OSError, urllib.error.URLError, HTTPException) as error:
        raise CommandError("the embedded cloud is not up; ./bulwark up starts it") from error


def _serve_pid() -> int | None:
    try:
        number = int(_PID_FILE.read_text())
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return number if words[1:4] == [b"-m", b"lab", b"serve"] else None


def is_up() -> bool:
    """Whether the API's process runs, which notes its ID once it listens, and the engine with the servers."""
    return _serve_pid() is not None and engine.find() is not None


def prepare_engine(say: Say) -> None:
    """Have a Docker Engine that holds the servers' image, and point this process at it."""
    if engine.find() is None:
        say("starting the Docker Engine")
    os.environ["DOCKER_HOST"] = engine.start()
    build.load(say)


def up(say: Say, profile: str) -> None:
    """Have the embedded cloud running. One whose process ended goes on; what is left of any other is removed first."""
    containers.provide(settings.CONTAINER_IMAGES, say)
    if is_up():
        return
    if _can_go_on():
        prepare_engine(say)
        say("the embedded cloud goes on with the servers that are there")
        internet.up()  # what a newer version added to it, or what ended
    else:
        clean(say)
        prepare_engine(say)
        say("starting the embedded cloud")
        _make_secrets()
        internet.up()
    _make_trust()
    with _LOG.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", "serve", "--profile", profile],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while not is_up():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(_LOG.read_text().splitlines()[-5:])
            raise CommandError(f"the embedded cloud did not start; the end of {_LOG}:\n{tail}")
        time.sleep(0.1)


def _can_go_on() -> bool:
    """Whether only the API's process is missing: its state, the engine with the servers and the wires are there."""
    return (
        settings.CLOUD_FILE.exists()
        and _TOKEN.exists()
        and engine.find() is not None
        and all(map(namespaces.exists, (internet.NAME, internet.ADMIN, internet.USER)))
    )


def restart(say: Say, profile: str) -> None:
    """Stop the API's process and start it again; servers run on meanwhile."""
    _stop_serving()
    up(say, profile)


def _make_secrets() -> None:
    """A token and an SSH key for the administrator, who is whoever called us, also through sudo."""
    settings.STATE.mkdir(parents=True, exist_ok=True)
    settings.STATE.chmod(0o700)
    _SSH.mkdir(mode=0o700, exist_ok=True)
    _TOKEN.touch(mode=0o600)
    _TOKEN.write_text(secrets.token_hex(32))
    if not ADMIN_KEY.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{settings.PREFIX}-lab", "-f", str(ADMIN_KEY))
    _give_to_caller(settings.STATE, _SSH, _TOKEN, ADMIN_KEY, ADMIN_KEY.with_suffix(".pub"))


def _make_trust() -> None:
    """The keys of object storage, and the certificates by which programs know the services of the embedded internet."""
    credentials.make(settings.OBJECT_STORAGE_FILE)
    certificates.trust(settings.TRUSTED)
    _give_to_caller(settings.OBJECT_STORAGE_FILE, settings.TRUSTED)


def _give_to_caller(*paths: Path) -> None:
    caller, group = int(os.environ.get("SUDO_UID", "0")), int(os.environ.get("SUDO_GID", "0"))
    for path in paths:
        os.chown(path, caller, group)


def _stop_serving() -> None:
    if not end(_serve_pid, _STOP_SECONDS):
        raise CommandError(f"the embedded cloud (process {_serve_pid()}) does not end; see {_LOG}")


def clean(say: Say) -> None:
    """Remove everything the lab made but the engine and the caches, whoever made it and however it ended."""
    _stop_serving()
    # First, so that nobody goes on with what is only half there.
    settings.CLOUD_FILE.unlink(missing_ok=True)
    host = engine.find_or_revive()
    if host is not None:
        os.environ["DOCKER_HOST"] = host
        driver.remove_containers(say)
    elif volumes.present():
        say("no Docker Engine answers: the servers it may still hold are removed when it runs and you repeat this")
    volumes.forget_all()
    load_balancers.delete_all()
    dnsmasq.stop_all()
    internet.down()
    for namespace in namespaces.listed(f"{settings.PREFIX}-net-"):
        namespaces.delete(namespace)
    kept_apart = (settings.AUTHORITY, settings.OBJECTS, settings.CLOUDFLARE, _SSH)
    for leftover in (settings.STATE / "dnsmasq", settings.STATE / "volumes", *kept_apart):
        shutil.rmtree(leftover, ignore_errors=True)


def down(say: Say) -> None:
    """Remove everything ``up`` made: servers, networks, disks, processes, an engine of ours, and the lab's secrets."""
    clean(say)
    engine.stop()
    uplink.remove_all()
    shutil.rmtree(settings.STATE, ignore_errors=True)
