#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hcloud_server_power."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hcloud_server_power
short_description: Switch a server on or off, and see that it is
version_added: 1.0.0
description:
  - Switching off is as pulling the plug. The end of the action is waited for, and then the state that the API tells, so
    that success means what it says. A server that is as it should be is left alone.
  - Only servers with the label C(managed-by=bulwark) are switched.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.hcloud.action_group
options:
  name:
    description: Name of the server.
    type: str
    required: true
  state:
    description: What it should be.
    type: str
    choices: ["on", "off"]
    required: true
  timeout:
    description: Seconds that this may take.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Switch a server off
  bulwark.hetzner.hcloud_server_power:
    name: db-primary
    state: "off"
  delegate_to: localhost
"""

RETURN = r"""
server:
  description: C(id), C(name) and C(status) of the server, in check mode as they are.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.hcloud_client import ARGUMENTS, APIException, ClientError, create_client, explain
from ..module_utils.server_power import STATES, find, switch

SPEC = {
    **ARGUMENTS,
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["on", "off"], "required": True},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    wanted = STATES[options["state"]][0]
    try:
        client = create_client(options["api_token"], options["api_endpoint"])
        before = after = find(client, options["name"])
        if not module.check_mode:
            after = switch(client, before, options["state"], options["timeout"])
    except (ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    module.exit_json(
        changed=before["status"] != wanted,
        server={key: after[key] for key in ("id", "name", "status")},
        diff={"before": f"{before['status']}\n", "after": f"{wanted}\n"},
    )


if __name__ == "__main__":
    main()
