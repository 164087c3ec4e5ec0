# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: where sshd on the bastion may forward to, from the flows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: permit_open
short_description: Targets for PermitOpen of sshd from the flows of a topology
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Lists what sshd on a host, the bastion, may forward connections to, which is where the TCP flows from it lead.
  - sshd knows no ranges of ports. A range of up to 100 is written out; a longer one becomes V(*), all ports, of which
    the server's own firewall opens those of the range.
positional: _input, servers, host
extends_documentation_fragment:
  - bulwark.hetzner.flows
options:
  host:
    description: Name of the server that sshd runs on.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where this host may forward to
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.permit_open(servers, inventory_hostname) }}"
  vars:
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description: Addresses and ports, such as V(10.0.0.3:22). Empty where nothing may be forwarded.
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..module_utils.flows.environment import FlowError, read_environment
from ..module_utils.flows.services import permit_open
from ..module_utils.topology.reading import TopologyError


def _filter(topology: object, servers: object, host: str) -> list[str]:
    try:
        return permit_open(read_environment(topology, servers), host)
    except (FlowError, TopologyError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"permit_open": _filter}
