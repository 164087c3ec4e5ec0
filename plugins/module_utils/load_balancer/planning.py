# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all parts share while the plan of a load balancer is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Unpack

from ..infrastructure.draft import Draft, More
from ..infrastructure.plan import Ref
from .actual import Actual, LoadBalancer
from .declared import LoadBalancer as Declared


@dataclass
class Planning(Draft):
    """The plan of a load balancer in the making."""

    declared: Declared
    actual: Actual
    moving: bool = field(default=False, init=False)  # out of the network or the address it has

    def __post_init__(self) -> None:
        self.ids.update({Ref("network", network.name): network.id for network in self.actual.networks.values()})
        self.ids.update({Ref("server", server.name): server.id for server in self.actual.servers.values()})
        self.ids.update({Ref("certificate", record.name): record.id for record in self.actual.certificates})
        if self.existing:
            self.ids[self.ref] = self.existing.id

    @property
    def ref(self) -> Ref:
        return Ref("load_balancer", self.declared.name)

    @property
    def existing(self) -> LoadBalancer | None:
        return self.actual.load_balancer

    def part(self, kind: str, name: str | int) -> Ref:
        """A service or a target of the load balancer."""
        return Ref(kind, f"{self.declared.name}:{name}")

    def change_part(
        self, part: Ref, action: str, command: str, body: Mapping[str, Any], why: str, **more: Unpack[More]
    ) -> None:
        """A change of a part by an action of the load balancer, which takes one at a time."""
        more["writes"] = frozenset({self.ref})
        self.add(part, action, self.action(self.ref, command, body), why, **more)

    def no(self, action: str, sentence: str, after: Mapping[str, Any] | None = None) -> None:
        """Refuse something of the load balancer itself."""
        self.refuse(self.ref, action, f"{self.ref}: {sentence}", after=after)
