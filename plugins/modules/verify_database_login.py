# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: whether a server of the application reaches the database, and only as it should."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_database_login
short_description: Check that a server logs in to the database as it should, and not otherwise
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Runs on a server as root and logs in with C(psql), as the account that uses it and by the services that the role
    C(database_client) has made. Every database for writing must lead to the primary, and for reading to a replica.
  - Logins without TLS and with a wrong password must be refused. Each leaves a line in the database's log.
  - A check that does not hold is a result, not a failure of the module.
requirements:
  - Python 3.11 and C(psql) on the server
extends_documentation_fragment:
  - bulwark.hetzner.read_only
options:
  host:
    description: Name of the server in the results.
    type: str
    required: true
  account:
    description: Account on the server that uses C(psql).
    type: str
    default: deployer
  user:
    description: Whom the database should know it as.
    type: str
    default: rails_app
  databases:
    description: Names of the databases, at least one. Services have the same names, those for reading with C(_read).
    type: list
    elements: str
    required: true
  replicas:
    description: Whether there is a replica, to which reading leads.
    type: bool
    default: true
  timeout:
    description: Seconds to wait for each member.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Look whether the application reaches its database
  bulwark.hetzner.verify_database_login:
    host: "{{ inventory_hostname }}"
    databases: [rails_production]
  become: true
"""

RETURN = r"""
checks:
  description: Every check that was made.
  returned: always
  type: list
"""

import pwd

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import named
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.database_login import Logins, examine

SPEC = {
    "host": {"type": "str", "required": True},
    "account": {"type": "str", "default": "deployer"},
    "user": {"type": "str", "default": "rails_app"},
    "databases": {"type": "list", "elements": "str", "required": True},
    "replicas": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 5},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    if not options["databases"]:
        module.fail_json(msg="databases is empty: name at least one that can be logged in to.")
    try:
        home = pwd.getpwnam(options["account"]).pw_dir
    except KeyError:
        module.fail_json(msg=f"There is no account {options['account']} on this host.")
    logins = Logins(home=home, **{name: value for name, value in options.items() if name != "host"})
    module.exit_json(changed=False, checks=named(options["host"], examine(runner(module), logins)))


if __name__ == "__main__":
    main()
