# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: who may log in to a database over the network, from the flows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: pg_hba
short_description: Lines of pg_hba.conf from the flows of a topology
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Renders the flows that lead to the database, with the inventory, to lines for C(pg_hba.conf) of one of its servers.
  - Every line asks for TLS and SCRAM. Users that come through the local socket are not the flows' business.
positional: _input, servers, host
extends_documentation_fragment:
  - bulwark.hetzner.flows
  - bulwark.hetzner.flows.containers
options:
  host:
    description: Name of the database server.
    type: str
    required: true
  alternates:
    description: Other logins of users, which get in where those do.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show who may log in to the database on this host
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.pg_hba(servers, inventory_hostname) }}"
  vars:
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description:
    - The lines, in order. Each has C(type) (V(hostssl)), C(databases), C(users), C(address) (CIDR) and C(method)
      (V(scram-sha-256)).
    - The user V(replicator) gets physical replication, the database V(replication), and nothing else.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ..module_utils.flows.environment import FlowError, read_environment
from ..module_utils.flows.services import HbaLine, pg_hba
from ..module_utils.topology.reading import TopologyError


def _filter(
    topology: object,
    servers: object,
    host: str,
    containers: Sequence[str] = (),
    alternates: Mapping[str, str] | None = None,
) -> list[HbaLine]:
    try:
        return pg_hba(read_environment(topology, servers), host, containers, alternates)
    except (FlowError, TopologyError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[HbaLine]]]:
        return {"pg_hba": _filter}
