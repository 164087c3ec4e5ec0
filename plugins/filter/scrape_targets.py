# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: where the monitoring asks for metrics, from the flows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scrape_targets
short_description: Scrape targets of a flow of a topology
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Lists every server that a flow leads to, with the address and port at which Prometheus finds its metrics.
positional: _input, servers, flow
extends_documentation_fragment:
  - bulwark.hetzner.flows
options:
  flow:
    description: Name of the flow, such as V(node-metrics). It is tcp, with single ports.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where node_exporter is asked
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.scrape_targets(servers, 'node-metrics') }}"
  vars:
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description:
    - By name of the server; each has C(host), C(address) (such as V(10.0.0.3:9100)) and C(roles).
    - Empty while the flow is closed.
  type: list
  elements: dict
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..module_utils.flows.environment import FlowError, read_environment
from ..module_utils.flows.services import ScrapeTarget, scrape_targets
from ..module_utils.topology.reading import TopologyError


def _filter(topology: object, servers: object, flow: str) -> list[ScrapeTarget]:
    try:
        return scrape_targets(read_environment(topology, servers), flow)
    except (FlowError, TopologyError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[ScrapeTarget]]]:
        return {"scrape_targets": _filter}
