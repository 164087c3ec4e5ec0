#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a silence of Alertmanager."""

from __future__ import annotations

DOCUMENTATION = r"""
module: alertmanager_silence
short_description: Keep alerts back for a while
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes a silence in Alertmanager, or ends it. It is known by its comment, and it ends by itself.
  - Silences that somebody else has made are left alone.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  address:
    description: Where Alertmanager listens, as host and port, seen from the host that the module runs on.
    type: str
    required: true
  comment:
    description: What it is for. One with the same comment, made by this module, is the same silence.
    type: str
    required: true
  state:
    description: V(present) makes it where it is not as wanted. V(absent) ends it.
    type: str
    choices: [present, absent]
    default: present
  matchers:
    description:
      - Regular expressions by label. An alert is kept back when all of them fit whole values. Needed with V(present).
    type: dict
    default: {}
  minutes:
    description:
      - How long it holds from now on. One that ends earlier or later by more than a tenth of this is replaced, so that
        asking for it again prolongs it, and asking twice in a row changes nothing.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Keep back what is told of a server while it is worked on
  bulwark.hetzner.alertmanager_silence:
    address: 10.0.0.8:9093
    comment: maintenance of app-01
    matchers:
      instance: app-01
"""

RETURN = r"""
created:
  description: Whether a silence was made, or would be in check mode.
  returned: success
  type: bool
ended:
  description: Ids of the silences that were ended, or would be.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.silencing import SilenceError, Wanted, settle

SPEC = {
    "address": {"type": "str", "required": True},
    "comment": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "matchers": {"type": "dict", "default": {}},
    "minutes": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    params = module.params
    wanted = None
    if params["state"] == "present":
        if not params["matchers"]:
            module.fail_json(msg="matchers is missing: without one, every alert would be kept back.")
        if params["minutes"] < 1:
            module.fail_json(msg=f"minutes is {params['minutes']}; it must be at least 1.")
        wanted = Wanted(
            params["comment"], {key: str(value) for key, value in params["matchers"].items()}, params["minutes"]
        )
    try:
        plan = settle(params["address"], params["comment"], wanted, module.check_mode)
    except SilenceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=not plan.empty, created=plan.create, ended=plan.delete)


if __name__ == "__main__":
    main()
