# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what a member of a PostgreSQL pair is right now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_state
short_description: Ask whether a server is primary, replica, or without a database
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Reads the volume, the files and, when it runs, the server. Changes nothing.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  image:
    description: >-
      Image of PostgreSQL, only used for a database that does not run. Empty takes what the role has set up, here and
      for O(major).
    type: str
    default: ""
  major:
    description: Major version that the database should have.
    type: int
    default: 0
  seconds:
    description: >-
      How long each question may take before it counts as unanswered, for servers that may be in trouble. V(0) waits.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Ask
  bulwark.hetzner.postgres_state:
    image: postgres:17
    major: 17
  register: state
  become: true
"""

RETURN = r"""
state:
  description:
    - C(data), which is V(none), V(present) or V(foreign), the latter with what it is in C(foreign).
    - C(fenced) and C(standby), whether the marks are there; C(recovered), whether a restore has begun to replace it
      and has not ended;
      C(firewalled), whether the firewall's fence is; C(engine),
      whether Docker answers, C(container), whether the container runs, and C(running), whether PostgreSQL answers;
      C(in_recovery), V(true) on a replica; C(timeline) and C(system_identifier); C(position), how many bytes of WAL it
      has; C(shutdown), what the control file says of a server that does not run.
    - C(receiving), whether it streams from a primary; C(replayed_seconds_ago), the age of the last transaction it got;
      C(replicas), the names of those that follow it, and C(lag), by name, how many
      bytes they have not replayed; C(paused), whether a replica's replay waits.
    - C(pending_restart), names of settings that wait for a restart; C(certificate) and C(request) in PEM form;
      C(memory_mb), C(cores); C(free_mb), room where the data lies; C(missing), packages that the host still needs.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import (
    NotSetUpError,
    PostgresError,
    deployed,
    image,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.state import read

SPEC = {
    "image": {"type": "str", "default": ""},
    "major": {"type": "int", "default": 0},
    "seconds": {"type": "int", "default": 0},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module, module.params["seconds"])
    name, major = module.params["image"], module.params["major"]
    try:
        try:
            looked_at = (image(run, name, major), major) if name else deployed(run)
        except NotSetUpError:
            looked_at = (image(run, "", 0), 0)  # it can hold nothing that is ours
        state = read(run, *looked_at)
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, state=state)


if __name__ == "__main__":
    main()
