"""Whether object storage is there: tests take it away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lab.object_storage.errors import StorageError

Mode = Literal["ok", "away", "refusing"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass
class Availability:
    """``away``: every request is answered 503, as by a gateway with nothing behind it.

    ``refusing``: every request is answered 403, as when the key was locked.
    """

    mode: Mode = "ok"

    def check(self) -> None:
        if self.mode == "away":
            raise StorageError("ServiceUnavailable")
        if self.mode == "refusing":
            raise StorageError("AccessDenied")
