"""The embedded Cloudflare on an embedded internet: names, the edge's process and its addresses.

For a world of its own: test_cloudflare.py runs it there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab import settings
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.edge import process
from lab.cloudflare.state import Record, new_id
from lab.containers import certificates
from lab.net import dnsmasq, internet, namespaces

ZONE = settings.CLOUDFLARE_ZONE
PATIENCE_SECONDS = 30


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)


class _Echo(BaseHTTPRequestHandler):
    """Says who asks."""

    def do_GET(self) -> None:
        said = f"{self.client_address[0]} {self.headers['X-Forwarded-For']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


class World:
    """An internet with an origin at the administrator's address."""

    def __init__(self) -> None:
        internet.up()
        self.cloudflare = Cloudflare(settings.CLOUDFLARE, internet.resolve)
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(1))
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._origin = ThreadingHTTPServer((settings.ADMIN_ADDRESS, 80), _Echo, bind_and_activate=False)
        namespaces.inside(internet.ADMIN, self._open)
        threading.Thread(target=self._origin.serve_forever, daemon=True).start()
        self.supervise()

    def _open(self) -> None:
        self._origin.socket.close()
        self._origin.socket = socket.socket()
        self._origin.server_bind()
        self._origin.server_activate()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_SECONDS)

    def supervise(self) -> None:
        self._supervisor = asyncio.run_coroutine_threadsafe(process.supervise(), self._loop)
        self.publish()

    def end_supervising(self) -> None:
        self._supervisor.cancel()
        self.run(asyncio.to_thread(bool))  # after what it may be doing in the one thread, which is not cancelled

    def publish(self) -> None:
        self.cloudflare.save()
        self.run(self.cloudflare.publish())

    def record(self, name: str, kind: Any, content: str, proxied: bool = False) -> str:
        [zone] = self.cloudflare.store.zones.values()
        record = Record(new_id(), f"{name}.{ZONE}" if name else ZONE, kind, content, proxied=proxied)
        zone.records[record.id] = record
        self.publish()
        return record.id

    def forget(self, record_id: str) -> None:
        [zone] = self.cloudflare.store.zones.values()
        del zone.records[record_id]
        self.publish()

    def user(self, *words: str) -> tuple[int, str]:
        """What a program of a user on that internet prints."""
        done = subprocess.run(
            ["ip", "netns", "exec", internet.USER, *words], capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout.strip()

    def get(self, url: str, *options: str) -> tuple[int, str]:
        authority = str(settings.AUTHORITY / certificates.CERTIFICATE.name)
        return self.user("curl", "-sS", "--max-time", "20", "--cacert", authority, *options, url)

    def addresses(self, name: str) -> list[str]:
        _, said = self.user("getent", "ahosts", name)
        return sorted({line.split()[0] for line in said.splitlines()})


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    assert settings.PREFIX != "bulwark", "this must not touch a lab that is up: set BULWARK_PREFIX"
    made = World()
    try:
        yield made
    finally:
        made.end_supervising()
        internet.down()


def test_a_proxied_name_leads_through_the_edge(world: World) -> None:
    world.record("", "A", settings.ADMIN_ADDRESS, proxied=True)
    assert world.addresses(ZONE) == [settings.EDGE_ADDRESS, settings.EDGE_IPV6]
    until(lambda: world.get(f"http://{ZONE}/")[0] == 0, "the edge")
    for scheme in ("http", "https"):
        for family, own in (("-4", settings.USER_ADDRESS), ("-6", settings.USER_IPV6)):
            # The origin is called from the edge's own address and told whose request it is.
            said = f"{settings.EDGE_ADDRESS} {own}"
            assert world.get(f"{scheme}://{ZONE}/", family) == (0, said)


def test_names_come_and_go_while_the_resolver_stays(world: World) -> None:
    before = dnsmasq.pid("internet")
    first = world.record("direct", "A", settings.ADMIN_ADDRESS)
    assert world.addresses(f"direct.{ZONE}") == [settings.ADMIN_ADDRESS]
    assert world.get(f"http://direct.{ZONE}/") == (0, f"{settings.USER_ADDRESS} None")
    world.forget(first)
    assert world.addresses(f"direct.{ZONE}") == []
    assert world.addresses("registry.bulwark.example") == [settings.REGISTRY_ADDRESS]
    assert dnsmasq.pid("internet") == before
    # An alias is configuration: for it dnsmasq starts again.
    world.record("direct", "A", settings.ADMIN_ADDRESS)
    world.record("alias", "CNAME", f"direct.{ZONE}")
    assert world.addresses(f"alias.{ZONE}") == [settings.ADMIN_ADDRESS]
    assert dnsmasq.pid("internet") != before


def test_the_administrator_sees_the_same_names(world: World) -> None:
    done = subprocess.run(
        ["ip", "netns", "exec", internet.ADMIN, "getent", "ahostsv4", ZONE], capture_output=True, text=True, check=True
    )
    assert settings.EDGE_ADDRESS in done.stdout


def test_an_origin_that_drops_packets_or_is_nobody(world: World) -> None:
    world.record("nobody", "A", "198.51.100.180", proxied=True)
    code = ("-o", "/dev/null", "-w", "%{http_code}")
    assert world.get(f"http://nobody.{ZONE}/", *code) == (0, "523")
    world.record("closed", "A", settings.USER_ADDRESS, proxied=True)
    assert world.get(f"http://closed.{ZONE}/", *code) == (0, "521")


def test_an_edge_that_ends_is_started_again(world: World) -> None:
    first = process.pid()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: process.pid() not in (None, first), "another process")
    until(lambda: world.get(f"https://{ZONE}/")[0] == 0, "its answer")


def test_an_edge_that_nobody_has_written_down_is_ended(world: World) -> None:
    world.end_supervising()
    first = process.pid()
    (settings.CLOUDFLARE / "edge.pid").unlink()
    world.supervise()
    until(lambda: process.pid() not in (None, first), "another process")
    until(lambda: world.get(f"https://{ZONE}/")[0] == 0, "its answer")


def test_an_edge_goes_on_without_the_api_and_is_taken_up_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, ensure = process.pid(), process.ensure
    looks: list[None] = []
    world.end_supervising()
    assert world.get(f"https://{ZONE}/")[0] == 0
    monkeypatch.setattr(process, "ensure", lambda: looks.append(ensure()))
    world.supervise()
    until(lambda: len(looks) > 1, "two looks at it")
    assert process.pid() == first


def test_an_edge_of_other_code_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = process.pid()
    monkeypatch.setattr(process, "_version", lambda: "another")
    until(lambda: process.pid() not in (None, first), "another process")
    until(lambda: world.get(f"https://{ZONE}/")[0] == 0, "its answer")
    monkeypatch.undo()
    until(lambda: process.pid(process._words()) is not None, "that of the code that is there")
    until(lambda: world.get(f"https://{ZONE}/")[0] == 0, "its answer")
    with suppress(ProcessLookupError):
        os.kill(first or 0, 0)
        pytest.fail("the first one still runs")


def test_nothing_of_it_is_anybody_elses_to_read(world: World) -> None:
    folder = Path(settings.CLOUDFLARE)
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("state.json", "token", "origin-rsa.key", "origin-ecc.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600, name
