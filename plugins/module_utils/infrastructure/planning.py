# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all kinds share while a plan is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .actual import Actual
from .declared import Infrastructure
from .draft import Draft, hint
from .plan import Ref


@dataclass
class Planning(Draft):
    """The plan of an environment's infrastructure in the making."""

    declared: Infrastructure
    actual: Actual

    def __post_init__(self) -> None:
        self.ids.update(self.actual.ids())

    def known(self, user: Ref, kind: str, names: Iterable[str]) -> bool:
        """Whether everything that ``user`` refers to is declared or there; else it is refused."""
        choices = (self.declared.names(kind) or set()) | set(self.actual.of(kind))
        missing = [name for name in names if name not in choices]
        for name in missing:
            self.refuse(user, "update", f"{user} names the {kind} {name}, which does not exist{hint(name, choices)}.")
        return not missing

    def location(self, ref: Ref, name: str) -> bool:
        """Whether the location exists; else it is refused."""
        zones = self.actual.catalogue.zones
        if name not in zones:
            self.refuse(ref, "create", f"{ref}: there is no location {name}; there are {', '.join(sorted(zones))}.")
        return name in zones
