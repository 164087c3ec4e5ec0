# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a PostgreSQL primary that steps down for a switchover."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_step_down
short_description: Stop a primary so that it can only come back as a replica
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Stops PostgreSQL, which waits until its replicas have everything, and marks the data as a replica's.
  - What was done by a run that was killed is not done again.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  state:
    description: >-
      V(down), or V(up) to take it back when nobody has taken over. It starts as primary then, unless another member is
      primary by now.
    type: str
    choices: [down, up]
    default: down
  seconds:
    description: How long PostgreSQL may take to start again where that is needed.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Let the primary step down
  bulwark.hetzner.postgres_step_down:
  become: true
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
position:
  description: How much WAL, in bytes, whoever takes over must have replayed. 0 in check mode.
  returned: O(state=down)
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import installed, switch
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import Local, alone
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {
    "state": {"type": "str", "choices": ["down", "up"], "default": "down"},
    "seconds": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module)
    try:
        here = Local(run, installed.read(run), module.params["seconds"])
        with alone():
            if module.params["state"] == "down":
                down = switch.step_down(here, module.check_mode)
                told, position = down.told, down.position
            else:
                told, position = switch.step_up(here, module.check_mode), 0
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{line}\n" for line in told)}
    module.exit_json(changed=bool(told), steps=told, position=position, diff=diff)


if __name__ == "__main__":
    main()
