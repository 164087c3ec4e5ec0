# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the steps of a restore drill, each where it belongs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_drill
short_description: Recover from object storage beside a replica, and compare
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Changes nothing that lasts. A replica pauses while its tables are summed up, and goes on; the recovered database
    is removed again.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  step:
    description:
      - V(freeze), on a replica, tells up to where WAL is archived, and sums up every table as of one position in it.
      - V(archive), on the primary, has everything up to O(position) archived.
      - V(compare), on the replica, recovers up to there and compares.
    type: str
    choices: [freeze, archive, compare]
    required: true
  position:
    description: For V(archive), where the replica was frozen.
    type: str
    default: ""
  frozen:
    description: For V(compare), what V(freeze) returned.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Sum up every table of a replica
  bulwark.hetzner.postgres_drill:
    step: freeze
  become: true
"""

RETURN = r"""
frozen:
  description: >-
    For V(freeze), C(position), C(newest) and C(looked) in seconds since the epoch, C(tables) with rows and sums,
    C(archived), the position up to which the object storage could have restored, and C(backed_up).
  returned: success
  type: dict
report:
  description: >-
    For V(compare), C(tables) and C(rows) that were compared, C(differ), the names of tables that differ, and C(age),
    how many seconds of work would have been lost.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import drill
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, Server, deployed
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.recovery import Scratch
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {
    "step": {"type": "str", "choices": ["freeze", "archive", "compare"], "required": True},
    "position": {"type": "str", "default": ""},
    "frozen": {"type": "dict", "default": {}},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    run = runner(module)
    server = Server(run)
    results: dict[str, object] = {}
    try:
        scratch = Scratch(*deployed(run))
        if module.check_mode:
            pass
        elif options["step"] == "freeze":
            results["frozen"] = drill.freeze(server)
        elif options["step"] == "archive":
            drill.archive_up_to(server, options["position"], scratch)
        else:
            results["report"] = drill.recover(scratch, options["frozen"])
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **results)


if __name__ == "__main__":
    main()
