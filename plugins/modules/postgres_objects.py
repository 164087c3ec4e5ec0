# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: users, databases and replication slots of a PostgreSQL primary."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_objects
short_description: Users, databases and replication slots of a primary
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes what is missing and corrects what differs. Removes nothing that is not declared.
  - A password is checked against the verifier that the server has stored, and only set when it is another one. It goes
    to the server as a verifier, through standard input.
  - On a replica it does nothing, whatever is declared.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  users:
    description: Users who log in with a password.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      attributes:
        description: What the user may do besides. Those that are not named are taken away.
        type: list
        elements: str
        choices: [REPLICATION, CREATEDB]
        default: []
      groups:
        description: Roles whose rights the user has, such as V(pg_monitor).
        type: list
        elements: str
        default: []
      rewind:
        description: Whether the user may call what C(pg_rewind) needs of a server it reads from.
        type: bool
        default: false
      acts_as:
        description: Whom the user becomes by logging in, so that both own the same things. Empty for none.
        type: str
        default: ""
  passwords:
    description: The password of each of O(users), 12 or more printable ASCII characters.
    type: dict
    required: true
  databases:
    description: Databases and their owners, who are among O(users).
    type: dict
    default: {}
  slots:
    description: Physical replication slots.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make the application's user and its database
  bulwark.hetzner.postgres_objects:
    users:
      - name: rails_app
    passwords:
      rails_app: "{{ vault_rails_app_password }}"
    databases:
      rails_production: rails_app
  become: true
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode. No password and no verifier is in it.
  returned: always
  type: list
  elements: str
  sample: [make the database rails_production]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, Server
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.objects import (
    REWIND_FUNCTIONS,
    ObjectsError,
    User,
    apply,
    check,
    plan,
    read,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

USER = {
    "name": {"type": "str", "required": True},
    "attributes": {"type": "list", "elements": "str", "choices": ["REPLICATION", "CREATEDB"], "default": []},
    "groups": {"type": "list", "elements": "str", "default": []},
    "rewind": {"type": "bool", "default": False},
    "acts_as": {"type": "str", "default": ""},
}
SPEC = {
    "users": {"type": "list", "elements": "dict", "required": True, "options": USER},
    # By itself: the host's journal hides a secret option as a whole, but of one inside another only what it recognises,
    # and it does not recognise a password with quotes.
    "passwords": {"type": "dict", "required": True, "no_log": True},
    "databases": {"type": "dict", "default": {}},
    "slots": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    users = [
        User(
            user["name"],
            options["passwords"].get(user["name"], ""),
            tuple(user["attributes"]),
            tuple(user["groups"]),
            REWIND_FUNCTIONS if user["rewind"] else (),
            user["acts_as"],
        )
        for user in options["users"]
    ]
    server = Server(runner(module))
    try:
        check(users, options["databases"])
        changes = plan(read(server), users, options["databases"], options["slots"])
        if not module.check_mode:
            apply(server, changes)
    except (ObjectsError, PostgresError) as error:
        module.fail_json(msg=str(error))
    told = [change.told for change in changes]
    module.exit_json(
        changed=bool(told), changes=told, diff={"before": "", "after": "".join(f"{line}\n" for line in told)}
    )


if __name__ == "__main__":
    main()
