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
    - C(fenced) and C(standby), whether the marks are there; C(running); C(in_recovery), V(true) on a replica;
      C(timeline) and C(system_identifier); C(receiving), whether it receives from a primary; C(replicas), the names of
      those that follow it.
    - C(pending_restart), names of settings that wait for a restart; C(certificate) and C(request) in PEM form;
      C(memory_mb), C(cores); C(missing), packages that the host still needs.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, deployed, image
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.state import read

SPEC = {"image": {"type": "str", "default": ""}, "major": {"type": "int", "default": 0}}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module)
    name, major = module.params["image"], module.params["major"]
    try:
        state = read(run, *((image(run, name, major), major) if name else deployed(run)))
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, state=state)


if __name__ == "__main__":
    main()
