# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: units of systemd that run what their files say."""

from __future__ import annotations

DOCUMENTATION = r"""
module: running_units
short_description: See to it that units of systemd run as their files say
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Enables and starts units, and starts those anew whose files, or whose program, are newer than what runs. Whether a
    task has changed a file plays no part, so a run that was killed is made good by the next.
  - Ends when all of them run, and answer where they are asked to.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  units:
    description: Units that have to run.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit, with its ending.
        type: str
        required: true
      files:
        description: Absolute paths of the files it has read when it started, its own and drop-ins included.
        type: list
        elements: str
        default: []
      ready:
        description: URL on this host that answers when it is ready.
        type: str
        default: ""
      reloads:
        description: Whether a reload is enough for it to read its files again.
        type: bool
        default: false
  stopped:
    description: Names of units that must not run, where they are there.
    type: list
    elements: str
    default: []
  seconds:
    description: How long each may take to answer.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: See to it that node_exporter runs
  bulwark.hetzner.running_units:
    units:
      - name: prometheus-node-exporter.service
        files: [/etc/systemd/system/prometheus-node-exporter.service.d/bulwark.conf]
        ready: http://10.0.0.3:9100/
  become: true
"""

RETURN = r"""
steps:
  description: What was done and why, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: ["restart prometheus-node-exporter.service: its files are newer than what it has read"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.running_units import Unit, UnitError, Units

UNIT = {
    "name": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "str", "default": []},
    "ready": {"type": "str", "default": ""},
    "reloads": {"type": "bool", "default": False},
}
SPEC = {
    "units": {"type": "list", "elements": "dict", "required": True, "options": UNIT},
    "stopped": {"type": "list", "elements": "str", "default": []},
    "seconds": {"type": "int", "default": 30},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    units = [Unit(**entry) for entry in options["units"]]
    try:
        steps = Units(runner(module), options["seconds"]).settle(units, options["stopped"], module.check_mode)
    except (UnitError, OSError) as error:
        module.fail_json(msg=str(error))
    told = [f"{' '.join(filter(None, (step.verb, step.unit)))}: {step.why}" for step in steps]
    diff = {"before": "", "after": "".join(f"{line}\n" for line in told)}
    module.exit_json(changed=bool(steps), steps=told, diff=diff)


if __name__ == "__main__":
    main()
