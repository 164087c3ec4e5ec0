# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the members of a PostgreSQL pair, from the inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_members
short_description: Members of a PostgreSQL pair, with their addresses and volumes
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Turns what the inventory knows of the database servers into the variable C(postgres_members) of the roles.
positional: _input, topology
options:
  _input:
    description: The host variable C(bulwark_server) of each database server. Those of other environments are left out.
    type: list
    elements: dict
    required: true
  topology:
    description: The variable C(topology), of which C(environment) is read.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show them
  ansible.builtin.debug:
    msg: >-
      {{ groups.role_db | map('extract', hostvars, 'bulwark_server') | bulwark.hetzner.postgres_members(topology) }}
"""

RETURN = r"""
_value:
  description: The members by address, each with C(name), C(address) and C(volume), which is a device or empty.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.postgres.configuration import MembersError
from ..module_utils.postgres.members import Member, members


def _filter(servers: Iterable[Mapping[str, Any]], topology: Mapping[str, Any]) -> list[Member]:
    try:
        return members(servers, str(topology["environment"]))
    except MembersError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[Member]]]:
        return {"postgres_members": _filter}
