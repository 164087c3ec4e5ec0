# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what the monitoring server sees of itself and all others."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_monitoring
short_description: Check that everything is watched, and that alerts would be told
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Runs on the monitoring server and asks Prometheus. All targets must be up, every server watched and no other, all
    rules healthy; the alert that always fires must fire; every member of the database must let the exporter in;
    Alertmanager, Grafana and Loki must be ready where they run.
  - An alert that fires is told and is no failure of a check.
  - Waits for what takes a moment after a start. Changes nothing. A check that does not hold is a result, not a failure
    of the module.
requirements:
  - Python 3.11 on the server
extends_documentation_fragment:
  - bulwark.hetzner.read_only
options:
  host:
    description: Name of the server in the results.
    type: str
    required: true
  address:
    description: Address on which Prometheus listens.
    type: str
    required: true
  servers:
    description: Names of all servers that must be watched.
    type: list
    elements: str
    required: true
  parts:
    description: What runs beside Prometheus, as the role C(monitoring_stack) names it.
    type: list
    elements: str
    default: [alertmanager, grafana, loki]
  left_out:
    description: Names of what is meant not to run in this environment, for the summary to say so.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait until all checks hold.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Look at the monitoring
  bulwark.hetzner.verify_monitoring:
    host: "{{ inventory_hostname }}"
    address: 10.0.0.8
    servers: [app-01, app-02, monitor-01]
    parts: [alertmanager]
"""

RETURN = r"""
checks:
  description: Every check that was made.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: What was checked.
      type: str
    host:
      description: O(host).
      type: str
    ok:
      description: Whether it holds.
      type: bool
    detail:
      description: What was seen.
      type: str
summary:
  description: Sentences about alerts that fire, and about what was left out.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import named
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.monitoring import Examiner, Expectations

SPEC = {
    "host": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "servers": {"type": "list", "elements": "str", "required": True},
    "parts": {"type": "list", "elements": "str", "default": ["alertmanager", "grafana", "loki"]},
    "left_out": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 60},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    expected = Expectations(options["address"], options["servers"], options["parts"], options["timeout"])
    results, told = Examiner(expected).examine()
    if options["left_out"]:
        told.append(f"Not run in this environment: {', '.join(options['left_out'])}.")
    module.exit_json(changed=False, checks=named(options["host"], results), summary=told)


if __name__ == "__main__":
    main()
