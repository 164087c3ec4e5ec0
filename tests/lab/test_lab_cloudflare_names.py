"""How the zone's names become what dnsmasq answers; dnsmasq itself is asked."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import settings
from lab.cloudflare import dns, state
from lab.cloudflare.state import Record, Store
from lab.net import dnsmasq, internet
from tests.lab.edge import free_port

ZONE = settings.CLOUDFLARE_ZONE
TYPES = {"A": 1, "CNAME": 5, "MX": 15, "TXT": 16, "AAAA": 28}
NXDOMAIN, NOERROR = 3, 0
PATIENCE_SECONDS = 10
EDGE = [settings.EDGE_ADDRESS, settings.EDGE_IPV6]


def store(*records: tuple[Any, ...]) -> Store:
    """Records as name, type, content, and whether proxied."""
    found = state.fresh()
    [zone] = found.zones.values()
    for name, kind, content, *more in records:
        full = ZONE if name == "@" else f"{name}.{ZONE}"
        record = Record(state.new_id(), full, kind, content, proxied=bool(more), priority=10 if kind == "MX" else None)
        zone.records[record.id] = record
    return found


def test_addresses_are_lines_that_can_change_without_a_new_start() -> None:
    found = store(("@", "A", "198.51.100.7", True), ("www", "CNAME", ZONE, True), ("direct", "AAAA", "2001:db8::1"))
    assert dns.hosts(found).splitlines() == [
        f"198.51.100.83 {ZONE}",
        f"198.51.100.83 www.{ZONE}",
        f"2001:db8::1 direct.{ZONE}",
        f"2001:db8:ffff:83::1 {ZONE}",
        f"2001:db8:ffff:83::1 www.{ZONE}",
    ]
    assert dns.configuration(found) == [f"local=/{ZONE}/"]
    assert dns.configuration(found) == dns.configuration(store())


class Resolver:
    """A dnsmasq with these lines, asked by hand."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.patience = 0.1  # until it is known to run

    def ask(self, name: str, kind: str) -> tuple[int, list[bytes]]:
        """The answer's code and the data of its records of that type."""
        question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
        query = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + question + struct.pack(">2H", TYPES[kind], 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(self.patience)
            asking.sendto(query, ("127.0.0.1", self._port))
            answer = asking.recv(4096)
        (_, flags, _, count, _, _) = struct.unpack(">6H", answer[:12])
        at, found = 12 + len(question) + 4, []
        for _ in range(count):
            at = _after_name(answer, at)
            answered, _, _, length = struct.unpack(">2HIH", answer[at : at + 10])
            if answered == TYPES[kind]:
                found.append(answer[at + 10 : at + 10 + length])
            at += 10 + length
        return flags & 15, found

    def addresses(self, name: str) -> list[str]:
        found = [socket.inet_ntop(socket.AF_INET, data) for data in self.ask(name, "A")[1]]
        return found + [socket.inet_ntop(socket.AF_INET6, data) for data in self.ask(name, "AAAA")[1]]


def _after_name(message: bytes, at: int) -> int:
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


@contextmanager
def resolver(folder: Path, known: Store) -> Iterator[Resolver]:
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin")
    assert program, "dnsmasq is not installed"
    port = free_port()
    (folder / "names").write_text(dns.hosts(known))
    fixed = [f"address=/registry.{ZONE}/198.51.100.81", f"address=/objects.{ZONE}/198.51.100.82"]
    # Where root runs the tests, dnsmasq must not become somebody who cannot read their folder.
    lines = ["user=root", "group=root", "no-hosts", "no-resolv", "listen-address=127.0.0.1", f"port={port}"]
    lines += ["bind-interfaces", f"local=/objects.{ZONE}/", *fixed]
    lines += ["pid-file=", f"addn-hosts={folder / 'names'}", *dns.configuration(known)]
    (folder / "conf").write_text("\n".join(lines) + "\n")
    running = subprocess.Popen([program, "--keep-in-foreground", f"--conf-file={folder / 'conf'}"])
    found, deadline = Resolver(port), time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            assert running.poll() is None, "dnsmasq does not take these lines"
            assert time.monotonic() < deadline, "dnsmasq does not answer"
            try:
                found.ask(ZONE, "A")
                break
            except OSError:
                time.sleep(0.05)
        found.patience = PATIENCE_SECONDS
        yield found
    finally:
        running.terminate()
        running.wait(PATIENCE_SECONDS)


def test_dnsmasq_answers_what_the_zone_says(tmp_path: Path) -> None:
    text = 'say "hello", and \\ more; ' + "x" * 300
    known = store(
        ("@", "A", "198.51.100.7", True),
        ("@", "TXT", text),
        ("@", "TXT", '"two " "strings"'),
        ("@", "MX", f"direct.{ZONE}"),
        ("www", "CNAME", ZONE, True),
        ("direct", "A", "198.51.100.7"),
        ("direct", "A", "198.51.100.8"),
        ("six", "AAAA", "2001:db8::1"),
        ("alias", "CNAME", f"direct.{ZONE}"),
        ("*.preview", "A", "198.51.100.9"),
        ("*.edge", "A", "198.51.100.9", True),
        ("x.preview", "A", "198.51.100.10"),
        ("self", "CNAME", f"self.{ZONE}"),
        ("round", "CNAME", f"about.{ZONE}"),
        ("about", "CNAME", f"round.{ZONE}"),
        ("into", "CNAME", f"round.{ZONE}"),
    )
    with resolver(tmp_path, known) as found:
        assert found.addresses(ZONE) == EDGE
        assert found.addresses(f"www.{ZONE}") == EDGE
        assert sorted(found.addresses(f"direct.{ZONE}")) == ["198.51.100.7", "198.51.100.8"]
        assert sorted(found.addresses(f"alias.{ZONE}")) == ["198.51.100.7", "198.51.100.8"]
        assert found.addresses(f"six.{ZONE}") == ["2001:db8::1"]
        assert found.addresses(f"any.preview.{ZONE}") == ["198.51.100.9"]
        assert found.addresses(f"x.preview.{ZONE}") == ["198.51.100.10"]
        assert found.addresses(f"any.edge.{ZONE}") == EDGE
        texts = [_strings(data) for data in found.ask(ZONE, "TXT")[1]]
        assert sorted(texts) == sorted([text.encode(), b"two strings"])
        [mail] = found.ask(ZONE, "MX")[1]
        assert mail[:2] == b"\0\x0a"
        # Names of the lab itself are as ever.
        assert found.addresses(f"registry.{ZONE}") == ["198.51.100.81"]
        assert found.addresses(f"bucket.objects.{ZONE}") == ["198.51.100.82"]
        # Aliases that end nowhere take no other name along.
        for name in ("self", "round", "about", "into"):
            assert found.addresses(f"{name}.{ZONE}") == []
        # What has no record is not asked of anybody else: an upstream there is none, and that would be refused.
        assert found.ask(f"nobody.{ZONE}", "A") == (NXDOMAIN, [])
        assert found.ask(f"six.{ZONE}", "A") == (NOERROR, [])
        assert found.ask("elsewhere.example", "A")[0] not in (NOERROR, NXDOMAIN)


def _strings(data: bytes) -> bytes:
    """The strings of a TXT record, put together."""
    joined = b""
    while data:
        joined += data[1 : 1 + data[0]]
        data = data[1 + data[0] :]
    return joined


# What the embedded internet makes of it


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Any]]:
    """What dnsmasq was told, in order."""
    found: list[tuple[str, Any]] = []

    def ensure(name: str, lines: list[str], namespace: str | None = None) -> None:
        found.append((name, lines))

    monkeypatch.setattr(dnsmasq, "ensure", ensure)
    monkeypatch.setattr(dnsmasq, "reload", lambda name: found.append(("reload", name)))
    monkeypatch.setattr(internet, "_NAMES", tmp_path / "names")
    return found


def test_a_changed_address_is_read_again_and_nothing_else_happens(told: list[tuple[str, Any]], tmp_path: Path) -> None:
    internet.resolve(store(("www", "A", "198.51.100.7")))
    first = dict(told)["internet"]
    assert f"addn-hosts={tmp_path / 'names'}" in first
    assert f"local=/{ZONE}/" in first
    told.clear()
    internet.resolve(store(("www", "A", "198.51.100.8")))
    assert told[1:] == [("internet", first), ("reload", "internet")]
    assert (tmp_path / "names").read_text() == f"198.51.100.8 www.{ZONE}\n"
    told.clear()
    internet.resolve(store(("www", "A", "198.51.100.8")))
    assert [name for name, _ in told] == ["machine", "internet"]


def test_what_was_saved_is_what_is_answered_after_a_new_start(
    told: list[tuple[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = state.StateFile(tmp_path / "state.json")
    monkeypatch.setattr(state, "STATE_FILE", file)
    internet.resolve()
    assert f"local=/{ZONE}/" in dict(told)["internet"], "a zone without records is nobody else's either"
    file.save(store(("www", "A", "198.51.100.7")))
    internet.resolve()
    assert (tmp_path / "names").read_text() == f"198.51.100.7 www.{ZONE}\n"
    file.path.write_text("not JSON")
    internet.resolve()
    assert f"local=/{ZONE}/" in dict(told)["internet"]
