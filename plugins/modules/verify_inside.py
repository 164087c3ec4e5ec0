# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what a server can check of itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_inside
short_description: Check from inside a server what the architecture promises
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Runs on the server and looks, with real packets, at its default route, name resolution, the address it has on the
    internet, packet forwarding, and the settings of its SSH daemon.
  - Changes nothing. A check that does not hold is a result, not a failure of the module.
  - Needs root for O(sshd_settings).
requirements:
  - Python 3.11 on the server
extends_documentation_fragment:
  - bulwark.hetzner.read_only
options:
  host:
    description: Name of the server in the results.
    type: str
    required: true
  internet_address:
    description: IPv4 address that the internet should see this server come from. Not looked at when omitted.
    type: str
  address_url:
    description:
      - Service that answers with nothing but the IPv4 address it is asked from, C(http) or C(https). Asked by IPv4.
    type: str
    default: http://ifconfig.me/ip
  names:
    description: Names that the server's resolver should know.
    type: list
    elements: str
    default: []
  gateway:
    description: IPv4 address the default route should lead to. Not looked at when omitted.
    type: str
  forwarding:
    description: Whether the server should forward IPv4 packets. Not looked at when V(false).
    type: bool
    default: false
  sshd_settings:
    description: Settings that C(sshd -T) should show, as it writes them, all files and defaults considered.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Look at an application server from inside
  bulwark.hetzner.verify_inside:
    host: "{{ inventory_hostname }}"
    internet_address: 198.51.100.100
    names: [ifconfig.me]
    gateway: 10.0.0.1
    sshd_settings: {permitrootlogin: "no", passwordauthentication: "no"}
  become: true
"""

RETURN = r"""
checks:
  description: Every check that was made.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: What was checked.
      type: str
    host:
      description: The server, as O(host) names it.
      type: str
    ok:
      description: Whether it holds.
      type: bool
    detail:
      description: What was seen and, if it does not hold, what should have been.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.inside import Expectations, examine


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "internet_address": {"type": "str"},
            "address_url": {"type": "str", "default": "http://ifconfig.me/ip"},
            "names": {"type": "list", "elements": "str", "default": []},
            "gateway": {"type": "str"},
            "forwarding": {"type": "bool", "default": False},
            "sshd_settings": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    expected = Expectations(**{name: value for name, value in module.params.items() if name != "host"})
    module.exit_json(changed=False, checks=examine(module.params["host"], expected))


if __name__ == "__main__":
    main()
