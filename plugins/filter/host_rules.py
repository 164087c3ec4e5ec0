# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: what the firewall of a host lets through, from the flows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_rules
short_description: Firewall rules of a host from the flows of a topology
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Renders the flows of a topology, with the inventory, to what one host's firewall lets through.
  - Whoever is in no rule opens no connection. A flow that leads nobody to this host has no rule.
positional: _input, servers, host
extends_documentation_fragment:
  - bulwark.hetzner.flows
  - bulwark.hetzner.flows.containers
options:
  host:
    description: Name of the server.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the rules of this host
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.host_rules(servers, inventory_hostname, containers=['172.30.0.0/24']) }}"
  vars:
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description: Both lists are in the order of the flows.
  type: dict
  contains:
    rules:
      description:
        - Who may open connections to this host. Each has C(name), C(protocol) (V(tcp), V(udp), or V(icmp) for the
          echo), C(ports) (texts such as V(22) or V(3000-3010)), C(sources) (networks in CIDR form, sorted, never the
          host's own address) and C(containers) (networks of the host's own containers).
      type: list
      elements: dict
    forward:
      description: Whom this host, a bastion, forwards to the internet. As C(rules), without C(containers);
        C(protocol) can be V(any).
      type: list
      elements: dict
"""

from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError

from ..module_utils.flows.environment import FlowError, read_environment
from ..module_utils.flows.firewall import HostRules, host_rules
from ..module_utils.topology.reading import TopologyError


def _filter(topology: object, servers: object, host: str, containers: Sequence[str] = ()) -> HostRules:
    try:
        return host_rules(read_environment(topology, servers), host, containers)
    except (FlowError, TopologyError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., HostRules]]:
        return {"host_rules": _filter}
