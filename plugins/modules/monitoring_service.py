# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: monitoring that runs what its files say."""

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_service
short_description: See to it that the monitoring runs as its files say
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Asks Docker and the programs themselves what differs from the files, and starts or reloads them for that alone.
    Whether a task has changed a file plays no part, so a run that was killed is made good by the next.
  - Prometheus, Alertmanager and blackbox_exporter read their files again without a restart.
  - Ends when everything is ready. A database that an exporter cannot ask is a warning.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  folder:
    description: Where C(compose.yml) and a folder for each part lie.
    type: str
    required: true
  project:
    description: Name of the project in C(compose.yml).
    type: str
    required: true
  services:
    description: Containers that have to run, as the filter P(bulwark.hetzner.monitoring_stack#filter) gives them.
    type: list
    elements: dict
    required: true
  grafana_password:
    description: Password of Grafana's administrator, set where it is another. Empty where there is no Grafana.
    type: str
    default: ""
  seconds:
    description: How long each program may take to be ready.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: See to it that what runs is what the files say
  bulwark.hetzner.monitoring_service:
    folder: "{{ stack.place.folder }}"
    project: "{{ stack.place.project }}"
    services: "{{ stack.services }}"
  become: true
"""

RETURN = r"""
steps:
  description: What was done and why, or the next step in check mode.
  returned: always
  type: list
  elements: str
  sample: ["reload bulwark-prometheus: its files are newer than what it has read"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.service import (
    Administrator,
    ServiceError,
    Stack,
    Step,
    services,
    summary,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {
    "folder": {"type": "str", "required": True},
    "project": {"type": "str", "required": True},
    "services": {"type": "list", "elements": "dict", "required": True},
    "grafana_password": {"type": "str", "default": "", "no_log": True},
    "seconds": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    declared = services(options["services"])
    stack = Stack(runner(module), options["folder"], options["project"], declared, options["seconds"])
    try:
        steps = stack.settle(module.check_mode)
        for grafana in (service for service in declared if service.part == "grafana"):
            password = options["grafana_password"]
            if Administrator(stack.run, stack.web, grafana.url, grafana.name, password).settle(module.check_mode):
                steps.append(Step("password", grafana.name, "its administrator had another"))
    except (ServiceError, OSError) as error:
        module.fail_json(msg=str(error))
    if not module.check_mode:
        for note in stack.unreachable():
            module.warn(note)
    told = summary(steps)
    module.exit_json(changed=bool(steps), steps=told.splitlines(), diff={"before": "", "after": told})


if __name__ == "__main__":
    main()
