# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a PostgreSQL replica that becomes primary."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_promote
short_description: Make a replica the primary, with all that belongs to one
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Promotes it, once it has replayed what it must have, makes replication slots for the other members, and leaves the
    mark by which it is started again after a crash.
  - On a primary it only makes what is missing. A slot whose WAL is gone is made anew.
  - When it fails, the member is a replica as before.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  position:
    description: >-
      How much WAL, in bytes, it must have replayed, as M(bulwark.hetzner.postgres_step_down) says. V(0) takes what it
      has.
    type: int
    default: 0
  slots_only:
    description: Whether it should be primary already, and only what is missing is made. A replica is refused then.
    type: bool
    default: false
  seconds:
    description: How long it may take to replay that, and to be promoted.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Let the replica take over
  bulwark.hetzner.postgres_promote:
  become: true
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [made the slot db_primary, promoted it]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import installed, switch
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import Local, alone
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {
    "position": {"type": "int", "default": 0},
    "slots_only": {"type": "bool", "default": False},
    "seconds": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module)
    try:
        here = Local(run, installed.read(run), module.params["seconds"])
        with alone():
            told = switch.promote(here, module.params["position"], module.check_mode, module.params["slots_only"])
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{line}\n" for line in told)}
    module.exit_json(changed=bool(told), steps=told, diff=diff)


if __name__ == "__main__":
    main()
