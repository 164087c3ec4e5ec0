# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: answers become a topology."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.starting.answers import topology
from ..module_utils.topology.reading import TopologyError

DOCUMENTATION = r"""
name: initial_topology
short_description: Make the topology of a new environment from a few answers
version_added: 1.0.0
description:
  - Checks answers, and makes the topology that C(playbooks/init.yml) writes down. What is not answered has the
    topology's own default, see P(bulwark.hetzner.infrastructure#filter).
author: Contributors to bulwark.hetzner
positional: _input, environment_name
options:
  _input:
    description: The answers. Empty ones count as not given.
    type: dict
    required: true
    suboptions:
      admin_addresses:
        description: Addresses or networks that you come from, as a list or with commas.
        type: raw
        required: true
      admin_key:
        description: Your OpenSSH public key, the content of a C(.pub) file.
        type: str
        required: true
      admin_name:
        description: What the key is called; from its comment unless given.
        type: str
      location:
        description: Location of everything.
        type: str
      image:
        description: Name of the operating system's image.
        type: str
      servers:
        description: The servers by role, as in the topology.
        type: dict
      one_server:
        description:
          - Whether one public server is everything (yes or no), or what is to be said of it, as in the topology. Unless
            given it is the whole architecture.
        type: raw
      edge_zone:
        description: Name of the zone at Cloudflare; without it there is no load balancer.
        type: str
      edge_hostnames:
        description: Names in the zone by which users come, as a list or with commas; the zone's own unless given.
        type: raw
      edge_zone_owned:
        description: Whether the whole zone is this environment's.
        type: raw
      object_storage_endpoint:
        description: URL of the object storage; without it there are no backups.
        type: str
      object_storage_region:
        description: Its region.
        type: str
      object_storage_uploads_bucket:
        description: Bucket for what users upload.
        type: str
      object_storage_backups_bucket:
        description: Another bucket, for backups.
        type: str
  environment_name:
    description: Name of the environment.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the topology for two answers
  ansible.builtin.debug:
    msg: "{{ (answers | bulwark.hetzner.initial_topology('production')).topology }}"
  vars:
    answers:
      admin_addresses: 198.51.100.7
      admin_key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
"""

RETURN = r"""
_value:
  description: C(topology), and C(mistake), the first one in the answers as a sentence; then there is no topology.
  type: dict
"""


def _filter(answers: Mapping[str, Any], environment_name: str) -> dict[str, Any]:
    try:
        # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
        return {"topology": topology(str(environment_name), json.loads(json.dumps(answers))), "mistake": ""}
    except TopologyError as error:
        # Not raised: around an error of a filter, Ansible says much more than what a person who answers wants to know.
        return {"topology": {}, "mistake": str(error)}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]]:
        return {"initial_topology": _filter}
