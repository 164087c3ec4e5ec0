#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hcloud_access."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hcloud_access
short_description: See whether a token of Hetzner Cloud may do what an environment takes
version_added: 1.0.0
description:
  - Fails with a sentence where the token is not accepted, may only read, or belongs to a project in which a load
    balancer of somebody else has the name of ours.
  - Whether it may write is told by a creation that lacks everything it must have, which the API refuses as invalid for
    whoever may write. Nothing is changed.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.hcloud.action_group
  - bulwark.hetzner.read_only
options:
  environment_name:
    description: Name of the environment, by whose labels what is ours is known.
    type: str
    required: true
  load_balancer:
    description: Name that the load balancer is to have; nobody looks for it when omitted.
    type: str
"""

EXAMPLES = r"""
- name: Look at the project
  bulwark.hetzner.hcloud_access:
    environment_name: production
    load_balancer: rails-lb
"""

RETURN = r"""
ours:
  description: What the environment has already, as kind/name.
  returned: success
  type: list
  elements: str
others:
  description: What else is in the project.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.hcloud_access import check
from ..module_utils.hcloud_client import ARGUMENTS, APIException, ClientError, create_client, explain

SPEC = {
    **ARGUMENTS,
    "environment_name": {"type": "str", "required": True},
    "load_balancer": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    try:
        client = create_client(options["api_token"], options["api_endpoint"])
        found = check(client, options["environment_name"], options["load_balancer"])
    except (ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
