# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: where a pair is restored, or a drill held."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_places
short_description: Where a pair is restored, or a drill held, from what its members say
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Decides nothing by names; which member is primary is what the members have answered.
positional: _input, hostvars, register, purpose
options:
  _input:
    description: Names of the hosts, in the order in which they are taken where none is primary.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  register:
    description: Name of the variable that M(bulwark.hetzner.postgres_state) was registered in on each host.
    type: str
    required: true
  purpose:
    description: What for.
    type: str
    choices: [restore, drill]
    required: true
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ groups.role_db | bulwark.hetzner.postgres_places(hostvars, '__state', 'restore') }}"
"""

RETURN = r"""
_value:
  description: >-
    C(primary), the member that runs as such; C(member), where it is to be done; C(others), members with data that
    follow; and C(refusal),
    why it cannot be done, or empty.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..module_utils.postgres.restoring import Places, drill, restore


def _filter(hosts: Sequence[str], hostvars: Mapping[str, Any], register: str, purpose: str) -> Places:
    states = {host: (hostvars[host].get(register) or {}).get("state") for host in hosts}
    return {"restore": restore, "drill": drill}[purpose](states, list(hosts))


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Places]]:
        return {"postgres_places": _filter}
