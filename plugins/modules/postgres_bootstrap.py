# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the first data of a member of a PostgreSQL pair."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_bootstrap
short_description: Make a new database, or copy the primary
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Does nothing where a database is.
  - A new one is only made when every other member was reached and none holds data.
  - Data is made beside its place and moved there when it is complete. What a run left that was killed is made anew.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  origin:
    description: V(initdb) for a new database, V(copy) for a copy of whichever other member is primary.
    type: str
    choices: [initdb, copy]
    required: true
  member:
    description: Name of this member.
    type: str
    required: true
  others:
    description: >-
      The registered results of M(bulwark.hetzner.postgres_state) in a loop over the other members, for
      O(origin=initdb). Each has C(item.name), and C(state) or C(unreachable).
    type: list
    elements: dict
    default: []
  addresses:
    description: Addresses of the other members, for O(origin=copy).
    type: list
    elements: str
    default: []
  conninfo:
    description: How to log in to them. No password belongs in here.
    type: str
    default: ""
  slot:
    description: Name of this member's replication slot.
    type: str
    default: ""
  backup:
    description: Whether backups are kept, in which case a new database is only made while there are none.
    type: bool
    default: false
  image:
    description: Image of PostgreSQL.
    type: str
    required: true
  major:
    description: Its major version.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Make a new database on a server that has no peers
  bulwark.hetzner.postgres_bootstrap:
    origin: initdb
    member: db-primary
    image: postgres:17
    major: 17
  become: true
"""

RETURN = r"""#"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import bootstrap
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, image
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import alone
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.state import judge, read_disk

SPEC = {
    "origin": {"type": "str", "choices": ["initdb", "copy"], "required": True},
    "member": {"type": "str", "required": True},
    "others": {"type": "list", "elements": "dict", "default": []},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "conninfo": {"type": "str", "default": ""},
    "slot": {"type": "str", "default": ""},
    "backup": {"type": "bool", "default": False},
    "image": {"type": "str", "required": True},
    "major": {"type": "int", "required": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    major = options["major"]
    postgres = image(runner(module), options["image"], major)
    try:
        with alone():
            data, what = judge(read_disk(), major)
            if data == "foreign":
                raise PostgresError(f"/var/lib/postgresql holds {what}: it stays as it is.")
            if data == "none" and options["origin"] == "initdb":
                bootstrap.may_create(options["member"], options["others"])
                if options["backup"]:
                    bootstrap.must_be_unused(postgres)
                if not module.check_mode:
                    bootstrap.create(postgres, major)
            elif data == "none" and not module.check_mode:
                source = bootstrap.Source(tuple(options["addresses"]), options["conninfo"], options["slot"])
                bootstrap.copy(postgres, major, source)
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    told = (
        ""
        if data == "present"
        else f"{'a new database' if options['origin'] == 'initdb' else 'a copy of the primary'}\n"
    )
    module.exit_json(changed=bool(told), diff={"before": "", "after": told})


if __name__ == "__main__":
    main()
