"""The wire against a real kernel: a namespace of its own, in which rules decide what becomes of each port."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import packets

from tests.checkout import ROOT, ansible_environment

#: Runs inside the namespace: a far end behind a cable, one port of each kind, and a scan of them.
_INSIDE = r"""
import json, socket, subprocess, sys
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.reachability import Attempt, scan
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.wire import RawWire

def run(*words, feed=None):
    subprocess.run(words, input=feed, text=True, check=True)

RULES = '''
table inet judge {
  chain in {
    type filter hook prerouting priority mangle;
    tcp dport 7001 drop
    tcp dport 7002 reject with icmpx admin-prohibited
    tcp dport 7003 reject with tcp reset
    tcp dport 7004 reject
    udp dport 7101 drop
    ip daddr 127.0.0.9 icmp type echo-request drop
  }
  chain out {
    type filter hook output priority filter;
    tcp dport 7006 drop
  }
}
'''
run("ip", "link", "set", "lo", "up")
run("nft", "-f", "-", feed=RULES.replace("prerouting priority mangle", "input priority filter"))
held = [socket.create_server((address, 7000), family=family, backlog=1)
        for address, family in (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))]
talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talker.bind(("127.0.0.1", 7100))
import threading
def answer():
    while True:
        talker.sendto(b"yes", talker.recvfrom(99)[1])
threading.Thread(target=answer, daemon=True).start()
wanted = [Attempt(a, "tcp", p) for a in ("127.0.0.1", "::1") for p in (7000, 7001, 7002, 7003, 7004, 7005, 7006)]
wanted += [Attempt("127.0.0.1", "udp", p) for p in (7100, 7101, 7102)] + [Attempt("::1", "udp", 7102)]
wanted += [Attempt(a, "icmp", 0) for a in ("127.0.0.1", "::1", "127.0.0.9")]
wanted += [Attempt("203.0.113.9", "tcp", 80)]
found = scan(RawWire, wanted, [Attempt("127.0.0.1", "tcp", 7005)], 0.3)
for server in held:
    server.setblocking(False)
    try:
        server.accept()
    except BlockingIOError:
        continue
    found[Attempt("accepted", "tcp", 0)] = found[wanted[0]]
print(json.dumps({str(attempt): outcome.name for attempt, outcome in found.items()}))
"""

EXPECTED = {
    **{
        f"{address} tcp/{port}": outcome
        for address in ("127.0.0.1", "::1")
        for port, outcome in {
            7000: "ANSWERED",
            7001: "SILENT",
            7002: "TURNED_AWAY",
            7003: "REFUSED",  # a packet like the one of a port at which nothing listens
            7004: "REFUSED",
            7005: "REFUSED",
            7006: "NOT_SENT",
        }.items()
    },
    "127.0.0.1 udp/7100": "ANSWERED",
    "127.0.0.1 udp/7101": "SILENT",
    "127.0.0.1 udp/7102": "REFUSED",
    "::1 udp/7102": "REFUSED",
    "127.0.0.1 icmp": "ANSWERED",
    "::1 icmp": "ANSWERED",
    "127.0.0.9 icmp": "SILENT",
    "203.0.113.9 tcp/80": "NOT_SENT",
}


def test_every_kind_of_answer_is_told_and_no_service_sees_a_connection() -> None:
    words = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), sys.executable, "-c", _INSIDE]
    environment = ansible_environment(PYTHONPATH=str(ROOT / ".collections"))
    environment["PATH"] += ":/usr/sbin:/sbin"
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED


def test_checksum_of_the_standard() -> None:
    """The example of RFC 1071, section 3: its words add up to ddf2."""
    assert packets.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert packets.checksum(b"\xff") == 0x00FF  # an odd length is filled up with a zero


@pytest.mark.parametrize("cut", range(0, 36, 5))
def test_answers_that_end_too_early_are_none(cut: int) -> None:
    message = bytes([3, 3, *bytes(6), 0x45, *bytes(27)])[:cut]
    assert packets.parse_error(message, ipv6=False) is None
    assert packets.parse_error(bytes([1, 4]) + message, ipv6=True) is None
    assert packets.parse_tcp(message[:19]) is None
    assert packets.parse_echo_reply(message[:7], ipv6=False) is None


def test_error_names_what_it_is_about() -> None:
    ours = packets.syn("10.0.0.3", "10.0.0.6", 40000, 5432, 0xABCD0001)
    header = bytes([0x46, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 3, 10, 0, 0, 6, 1, 1, 1, 1])  # with an option
    error = packets.parse_error(bytes([3, 13, *bytes(6)]) + header + ours[:8], ipv6=False)
    assert error == packets.Error(False, 6, "10.0.0.6", 40000, 5432, 0xABCD0001)
