# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files in awx/ say, as the modules of the collection awx.awx take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

CONFIRM = "confirm"
INVENTORY = "inventory"


class TemplateError(ValueError):
    """The data are wrong; the message says where."""


def full_name(environment: str, name: str) -> str:
    """Name of an object in AWX. It carries the environment's, since AWX may have several of them."""
    return f"{environment}: {name}"


def workflow_questions(workflow: Mapping[str, Any], templates: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a workflow asks: every question of its steps, once, but for the confirmation.

    Raises TemplateError where a step names no job template.
    """
    known = {template["name"]: template for template in templates}
    asked: dict[str, Mapping[str, Any]] = {}
    for step in workflow["steps"]:
        if "approval" in step or step["run"] == INVENTORY:
            continue
        if step["run"] not in known:
            raise TemplateError(f'The workflow "{workflow["name"]}" runs "{step["run"]}", which is no job template.')
        for question in known[step["run"]].get("survey", []):
            if question["variable"] != CONFIRM:
                asked.setdefault(question["variable"], question)
    return list(asked.values())


class Node(TypedDict):
    """A step as the module awx.awx.workflow_job_template_node takes it; null or empty for what does not apply."""

    workflow: str
    identifier: str
    template: str | None
    approval: dict[str, str] | None
    extra_data: dict[str, str]
    success_nodes: list[str]
    always_nodes: list[str]


def nodes(workflows: Sequence[Mapping[str, Any]], environment: str, source: str) -> list[Node]:
    """The steps of all workflows as nodes of which each leads to the next of its workflow.

    environment is its name, and source the name of the inventory's source without it.
    """
    return [node for workflow in workflows for node in _nodes(workflow, environment, source)]


def _nodes(workflow: Mapping[str, Any], environment: str, source: str) -> list[Node]:
    names = [f"{number} {step.get('run', 'approval')}" for number, step in enumerate(workflow["steps"], start=1)]
    made: list[Node] = []
    for name, step in zip(names, workflow["steps"], strict=True):
        if made:
            always = step.get("after") == "always"
            made[-1]["always_nodes" if always else "success_nodes"] = [name]
        node: Node = {
            "workflow": full_name(environment, workflow["name"]),
            "identifier": name,
            "template": None,
            "approval": None,
            "extra_data": {CONFIRM: environment} if step.get(CONFIRM) else {},
            "success_nodes": [],
            "always_nodes": [],
        }
        if "approval" in step:
            node["approval"] = {"name": f"{node['workflow']}: {name}", "description": step["approval"]}
        else:
            node["template"] = full_name(environment, source if step["run"] == INVENTORY else step["run"])
        made.append(node)
    return made
