# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the configuration of a PostgreSQL server, from what is declared."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_configuration
short_description: Contents of postgresql.conf and pg_hba.conf of one member
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Computes settings from memory and cores, lays somebody's own over them, and refuses what the server could not have,
    each with a sentence that says what to correct.
positional: _input
options:
  _input:
    description: Settings that differ from the computed ones.
    type: dict
    required: true
  member:
    description: Name of the member that the files are for.
    type: str
    required: true
  members:
    description: All members, each with C(name) and C(address).
    type: list
    elements: dict
    required: true
  major:
    description: Major version of PostgreSQL.
    type: int
    required: true
  memory_mb:
    description: Memory of the server in megabytes.
    type: int
    required: true
  cores:
    description: Cores of the server.
    type: int
    required: true
  hba:
    description: Lines of pg_hba.conf, as P(bulwark.hetzner.pg_hba#filter) gives them.
    type: list
    elements: dict
    required: true
  synchronous:
    description: Whether a commit waits until a second member has it.
    type: bool
    default: false
  backup:
    description: Where WAL and backups go, as the role's C(postgres_backup); empty for nowhere.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what a server with 16 GB gets
  ansible.builtin.debug:
    msg: >-
      {{ {} | bulwark.hetzner.postgres_configuration(
           member='db', members=[{'name': 'db', 'address': '10.0.0.6'}], major=17, memory_mb=16384, cores=8, hba=[]) }}
"""

RETURN = r"""
_value:
  description:
    - C(postgresql_conf) and C(pg_hba_conf), the contents; C(shared_memory) in megabytes; C(conninfo), how members log
      in to each other; C(peers), the other members; C(slot), this member's replication slot, and C(peer_slots), those
      of the others.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.postgres import repository
from ..module_utils.postgres.configuration import Configuration, Declared, MembersError, configuration
from ..module_utils.postgres.container import PostgresError
from ..module_utils.postgres.hba import HbaError
from ..module_utils.postgres.settings import SettingsError


def _filter(
    overrides: Mapping[str, Any],
    member: str,
    members: Sequence[Mapping[str, Any]],
    major: int,
    memory_mb: int,
    cores: int,
    hba: Sequence[Mapping[str, Any]],
    synchronous: bool = False,
    backup: Mapping[str, Any] | None = None,
) -> Configuration:
    try:
        if backup:
            repository.check(backup)
        return configuration(
            Declared(
                member,
                members,
                int(major),
                int(memory_mb),
                int(cores),
                overrides,
                hba,
                bool(synchronous),
                bool(backup),
            )
        )
    except (HbaError, MembersError, PostgresError, SettingsError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Configuration]]:
        return {"postgres_configuration": _filter}
