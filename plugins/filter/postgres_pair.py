# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: what is to be done with a pair of PostgreSQL servers."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_pair
short_description: Who is primary, who takes over, and whether that can be
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Decides from what M(bulwark.hetzner.postgres_state) found on both members, also when one could not be asked.
positional: _input, verb
options:
  _input:
    description: What was registered on each member, by its name.
    type: dict
    required: true
  verb:
    description: What is to be done.
    type: str
    choices: [switchover, failover, rejoin, rebuild]
    required: true
  member:
    description: >-
      Who should be primary, for V(switchover) and V(failover), or a replica, for the others. Empty for whoever it can
      be.
    type: str
    default: ""
  most_lag:
    description: How many bytes of WAL a replica may lack for a switchover.
    type: int
    default: 16777216
"""

EXAMPLES = r"""
- name: Say who would take over
  ansible.builtin.debug:
    msg: "{{ {'db-primary': first, 'db-replica': second} | bulwark.hetzner.postgres_pair('switchover') }}"
"""

RETURN = r"""
_value:
  description:
    - C(refusal), empty when it can be done, else why not and what to do instead; C(nothing), why there is nothing to
      do.
    - C(primary), who is or was primary; C(candidate), who takes over; C(member), who follows in the end; C(told), what
      there is to say about it.
    - C(stepped_down), whether an earlier run has stopped the old primary, and C(position), how much WAL the candidate
      must have then.
  type: dict
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ..module_utils.postgres.pair import MOST_LAG, decide, members


def _filter(
    results: Mapping[str, Mapping[str, Any]], verb: str, member: str = "", most_lag: int = MOST_LAG
) -> dict[str, Any]:
    return asdict(decide(verb, members(results), member, int(most_lag)))


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"postgres_pair": _filter}
