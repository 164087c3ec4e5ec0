# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what can be seen of a server from where the administrator stands."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_outside
short_description: Check from outside a server what the architecture promises
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - >-
    Runs on the controller. Logs in by SSH as the user, with the key, which must succeed; then as root with the same
    key, which must be refused; and looks at whether a password is offered to either.
  - >-
    Tries TCP ports of the public address. Exactly O(open_ports) must accept a connection. They are tried again with
    every batch of ports, and the scan counts as failed when one of them does not answer: a scan that misses an open
    port would take any port for closed.
  - Changes nothing. A check that does not hold is a result, not a failure of the module.
requirements:
  - the OpenSSH client
extends_documentation_fragment:
  - bulwark.hetzner.read_only
options:
  host:
    description: Name of the server in the results.
    type: str
    required: true
  route:
    description:
      - The way to the server, the host variable C(bulwark_ssh) of P(bulwark.hetzner.servers#inventory). An empty one
        stands for a server that cannot be reached, and fails the checks.
    type: dict
    required: true
  public_address:
    description: Address whose ports are tried. None are when omitted.
    type: str
  open_ports:
    description: TCP ports of the public address that must accept a connection from here.
    type: list
    elements: int
    default: [22]
  may_be_open:
    description: TCP ports that may accept one, each a number or a range. Whether anybody listens there says nothing.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports to try, each a number or a range such as V(1-1024).
    type: list
    elements: str
    default: [1-1024]
  timeout:
    description: Seconds after which a port that is silent counts as closed.
    type: int
    default: 2
"""

EXAMPLES = r"""
- name: Look at a server from outside
  bulwark.hetzner.verify_outside:
    host: "{{ inventory_hostname }}"
    route: "{{ bulwark_ssh }}"
    public_address: "{{ bulwark_server.public_address }}"
    ports: [1-1024, "5432", "9090"]
  delegate_to: localhost
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
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import checked_route
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.outside import check_logins, check_ports
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import parse_ports


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "route": {"type": "dict", "required": True},
            "public_address": {"type": "str"},
            "open_ports": {"type": "list", "elements": "int", "default": [22]},
            "may_be_open": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "str", "default": ["1-1024"]},
            "timeout": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        ports, allowed = parse_ports(params["ports"]), parse_ports(params["may_be_open"])
        route = checked_route(params["route"]) if params["route"] else None
    except ValueError as error:
        module.fail_json(msg=str(error))
    checks = check_logins(params["host"], route)
    if address := params["public_address"]:
        checks.append(check_ports(params["host"], address, ports, params["open_ports"], params["timeout"], allowed))
    module.exit_json(changed=False, checks=checks)


if __name__ == "__main__":
    main()
