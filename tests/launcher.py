"""Driving the launcher, as a person would."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.checkout import ROOT

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=\d+\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)",
    re.M,
)


@dataclass(frozen=True)
class Answer:
    """What a command printed (both streams) and its exit code."""

    code: int
    text: str


@dataclass(frozen=True)
class Recap:
    """One host's line at the end of a playbook."""

    changed: int
    unreachable: int
    failed: int


def launcher(*words: str, feed: str | None = None, seconds: int = 1800) -> Answer:
    """Run ./bulwark with these words. The limit in seconds only ends what hangs."""
    done = subprocess.run(
        ["./bulwark", *words],
        cwd=ROOT,
        input=feed if feed is not None else "",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds,
    )
    return Answer(done.returncode, _COLOUR.sub("", done.stdout))


def succeed(*words: str, feed: str | None = None) -> str:
    """Run ./bulwark, which must succeed, and return what it printed."""
    answer = launcher(*words, feed=feed)
    assert answer.code == 0, answer.text[-20000:]
    return answer.text.strip()


def on(host: str, *command: str) -> str:
    """Run a command as root on a lab host."""
    return succeed("exec", host, *command)


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(succeed("status", "--json"))
    return found


def recap(text: str) -> dict[str, Recap]:
    """The hosts of a playbook's recap."""
    return {
        found["host"]: Recap(int(found["changed"]), int(found["unreachable"]), int(found["failed"]))
        for found in _RECAP.finditer(text)
    }
