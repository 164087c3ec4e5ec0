# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a PostgreSQL server that runs what its files say."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_service
short_description: See to it that PostgreSQL runs as its files say
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Asks systemd, Docker and the server itself what differs from the files, and starts, reloads or restarts it for that
    alone. Whether a task has changed a file plays no part, so a run that was killed is made good by the next.
  - A server that must stay down, because it is fenced or a peer has taken over, stays down; that is a warning.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  seconds:
    description: How long the server may take to start or reload.
    type: int
    default: 120
  timers:
    description: >-
      Names of timers that belong to the server, such as those of its backups. They are enabled and started with it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: See to it that PostgreSQL runs as its files say
  bulwark.hetzner.postgres_service:
  become: true
"""

RETURN = r"""
steps:
  description: What was done and why, or the next step in check mode.
  returned: always
  type: list
  elements: str
  sample: ["restart: only a restart changes max_connections"]
held:
  description: Why the server stays down; empty when it runs.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.service import Service


def main() -> None:
    spec = {
        "seconds": {"type": "int", "default": 120},
        "timers": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    try:
        steps, held = Service(runner(module), module.params["seconds"], module.params["timers"]).settle(
            module.check_mode
        )
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    if held:
        module.warn(f"PostgreSQL stays down on this server: {held}.")
    told = [f"{step.kind}: {step.why}" for step in steps]
    diff = {"before": "", "after": "".join(f"{line}\n" for line in told)}
    module.exit_json(changed=bool(steps), steps=told, held=held, diff=diff)


if __name__ == "__main__":
    main()
