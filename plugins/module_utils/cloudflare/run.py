# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a module about a zone: read, plan, stop there or apply, and again where answers got lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from . import zones
from .client import Client, CloudflareError
from .plan import Change, RefusedPlanError, result, settle


class Step(Protocol):
    """A change, and whatever makes it."""

    @property
    def change(self) -> Change: ...


S = TypeVar("S", bound=Step)


def carry_out(
    client: Client,
    check_mode: bool,
    look: Callable[[str], Sequence[S]],
    apply: Callable[[str, Sequence[S]], None],
) -> dict[str, Any]:
    """The module's result. ``look`` reads and plans, ``apply`` makes a plan; both get the zone's id.

    Raises :class:`RefusedPlanError` before the first change, and :class:`CloudflareError`, which says in ``changed``
    whether there may have been one.
    """
    zone_id = zones.find(client)
    changes: list[Change] = []
    begun = False

    def step() -> None:
        nonlocal begun
        steps = look(zone_id)
        planned = [item.change for item in steps]
        refusals = [change.refused for change in planned if change.refused]
        if refusals:
            raise CloudflareError(" ".join(refusals)) if begun else RefusedPlanError(planned)
        changes.extend(change for change in planned if change not in changes)
        if steps and not check_mode:
            begun = True
            apply(zone_id, steps)

    try:
        settle(client, step)
    except CloudflareError as error:
        error.changed = begun
        raise
    return result(changes)
