# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what a member of a PostgreSQL pair can check of itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_database
short_description: Check from inside a database server what the architecture promises
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Runs on a member as root and looks at what it is, who follows whom, who can log in, its settings, its archive, and
    the certificate that it shows to clients.
  - Writes one row on a primary, in the table C(bulwark.verification) of the database C(postgres), where it replaces
    that of
    the run before; and waits for it on a replica. That is no state of the system and no change, and check mode
    leaves it out.
  - A check that does not hold is a result, not a failure of the module.
requirements:
  - Python 3.11 on the server
extends_documentation_fragment:
  - bulwark.hetzner.read_only
attributes:
  check_mode:
    description: Does the same but for the row, which it neither writes nor waits for.
    support: full
options:
  host:
    description: Name of the server in the results.
    type: str
    required: true
  member:
    description: Which of O(members) this host is.
    type: str
    required: true
  members:
    description: All members, this one included, each with C(name) and C(address).
    type: list
    elements: dict
    required: true
  major:
    description: Major version that PostgreSQL should have; 0 if that is not to be looked at.
    type: int
    default: 0
  users:
    description: Who can log in, beside the superuser through the local socket.
    type: list
    elements: str
    default: [metrics, rails_app, replicator, rewind]
  databases:
    description: Databases and their owners.
    type: dict
    default: {}
  token:
    description: What the row holds, letters and digits, the same for all members of a run. Without it there is no row.
    type: str
  part:
    description:
      - V(all) makes every check, and on a primary writes the row.
      - V(row) only waits for the row, on a replica. It comes when V(all) is through on all members.
    type: str
    choices: [all, row]
    default: all
  certificate_days:
    description: Days for which the certificate must still be good.
    type: int
    default: 14
  archive_seconds:
    description: Seconds that a segment may wait to be archived.
    type: int
    default: 900
  timeout:
    description: Seconds to wait for replication, for the row, and for an answer.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Look at a database server
  bulwark.hetzner.verify_database:
    host: "{{ inventory_hostname }}"
    member: db-primary
    members:
      - {name: db-primary, address: 10.0.0.6}
      - {name: db-replica, address: 10.0.0.7}
    major: 17
    databases: {rails_production: rails_app}
  become: true
"""

RETURN = r"""
checks:
  description: Every check that was made.
  returned: always
  type: list
role:
  description: What the member is, V(primary) or V(replica), empty when it does not answer.
  returned: when O(part=all)
  type: str
members:
  description: Names of O(members).
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import named
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.database import ROW, Examiner, Expectations

SPEC = {
    "host": {"type": "str", "required": True},
    "member": {"type": "str", "required": True},
    "members": {"type": "list", "elements": "dict", "required": True},
    "major": {"type": "int", "default": 0},
    "users": {"type": "list", "elements": "str", "default": ["metrics", "rails_app", "replicator", "rewind"]},
    "databases": {"type": "dict", "default": {}},
    "token": {"type": "str", "no_log": False},
    "part": {"type": "str", "choices": ["all", "row"], "default": "all"},
    "certificate_days": {"type": "int", "default": 14},
    "archive_seconds": {"type": "int", "default": 900},
    "timeout": {"type": "int", "default": 10},
}
EXPECTED = ("member", "major", "users", "databases", "certificate_days", "archive_seconds", "timeout")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    members = {str(entry.get("name")): str(entry.get("address")) for entry in options["members"]}
    if options["member"] not in members:
        module.fail_json(msg=f"members does not list {options['member']}, on which this runs: add it with its address.")
    expected = Expectations(members=members, **{name: options[name] for name in EXPECTED})
    examiner = Examiner(runner(module), expected)
    token = "" if module.check_mode else options["token"] or ""
    if options["part"] == "row":
        results = [(ROW, examiner.read_row(token))] if token else []
        module.exit_json(changed=False, checks=named(options["host"], results), members=list(members))
    results, role = examiner.examine()
    if token and role == "primary":
        results.append((ROW, examiner.write_row(token)))
    module.exit_json(changed=False, checks=named(options["host"], results), role=role, members=list(members))


if __name__ == "__main__":
    main()
