# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a PostgreSQL member that can accept no more writes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_fence
short_description: Keep a member of a pair from accepting writes, for certain
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Leaves the mark that keeps PostgreSQL down, stops it, and looks that it is gone.
  - Where that cannot be done, because Docker hangs or the volume takes no writes, the host's nftables drop everything
    from and to port 5432, and that is read back. Such a fence is gone after a boot, at which PostgreSQL asks its peers.
  - M(bulwark.hetzner.postgres_follow) takes either away.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  seconds:
    description: How long each program may take before it counts as hanging.
    type: int
    default: 8
"""

EXAMPLES = r"""
- name: Fence the old primary
  bulwark.hetzner.postgres_fence:
  become: true
"""

RETURN = r"""
fence:
  description: V(service), V(firewall), or in check mode nothing.
  returned: success
  type: str
told:
  description: What was seen.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import installed
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.fence import fence, fenced
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import Local
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

#: Seconds in which Docker answers if it does.
QUICK = 3


def main() -> None:
    spec = {"seconds": {"type": "int", "default": 8}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    seconds = module.params["seconds"]
    run = runner(module, seconds)
    try:
        here = Local(run, installed.read(run), seconds)
        before = fenced(here)
        after = before or (None if module.check_mode else fence(here, runner(module, QUICK)))
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    kind, told = (after.kind, after.told) if after else ("", "would be fenced")
    diff = {"before": "", "after": "" if before else f"{told}\n"}
    module.exit_json(changed=not before, fence=kind, told=told, diff=diff)


if __name__ == "__main__":
    main()
