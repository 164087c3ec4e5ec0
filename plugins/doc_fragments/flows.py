# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the filters that render flows."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The topology, as P(bulwark.hetzner.infrastructure#filter) takes it. One that is none is refused, with a sentence
        that says what to correct.
    type: dict
    required: true
  servers:
    description:
      - The host variable C(bulwark_server) of every server of the inventory. Servers of other environments than the
        topology's are left out.
    type: list
    elements: dict
    required: true
seealso:
  - plugin: bulwark.hetzner.infrastructure
    plugin_type: filter
"""

    CONTAINERS = r"""
options:
  containers:
    description: Networks (CIDR) of the host's own containers. Flows from the host to itself are theirs as well.
    type: list
    elements: str
    default: []
"""
