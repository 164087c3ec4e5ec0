# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: in which order servers are upgraded."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..module_utils.system_upgrade import order

DOCUMENTATION = r"""
name: system_upgrade
short_description: Decide in which order servers are upgraded
version_added: 1.0.0
description:
  - Monitoring, jobs, application servers, database replicas; then, if the primary's server has something to do, the
    primary moves and that comes next; the bastion last. Who has nothing to do has no turn.
author: Contributors to bulwark.hetzner
positional: _input, members, apps
options:
  _input:
    description: >-
      By the name of each server, C(roles), and C(system) and C(database) as registered of
      M(bulwark.hetzner.system_state) and M(bulwark.hetzner.postgres_state).
    type: dict
    required: true
  members:
    description: Names of all database servers of the environment.
    type: list
    elements: str
    default: []
  apps:
    description: Names of all its application servers.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Decide
  ansible.builtin.set_fact:
    plan: "{{ asked | bulwark.hetzner.system_upgrade(['db-primary', 'db-replica'], ['app-01', 'app-02']) }}"
"""

RETURN = r"""
_value:
  description:
    - C(refusal), why it cannot be done; C(first) and C(last), servers in their order; C(switchover), who becomes
      primary between the two, empty for nobody; C(lines), for a person to read.
  type: dict
"""


def _filter(
    results: Mapping[str, Any], members: Sequence[str] = (), apps: Sequence[str] = ()
) -> dict[str, list[str] | str]:
    # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
    plain = json.loads(json.dumps([results, members, apps]))
    return order.plan(*plain).plain()


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, list[str] | str]]]:
        return {"system_upgrade": _filter}
