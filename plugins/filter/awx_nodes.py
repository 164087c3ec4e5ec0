# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: steps of workflows as AWX's nodes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: awx_nodes
short_description: Nodes of AWX's workflows from their steps
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes of workflows, as C(awx/workflows.yml) describes them, the nodes that
    C(awx.awx.workflow_job_template_node) takes. Each leads to the next of its workflow.
positional: _input, environment, source
options:
  _input:
    description: The workflows, each with C(name) and C(steps).
    type: list
    elements: dict
    required: true
  environment:
    description: Name of the environment, with which the names of all templates begin.
    type: str
    required: true
  source:
    description: Name of the inventory's source, without the environment's.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the nodes of a workflow
  ansible.builtin.debug:
    msg: "{{ workflows | bulwark.hetzner.awx_nodes('production', 'servers') }}"
  vars:
    workflows:
      - name: move
        steps:
          - approval: The primary moves
          - run: switchover
            confirm: true
"""

RETURN = r"""
_value:
  description:
    - For each step C(workflow) (its name), C(identifier), C(template) (name of the job template or inventory source,
      null for an approval), C(approval) (C(name) and C(description), null for others), C(extra_data),
      C(success_nodes) and C(always_nodes).
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..module_utils.awx.templates import Node, nodes


def _filter(workflows: Sequence[Mapping[str, Any]], environment: str, source: str) -> list[Node]:
    return nodes(workflows, environment, source)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[Node]]]:
        return {"awx_nodes": _filter}
