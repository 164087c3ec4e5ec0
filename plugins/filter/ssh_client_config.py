# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: ways to servers to an SSH client configuration for people."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_client_config
short_description: SSH client configuration in which every server goes by its name
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Turns the host variables C(bulwark_ssh) of the inventory plugin P(bulwark.hetzner.servers#inventory) into text for
    a file that the OpenSSH client reads, so that C(ssh app-01) takes the same way and accepts the same host keys as
    Ansible does.
  - Each server goes by its name, and by its name followed by a dot and its environment.
positional: _input
options:
  _input:
    description: One C(bulwark_ssh) for each server.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Print the configuration
  ansible.builtin.debug:
    msg: "{{ groups.env_production | map('extract', hostvars, 'bulwark_ssh') | bulwark.hetzner.ssh_client_config }}"
"""

RETURN = r"""
_value:
  description: The configuration, the same for the same servers in any order.
  type: str
"""

from collections.abc import Callable, Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import SshRoute, client_config


def ssh_client_config(routes: Sequence[SshRoute]) -> str:
    if isinstance(routes, str) or not all(isinstance(route, Mapping) for route in routes):
        raise AnsibleFilterError("ssh_client_config takes a list of the host variable bulwark_ssh.")
    return client_config(routes)


class FilterModule:
    def filters(self) -> dict[str, Callable[[Sequence[SshRoute]], str]]:
        return {"ssh_client_config": ssh_client_config}
