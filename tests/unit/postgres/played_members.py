"""Members of a pair as postgres_state tells of them, for whoever decides by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def state(**more: Any) -> dict[str, Any]:
    """What postgres_state says of a replica that streams."""
    known = {
        "data": "present",
        "foreign": "",
        "fenced": False,
        "recovered": False,
        "firewalled": False,
        "standby": True,
        "engine": True,
        "container": True,
        "running": True,
        "in_recovery": True,
        "system_identifier": "7301",
        "timeline": 1,
        "position": 1000,
        "shutdown": "",
        "receiving": True,
        "paused": False,
        "replayed_seconds_ago": 3.2,
        "lag": {},
    }
    return {"state": known | more}


def primary(lag: Mapping[str, int] | None = None, **more: Any) -> dict[str, Any]:
    known = {"standby": False, "in_recovery": False, "receiving": False, "replayed_seconds_ago": None}
    return state(**{**known, "lag": {"b": 0} if lag is None else dict(lag), **more})


def stopped(shutdown: str = "shut down", **more: Any) -> dict[str, Any]:
    """One that does not run: by default a primary that was shut down."""
    known = {"standby": False, "container": False, "running": False, "in_recovery": None, "receiving": False}
    return state(**{**known, "shutdown": shutdown, **more})
