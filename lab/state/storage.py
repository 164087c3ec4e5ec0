"""The state in a file: written whole after every change, read when the process starts again."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lab.state.coding import Data, decode, encode, to_json
from lab.state.store import Store

_VERSION = 1


def to_data(store: Store) -> Data:
    return {"version": _VERSION, "store": encode(store)}


def from_data(data: object) -> Store:
    """Raises ValueError with what is wrong."""
    if not isinstance(data, dict) or data.get("version") != _VERSION:
        raise ValueError(f"not a state of version {_VERSION}")
    return decode(Store, data.get("store"), "store")


class StateFile:
    """A process that is killed leaves the file as it was before or after a change, never between.

    It is not forced to the disk: when the whole machine stops, the servers are gone as well.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Store | None:
        """None when nothing was ever saved. Raises ValueError when it cannot be read."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return None
        return from_data(json.loads(text))

    def save(self, store: Store) -> None:
        unfinished = self._path.with_suffix(".unfinished")
        # user_data is in it, which is its owner's alone to read.
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(to_json({"version": _VERSION, "store": store}))
        unfinished.replace(self._path)
