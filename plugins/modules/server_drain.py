# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a server that its load balancer finds ill, although it goes on answering."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_drain
short_description: Let a load balancer's health check fail, so that the server gets no new requests
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - A table of the host's nftables ends each health check of the load balancer with a reset as soon as it asks. All
    other requests are answered as before, those over kept connections included, so none is lost while the load balancer
    makes up its mind.
  - Nothing of the application or its proxy is touched, so it works with Kamal's and with any other. A boot undoes it.
  - Users who ask for the health check's path itself get an error from this server meanwhile.
  - M(bulwark.hetzner.hcloud_target_health) waits until the load balancer has noticed.
requirements:
  - nftables on the server, and a kernel from 5.16
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  state:
    description: V(drained), or V(serving) to let health checks be answered again.
    type: str
    choices: [drained, serving]
    required: true
  address:
    description: Address that health checks come from. Required to drain.
    type: str
  port:
    description: Port that they ask.
    type: int
    default: 80
  path:
    description: Path that they ask for.
    type: str
    default: /up
"""

EXAMPLES = r"""
- name: Let the load balancer take the server out
  bulwark.hetzner.server_drain:
    state: drained
    address: 10.0.0.9
  become: true

- name: Let it come back
  bulwark.hetzner.server_drain:
    state: serving
  become: true
"""

RETURN = r"""#"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.draining import (
    DrainError,
    drain,
    drained,
    take_back,
    there,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {
    "state": {"type": "str", "choices": ["drained", "serving"], "required": True},
    "address": {"type": "str"},
    "port": {"type": "int", "default": 80},
    "path": {"type": "str", "default": "/up"},
}


def main() -> None:
    module = AnsibleModule(SPEC, required_if=[("state", "drained", ["address"])], supports_check_mode=True)
    options = module.params
    run = runner(module)
    check = (options["address"], options["port"], options["path"])
    try:
        before = drained(run, *check) if options["state"] == "drained" else not there(run)
        if not before and not module.check_mode:
            if options["state"] == "drained":
                drain(run, *check)
            else:
                take_back(run)
    except (DrainError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    other = {"drained": "serving", "serving": "drained"}[options["state"]]
    diff = {"before": f"{options['state'] if before else other}\n", "after": f"{options['state']}\n"}
    module.exit_json(changed=not before, diff=diff)


if __name__ == "__main__":
    main()
