# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the place in object storage where a PostgreSQL server's backups and WAL go."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_repository
short_description: Have a place for backups, with one backup in it
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - On the primary, makes the place for its backups where there is none, sees that a segment of WAL arrives there, and
    makes a first full backup where there is none. On a replica it does nothing.
  - A place that holds another database's backups is left alone, and refused.
  - The running server is not touched, whatever the object storage says.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  backup:
    description: >-
      Make this backup now, besides what is missing; V(diff) holds what has changed since the last full one. Empty
      makes none.
    type: str
    choices: ["", full, diff]
    default: ""
"""

EXAMPLES = r"""
- name: Have a place for backups
  bulwark.hetzner.postgres_repository:
  become: true
"""

RETURN = r"""
primary:
  description: Whether this server runs as primary.
  returned: always
  type: bool
steps:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
backups:
  description: Labels of the backups that are there, oldest first. In check mode, those that were.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, Server
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.repository import STEPS, plan, query
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {"backup": {"type": "str", "choices": ["", "full", "diff"], "default": ""}}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    server = Server(runner(module))
    steps: list[str] = []
    backups: tuple[str, ...] = ()
    try:
        here = server.ask(
            "SELECT json_build_object('replica', pg_is_in_recovery(),"
            " 'system', (SELECT system_identifier::text FROM pg_control_system()));"
        )
        if not here["replica"]:
            found = query(server)
            backups = found.backups
            steps = plan(found, here["system"], module.params["backup"])
            if steps and not module.check_mode:
                for step in steps:
                    STEPS[step](server)
                backups = query(server).backups
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": "", "after": "".join(f"{step}\n" for step in steps)}
    module.exit_json(changed=bool(steps), primary=not here["replica"], steps=steps, backups=list(backups), diff=diff)


if __name__ == "__main__":
    main()
