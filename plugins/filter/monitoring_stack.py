# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: everything that the monitoring server's containers need, from plain data."""

from __future__ import annotations

DOCUMENTATION = r"""
name: monitoring_stack
short_description: Files and containers of the monitoring server
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Renders the configuration of Prometheus, Alertmanager, the exporters, Grafana and Loki, and the compose file, and
    refuses what cannot be, each with a sentence that says what to correct.
positional: _input
options:
  _input:
    description: The variables of the role P(bulwark.hetzner.monitoring_stack#role), without their prefix.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what would be asked for metrics
  ansible.builtin.debug:
    msg: "{{ (variables | bulwark.hetzner.monitoring_stack).files | map(attribute='path') }}"
"""

RETURN = r"""
_value:
  description:
    - C(files) with C(path), C(content), C(mode) and C(owner); C(folders); C(checks), programs that have to accept the
      files; C(services), containers that have to run; C(trials), logins to try. Contents may be secret.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.monitoring.declared import MonitoringError, read
from ..module_utils.monitoring.stack import Stack, stack


def _filter(variables: Mapping[str, Any]) -> Stack:
    try:
        return stack(read(variables))
    except MonitoringError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Stack]]:
        return {"monitoring_stack": _filter}
