# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: Grafana Alloy's configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
name: alloy_configuration
short_description: Configuration of Grafana Alloy that sends a server's logs to Loki
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - The journal, and where there is Docker the output of all containers, each line with the labels that are given and
    the unit or the container it comes from.
positional: _input
options:
  _input:
    description: Labels of every line, such as C(host), C(role) and C(env).
    type: dict
    required: true
  loki:
    description: Address and port of Loki.
    type: str
    required: true
  containers:
    description: Whether to read the output of containers.
    type: bool
    required: true
"""

EXAMPLES = r"""
- name: Show it
  ansible.builtin.debug:
    msg: "{{ labels | bulwark.hetzner.alloy_configuration(loki='10.0.0.8:3100', containers=true) }}"
  vars:
    labels: {host: app-01, role: app}
"""

RETURN = r"""
_value:
  description: The content of C(config.alloy).
  type: str
"""

from collections.abc import Callable, Mapping

from ansible.errors import AnsibleFilterError

from ..module_utils.monitoring.alloy import configuration
from ..module_utils.monitoring.declared import MonitoringError


def _filter(labels: Mapping[str, str], loki: str, containers: bool) -> str:
    try:
        return configuration(str(loki), {str(name): str(value) for name, value in labels.items()}, bool(containers))
    except MonitoringError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"alloy_configuration": _filter}
