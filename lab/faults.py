"""Faults on order: what a test wants to go wrong. Plain data, and functions that decide without looking elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Literal

Effect = Literal["slow", "error", "lose_answer", "reset"]
_HASH_VALUES = 2**64


@dataclass(frozen=True)
class Fault:
    """One rule. It strikes requests by method and path, or with ``command`` actions; ``*`` stands for anything.

    - ``slow``: it takes ``delay`` seconds longer. Every other effect may have a delay as well.
    - ``error``: a request is answered with ``code`` in the vendor's format or, without one, with ``status`` and plain
      text as a gateway would, and changes nothing; an action ends with ``code`` and its change is taken back.
    - ``lose_answer``: the request is carried out, and the connection cut instead of an answer.
    - ``reset``: the connection is cut before anything happens.

    Of those that match, the first ``skip`` are spared and at most ``times`` are struck, each with the chance ``rate``;
    the same ``seed`` makes the same choice again.
    """

    effect: Effect
    method: str = "*"
    path: str = "*"  # below /v1, such as /servers/*/actions/poweron
    command: str | None = None  # such as create_server
    code: str | None = None
    status: int | None = None
    message: str = "a fault that was asked for"
    delay: float = 0.0
    skip: int = 0
    times: int | None = None
    rate: float = 1.0
    seed: int = 0
    matched: int = 0
    struck: int = 0

    def problem(self) -> str | None:
        """What is wrong with the rule, or None."""
        if self.command is not None and self.effect in ("lose_answer", "reset"):
            return f"{self.effect} is for requests, an action has no connection"
        if self.command is not None and self.effect == "error" and not self.code:
            return "an action that fails needs a code"
        if self.effect == "error" and not self.code and not self.status:
            return "error needs a code or a status"
        if self.effect == "slow" and self.delay <= 0:
            return "slow needs a delay in seconds"
        if not 0 <= self.rate <= 1:
            return "rate must be from 0 to 1"
        if self.delay < 0 or self.skip < 0 or (self.times is not None and self.times < 1):
            return "delay and skip must not be negative, and times at least 1"
        return None


@dataclass(frozen=True)
class Request:
    method: str
    path: str


@dataclass(frozen=True)
class Command:
    name: str


def decide(faults: Sequence[Fault], event: Request | Command) -> tuple[int | None, tuple[Fault, ...]]:
    """Which fault strikes, by its place (None: none does), and the rules as they are after that."""
    after = list(faults)
    for place, fault in enumerate(faults):
        if not _matches(fault, event):
            continue
        after[place] = fault = replace(fault, matched=fault.matched + 1)
        if _strikes(fault):
            after[place] = replace(fault, struck=fault.struck + 1)
            return place, tuple(after)
    return None, tuple(after)


def _matches(fault: Fault, event: Request | Command) -> bool:
    if isinstance(event, Command):
        return fault.command is not None and fnmatchcase(event.name, fault.command)
    return (
        fault.command is None
        and fnmatchcase(event.method, fault.method.upper())
        and fnmatchcase(event.path, fault.path)
    )


def _strikes(fault: Fault) -> bool:
    if fault.matched <= fault.skip or (fault.times is not None and fault.struck >= fault.times):
        return False
    digest = hashlib.sha256(f"{fault.seed}:{fault.matched}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < fault.rate * _HASH_VALUES


class FaultPlan:
    """The rules in force, by number."""

    def __init__(self) -> None:
        self.rules: dict[int, Fault] = {}
        self._last = 0

    def add(self, fault: Fault) -> int:
        self._last += 1
        self.rules[self._last] = fault
        return self._last

    def strike(self, event: Request | Command) -> tuple[int, Fault] | None:
        """The rule that strikes this event, with its number."""
        numbers = list(self.rules)
        place, after = decide(list(self.rules.values()), event)
        self.rules = dict(zip(numbers, after, strict=True))
        return None if place is None else (numbers[place], after[place])
