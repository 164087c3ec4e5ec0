# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: whether a member's logins work, and who uses one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_logins
short_description: Check that a database member logs in to its peers, and see who uses a login
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Logs in to each peer over TLS as C(replicator) and C(rewind), with the passwords and the authority that lie in this
    member's files, and fails with a sentence for each login that is refused.
  - With O(login), tells from where somebody is logged in under that name on this member, and checks nothing.
extends_documentation_fragment:
  - bulwark.hetzner.read_only
options:
  login:
    description: Name of a login to look for.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Look whether the members reach each other
  bulwark.hetzner.postgres_logins:
  become: true
"""

RETURN = r"""
addresses:
  description: From where somebody is logged in as O(login), without duplicates. Empty without O(login).
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, Server
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.logins import refused, sessions
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner


def main() -> None:
    module = AnsibleModule({"login": {"type": "str", "default": ""}}, supports_check_mode=True)
    server = Server(runner(module))
    login = module.params["login"]
    try:
        if login:
            module.exit_json(changed=False, addresses=sessions(server, login))
        wrong = refused(server)
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    if wrong:
        module.fail_json(
            msg=f"Logins between the members fail; repeat this run, which completes it. {'; '.join(wrong)}"
        )
    module.exit_json(changed=False, addresses=[])


if __name__ == "__main__":
    main()
