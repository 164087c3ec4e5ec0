# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a PostgreSQL member that follows the primary."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_follow
short_description: Make a member of a pair a replica that streams
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Finds the primary among the other members, and takes the cheapest way that works. A replica is started; a former
    primary, or a replica that has gone another way, is rewound (C(pg_rewind)); where that is impossible, the primary is
    copied beside the data that is there, which the copy replaces when it is complete.
  - Takes fences away once the member can only be a replica, starts it, and waits until it streams.
  - On a replica that streams it only clears away what runs that were killed have left.
  - The primary must have this member's replication slot.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  member:
    description: Name of this member.
    type: str
    required: true
  anew:
    description: Whether to delete its data and copy the primary, whatever is there.
    type: bool
    default: false
  seconds:
    description: >-
      How long PostgreSQL may take to answer once it is started. A replica that makes progress is waited for as long as
      it takes.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Bring the old primary back as a replica
  bulwark.hetzner.postgres_follow:
    member: db-primary
  become: true
"""

RETURN = r"""
steps:
  description: What was done, or the first step in check mode.
  returned: always
  type: list
  elements: str
  sample: ["rewound it to where it left the primary's history"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import installed
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.follow import follow
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import Local, alone
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {
    "member": {"type": "str", "required": True},
    "anew": {"type": "bool", "default": False},
    "seconds": {"type": "int", "default": 300},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module)
    try:
        here = Local(run, installed.read(run), module.params["seconds"])
        with alone():
            told = follow(here, module.params["member"], module.params["anew"], module.check_mode)
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{line}\n" for line in told)}
    module.exit_json(changed=bool(told), steps=told, diff=diff)


if __name__ == "__main__":
    main()
