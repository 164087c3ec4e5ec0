"""Somebody who keeps knocking: a stream of connections from one server to ports of others, and what came back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.checkout import ROOT

#: Runs on a server until its standard input ends. 200 connections a second, to the targets in turn. An answer is any
#: packet that shows the attempt got through: accepted, or refused by the target itself.
_KNOCK = """
import errno, json, os, selectors, socket, sys, time
targets = sys.argv[1:]
sent, passed = dict.fromkeys(targets, 0), dict.fromkeys(targets, 0)
waiting = selectors.DefaultSelector()
begun = []
def finish(sock, answered):
    target = waiting.unregister(sock).data
    passed[target] += answered
    sock.close()
os.set_blocking(0, False)
print("knocking", flush=True)
turn, due = 0, time.monotonic()
while True:
    try:
        if os.read(0, 1) == b"":
            break
    except BlockingIOError:
        pass
    target = targets[turn % len(targets)]
    turn += 1
    address, _, port = target.rpartition(":")
    sock = socket.socket()
    sock.setblocking(False)
    sent[target] += 1
    code = sock.connect_ex((address, int(port)))
    if code == errno.EINPROGRESS:
        waiting.register(sock, selectors.EVENT_WRITE, target)
        begun.append((time.monotonic(), sock))
    else:
        passed[target] += code in (0, errno.ECONNREFUSED)
        sock.close()
    due = max(due + 0.005, time.monotonic())
    while True:
        for key, _ in waiting.select(max(0, due - time.monotonic())):
            finish(key.fileobj, key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, errno.ECONNREFUSED, errno.ECONNRESET))
        if time.monotonic() >= due:
            break
    while begun and time.monotonic() - begun[0][0] > 1:
        sock = begun.pop(0)[1]
        if sock.fileno() != -1:
            finish(sock, False)
print(json.dumps({target: [sent[target], passed[target]] for target in targets}))
"""  # noqa: E501 because it is a program, not a text


@dataclass
class Knocks:
    """How many attempts each target got, and how many of them were answered; filled when the knocking has ended."""

    sent: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)


@contextmanager
def knocking(host: str, *targets: str) -> Iterator[Knocks]:
    """Knock from a server at targets such as ``10.0.0.6:7777`` while the block runs."""
    knocks = Knocks()
    process = subprocess.Popen(
        ["./bulwark", "exec", host, "python3", "-c", _KNOCK, *targets],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "knocking\n"
        yield knocks
    finally:
        said, _ = process.communicate(timeout=60)  # ends its input, and so the knocking
        for target, (sent, passed) in json.loads(said).items():
            knocks.sent[target], knocks.passed[target] = sent, passed
