# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: which servers come and which go."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scaling
short_description: Which servers of the application and of its jobs come, and which go
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Compares the servers that a topology declares with those that are there.
  - Only servers that carry no other role than C(app) and C(jobs) ever go; others hold something.
positional: _input, servers, environment, targets
options:
  _input:
    description: The declared servers, C(servers) of P(bulwark.hetzner.infrastructure#filter).
    type: list
    elements: dict
    required: true
  servers:
    description: Those that are there, each as in the host variable C(bulwark_server).
    type: list
    elements: dict
    required: true
  environment:
    description: The environment; servers of another one are not looked at.
    type: str
    required: true
  targets:
    description:
      - The load balancer's, as M(bulwark.hetzner.hcloud_load_balancer) returns them. None where nobody has asked.
    type: list
    elements: dict
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ declared | bulwark.hetzner.scaling(servers, topology.environment) }}"
  vars:
    declared: "{{ (topology | bulwark.hetzner.infrastructure).servers }}"
    servers: "{{ groups.bulwark_servers | map('extract', hostvars, 'bulwark_server') }}"
"""

RETURN = r"""
_value:
  description: >-
    Names of servers, C(new), C(leaving), C(others) (not declared either, but left alone) and C(idle) (of the
    application, declared and there, to which the load balancer sends nothing); and C(refusal), why those that go must
    not, or empty.
  type: dict
"""

from collections.abc import Callable

from ..module_utils.servers.scaling import Scaling, scaling


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Scaling]]:
        return {"scaling": scaling}
