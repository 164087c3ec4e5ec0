# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of one check, the same wherever it was made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

#: Characters that are kept of what a program said, the last ones: the warning of a changed host key is a page long.
REASON_LIMIT = 300


class Check(TypedDict):
    """What was checked on which host, whether it holds, and what was seen."""

    check: str
    host: str
    ok: bool
    detail: str


#: Whether something holds, and what was seen.
Seen = tuple[bool, str]


def named(host: str, results: Iterable[tuple[str, Seen]]) -> list[Check]:
    """Results by their names as checks of a host."""
    return [{"check": check, "host": host, "ok": ok, "detail": detail} for check, (ok, detail) in results]
