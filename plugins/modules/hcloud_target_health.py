#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hcloud_target_health."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hcloud_target_health
short_description: Look how a load balancer finds its servers, and wait until it finds one as it should be
version_added: 1.0.0
description:
  - Reads the health of each target, label selectors resolved. Changes nothing.
  - A server that is no target counts as unhealthy where that is waited for.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.hcloud.action_group
  - bulwark.hetzner.read_only
attributes:
  check_mode:
    description: Looks and does not wait.
    support: full
options:
  load_balancer:
    description: Name of the load balancer.
    type: str
    required: true
  server:
    description: Name of the server to wait for.
    type: str
  state:
    description: What the load balancer should find of O(server).
    type: str
    choices: [healthy, unhealthy]
  seconds:
    description: >-
      How long to wait beyond the time in which the slowest health check makes up its mind (interval, as often as it is
      repeated, and its time-out).
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Wait until a server gets no more requests
  bulwark.hetzner.hcloud_target_health:
    load_balancer: rails-lb
    server: app-01
    state: unhealthy
  delegate_to: localhost
"""

RETURN = r"""
health:
  description: >-
    By the name of each server that is a target, V(healthy) where every service finds it so, V(unhealthy) where none
    does, V(unknown) otherwise.
  returned: success
  type: dict
  sample: {"app-01": "unhealthy", "app-02": "healthy"}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.hcloud_client import ARGUMENTS, APIException, ClientError, create_client, explain
from ..module_utils.load_balancer.health import look, wait

SPEC = {
    **ARGUMENTS,
    "load_balancer": {"type": "str", "required": True},
    "server": {"type": "str"},
    "state": {"type": "str", "choices": ["healthy", "unhealthy"]},
    "seconds": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(SPEC, required_together=[("server", "state")], supports_check_mode=True)
    options = module.params
    try:
        client = create_client(options["api_token"], options["api_endpoint"])
        if options["server"] and not module.check_mode:
            health = wait(client, options["load_balancer"], options["server"], options["state"], options["seconds"])
        else:
            health = look(client, options["load_balancer"])
    except (ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    module.exit_json(changed=False, health=health)


if __name__ == "__main__":
    main()
