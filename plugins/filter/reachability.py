# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: what can be reached from where, from the flows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability
short_description: What the flows of a topology open between any two ends
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Lists every server with every other one, and C(admin) and C(internet) with every server that has a public address,
    each pair with the flows that are open between them. Whatever is not listed must be closed.
positional: _input, servers
extends_documentation_fragment:
  - bulwark.hetzner.flows
"""

EXAMPLES = r"""
- name: Show what should be open
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.reachability(servers) }}"
  vars:
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description:
    - Each has C(from) (the name of a server, V(admin) or V(internet)), C(to) (the name of a server), C(address) (at
      which the one finds the other) and C(flows), which is empty where nothing is open.
    - A flow has C(name), C(protocol) and C(ports).
  type: list
  elements: dict
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..module_utils.flows.environment import FlowError, read_environment
from ..module_utils.flows.reachability import Pair, reachability
from ..module_utils.topology.reading import TopologyError


def _filter(topology: object, servers: object) -> list[Pair]:
    try:
        return reachability(read_environment(topology, servers))
    except (FlowError, TopologyError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[Pair]]]:
        return {"reachability": _filter}
