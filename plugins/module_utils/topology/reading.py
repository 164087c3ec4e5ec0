# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading mappings that a person wrote: every mistake becomes one sentence that names the place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any


class TopologyError(ValueError):
    """The topology is not one; the message is a sentence for a person."""


def nearest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'servers'?``, or all that is known where nothing is near."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."


class Section:
    """One mapping of the topology; ``path`` is how a sentence calls it, such as ``topology.servers.app``."""

    def __init__(self, data: object, path: str, known: Iterable[str]) -> None:
        if not isinstance(data, Mapping):
            raise TopologyError(f"{path} must be a mapping, not {_kind(data)}.")
        for key in data:
            if key not in known:
                raise TopologyError(f"{path} has an unknown key {key!r}: {nearest(str(key), known)}")
        self._data: Mapping[str, Any] = data
        self.path = path

    def __contains__(self, key: str) -> bool:
        return self._data.get(key) is not None

    def names(self, key: str) -> bool:
        """Whether the key is written, though perhaps without a value."""
        return key in self._data

    def get(self, key: str, default: object) -> object:
        return self._data[key] if key in self else default

    def section(self, key: str, known: Iterable[str]) -> Section:
        return Section(self.get(key, {}), f"{self.path}.{key}", known)

    def text(self, key: str, default: str | None = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or not value:
            missing = "is missing" if value is None or value == "" else f"must be a text, not {_kind(value)}"
            raise TopologyError(f"{self.path}.{key} {missing}.")
        return value

    def whole(self, key: str, default: int, minimum: int, maximum: int) -> int:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise TopologyError(f"{self.path}.{key} must be a whole number from {minimum} to {maximum}, not {value!r}.")
        return value

    def truth(self, key: str, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise TopologyError(f"{self.path}.{key} must be true or false, not {value!r}.")
        return value

    def choice(self, key: str, default: str, choices: Sequence[str]) -> str:
        value = self.get(key, default)
        if value not in choices:
            raise TopologyError(f"{self.path}.{key} must be one of {', '.join(choices)}, not {value!r}.")
        return str(value)

    def texts(self, key: str) -> list[str]:
        values = self.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise TopologyError(f"{self.path}.{key} must be a list of texts.")
        return values

    def network(self, key: str, default: str) -> IPv4Network:
        text = self.text(key, default)
        try:
            return IPv4Network(text)
        except ValueError:
            raise TopologyError(
                f"{self.path}.{key}: {text!r} is no IPv4 network such as {default} (host bits must be 0)."
            ) from None

    def address(self, key: str, text: str) -> IPv4Address:
        try:
            return IPv4Address(text)
        except ValueError:
            raise TopologyError(f"{self.path}.{key}: {text!r} is no IPv4 address.") from None


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    return {list: "a list", str: "a text", int: "a number", bool: "a truth value", dict: "a mapping"}.get(
        type(value), type(value).__name__
    )
