# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: whether a server may be made anew."""

from __future__ import annotations

DOCUMENTATION = r"""
name: replacing
short_description: Whether a server may be deleted and made anew in its place
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Refuses a server that is not declared, the database's primary and its only member, and the only one that answers
    users. Who is primary is what the members have answered.
positional: _input, declared, servers, environment, states, targets
options:
  _input:
    description: Name of the server.
    type: str
    required: true
  declared:
    description: The declared servers, C(servers) of P(bulwark.hetzner.infrastructure#filter).
    type: list
    elements: dict
    required: true
  servers:
    description: Those that are there, each as in the host variable C(bulwark_server).
    type: list
    elements: dict
    required: true
  environment:
    description: The environment; servers of another one are not looked at.
    type: str
    required: true
  states:
    description:
      - What M(bulwark.hetzner.postgres_state) was registered as on each member of the database, by name. One that could
        not be asked has no C(state) in it.
    type: dict
  targets:
    description: The load balancer's, as M(bulwark.hetzner.hcloud_load_balancer) returns them.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ 'app-02' | bulwark.hetzner.replacing(declared, servers, topology.environment) }}"
  vars:
    declared: "{{ (topology | bulwark.hetzner.infrastructure).servers }}"
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description: >-
    C(there), whether the server exists; its C(roles); C(lost), what goes with it; and C(refusal), why it must not go,
    or empty.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..module_utils.servers.replacing import Replacing, replacing


def _filter(
    name: str,
    declared: Sequence[Mapping[str, Any]],
    servers: Sequence[Mapping[str, Any]],
    environment: str,
    states: Mapping[str, Any] | None = None,
    targets: Sequence[Mapping[str, Any]] | None = None,
) -> Replacing:
    known = {host: (result or {}).get("state") for host, result in (states or {}).items()}
    return replacing(name, declared, servers, environment, known, targets)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Replacing]]:
        return {"replacing": _filter}
