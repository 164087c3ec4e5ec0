# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a server that is as good as before."""

from __future__ import annotations

DOCUMENTATION = r"""
module: system_gate
short_description: Wait until a server is as good as it was before an upgrade
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Waits until systemd is through with its start, no unit has failed that had not before, all units and containers run
    that ran before, and all URLs answer. Changes nothing.
  - What is wrong in the end is a result, not a failure of the module.
options:
  before:
    description: RV(ignore:health) of M(bulwark.hetzner.system_state), as it was.
    type: dict
    default: {}
  urls:
    description: URLs on this host that have to answer.
    type: list
    elements: str
    default: []
  seconds:
    description: How long this may take.
    type: int
    default: 120
extends_documentation_fragment:
  - bulwark.hetzner.read_only
attributes:
  check_mode:
    description: Looks once and does not wait.
    support: full
"""

EXAMPLES = r"""
- name: Wait until it is as it was
  bulwark.hetzner.system_gate:
    before: "{{ system.health }}"
    urls: ["http://10.0.0.3:9100/metrics"]
  register: gate
  failed_when: gate.wrong | length > 0
  become: true
"""

RETURN = r"""
wrong:
  description: What is wrong, each as a clause; nothing where the server is good.
  returned: success
  type: list
  elements: str
  sample: ["prometheus-node-exporter.service failed"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.system_upgrade.state import gate

SPEC = {
    "before": {"type": "dict", "default": {}},
    "urls": {"type": "list", "elements": "str", "default": []},
    "seconds": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    seconds = 0 if module.check_mode else module.params["seconds"]
    module.exit_json(changed=False, wrong=gate(runner(module), module.params["before"], module.params["urls"], seconds))


if __name__ == "__main__":
    main()
