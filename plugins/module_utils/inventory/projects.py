# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which projects an inventory is made of, and how what was read of each becomes one. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.listing import Snapshot, label_selector
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import InventoryError

_KEYS = ("name", "token_variable", "environments")


@dataclass(frozen=True)
class Project:
    """A project and which of its servers are listed; ``name`` is empty where there is only the one."""

    name: str
    token: str | None = field(repr=False)
    selector: str


def projects_of(
    entries: Sequence[Mapping[str, object]], environ: Mapping[str, str], common_selector: str
) -> list[Project]:
    """The projects in the option ``projects``; raises InventoryError for one that cannot be meant."""
    projects = [_project(entry, environ, common_selector) for entry in entries]
    names = [project.name for project in projects]
    for name in names:
        if names.count(name) > 1:
            raise InventoryError(f"projects: {name} is there {names.count(name)} times.")
    return projects


def _project(entry: Mapping[str, object], environ: Mapping[str, str], common_selector: str) -> Project:
    unknown = sorted(set(entry) - set(_KEYS))
    if unknown:
        raise InventoryError(f"projects: there is no {', '.join(unknown)}; there are {', '.join(_KEYS)}.")
    name, variable, environments = (entry.get(key) for key in _KEYS)
    if not isinstance(name, str) or not name:
        raise InventoryError("projects: each needs a name, which messages call it by.")
    if not isinstance(variable, str) or not environ.get(variable):
        raise InventoryError(
            f"projects: the token of {name} is missing: name the environment variable that holds it as token_variable, "
            f"and set it ({variable or 'none is named'})."
        )
    listed = [] if environments is None else environments
    if not isinstance(listed, list) or not all(isinstance(environment, str) for environment in listed):
        raise InventoryError(f"projects: environments of {name} must be a list of names.")
    return Project(name, environ[variable], label_selector(listed, common_selector))


def merged(snapshots: Iterable[tuple[Project, Snapshot]]) -> Snapshot:
    """All that was read as one; ids are unique over all projects, names are not.

    Raises InventoryError for a server's name that is there twice, since Ansible would take the two for one host.
    """
    whole: Snapshot = {"taken": 0, "servers": [], "networks": {}}
    found: dict[str, str] = {}
    for project, snapshot in snapshots:
        for record in snapshot["servers"]:
            name = record["server"]["name"]
            if name in found:
                raise InventoryError(
                    f"There is a server {name} in project {found[name]} and in project {project.name}: narrow one down "
                    "by its environments, or use an inventory for each."
                )
            found[name] = project.name
        whole["servers"] += snapshot["servers"]
        whole["networks"] |= snapshot["networks"]
    return whole
