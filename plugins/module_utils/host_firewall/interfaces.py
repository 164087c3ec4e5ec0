# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole declaration from the module's options; interfaces are found by the addresses they have. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.rules import Firewall, parse


@dataclass(frozen=True)
class Address:
    """An address of this host and the interface that has it."""

    interface: str
    address: str
    bridge: bool


def firewall(options: Mapping[str, Any], addresses: Sequence[Address]) -> Firewall:
    """What is declared. Raises RefusedError for rules that are none and addresses that are not this host's."""
    rules, forward = parse(options["rules"], "rules"), parse(options["forward"], "forward")
    private = _interface("private_address", options["private_address"], addresses)
    public = _interface("public_address", options["public_address"], addresses)
    if forward and not (private and public):
        raise RefusedError(
            "forward needs private_address and public_address: it leads from one's interface to the other's."
        )
    if forward and private == public:
        raise RefusedError(f"private_address and public_address are both on {private}: they need an interface each.")
    return Firewall(rules, forward, private, public)


def _interface(option: str, address: str | None, addresses: Sequence[Address]) -> str:
    if not address:
        return ""
    for own in addresses:
        if own.address == address:
            if own.bridge:
                raise RefusedError(
                    f"{option}: {address} is on {own.interface}, a bridge; what comes from bridges counts as "
                    "containers, so the address must be on another interface."
                )
            return own.interface
    found = ", ".join(own.address for own in addresses)
    raise RefusedError(
        f"{option} is {address}, but no interface of this host has it ({found}): give an address it has."
    )
