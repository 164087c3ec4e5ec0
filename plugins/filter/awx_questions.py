# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: what a workflow of AWX asks."""

from __future__ import annotations

DOCUMENTATION = r"""
name: awx_questions
short_description: Questions of a workflow of AWX from those of its steps
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Lists what the job templates of a workflow ask, each question once. Not C(confirm), which the workflow answers
    itself behind its approval.
positional: _input, templates
options:
  _input:
    description: The workflow, as C(awx/workflows.yml) describes them.
    type: dict
    required: true
  templates:
    description: All job templates, as C(awx/job_templates.yml) describes them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what a workflow asks
  ansible.builtin.debug:
    msg: "{{ awx_workflows[0] | bulwark.hetzner.awx_questions(awx_job_templates) }}"
"""

RETURN = r"""
_value:
  description: The questions, as a survey of AWX holds them.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.awx.templates import TemplateError, workflow_questions


def _filter(workflow: Mapping[str, Any], templates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    try:
        return workflow_questions(workflow, templates)
    except TemplateError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., list[Mapping[str, Any]]]]:
        return {"awx_questions": _filter}
