# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the monitoring's files, put in place when the programs that read them accept them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring_files
short_description: Put the monitoring's files in place, all or none
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes the files in a folder exactly what is declared; others there are removed.
  - Where something differs, all files are first laid out beside their places and given to the programs that will read
    them, each in its own image. If one refuses them, nothing is changed, and what runs goes on as it was.
  - A new login to the database is tried before it takes the place of the old one. A member that does not answer is a
    warning; one that refuses the login is a failure.
  - The filter P(bulwark.hetzner.monitoring_stack#filter) gives all options.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  place:
    description:
      - C(folder), where the files go; C(project), to which the containers belong; C(mounts) and C(users), where each
        container sees its part, and as whom.
    type: dict
    required: true
  files:
    description: Files, each with C(path) below the folder, C(content) and C(mode).
    type: list
    elements: dict
    required: true
  secrets:
    description: Contents of secret files by their paths. Each is its container's user's alone.
    type: dict
    default: {}
  folders:
    description: Folders, each with C(path), C(mode) and C(owner), which is a number.
    type: list
    elements: dict
    required: true
  images:
    description: Images that must be there, or be had, before anything is changed.
    type: list
    elements: str
    default: []
  checks:
    description: Programs that have to accept the files, each with C(part), C(image), C(words) and C(refuses).
    type: list
    elements: dict
    default: []
  trials:
    description: Logins to try, each with C(member), C(image) and C(environment).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Put the files in place
  bulwark.hetzner.monitoring_files:
    place: "{{ stack.place }}"
    files: "{{ stack.files }}"
    secrets: "{{ stack.secrets }}"
    folders: "{{ stack.folders }}"
    checks: "{{ stack.checks }}"
  become: true
"""

RETURN = r"""
paths:
  description: Paths that were changed, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils import config_files
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.placing import (
    Login,
    Place,
    check,
    clear,
    entries,
    fetch,
    plan,
    staged,
    touched,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Web
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

EXPORTER = "postgres_exporter"
COMPOSE = "compose.yml"
SPEC = {
    "place": {"type": "dict", "required": True},
    "files": {"type": "list", "elements": "dict", "required": True},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "folders": {"type": "list", "elements": "dict", "required": True},
    "images": {"type": "list", "elements": "str", "default": []},
    "checks": {"type": "list", "elements": "dict", "default": []},
    "trials": {"type": "list", "elements": "dict", "default": []},
}


class QuietModule(AnsibleModule):  # type: ignore[misc]  # because Ansible has no types
    """A module that keeps its options, secrets among them, out of the host's journal."""

    def _log_invocation(self) -> None:
        pass


def no_checks(words: object) -> tuple[int, str]:
    """What config_files would run for each file by itself; all of them have been checked together."""
    raise AssertionError(words)


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    run = runner(module)
    place = Place(**options["place"])
    try:
        declared = entries(place, options["files"], options["secrets"], options["folders"])
        changes = plan(place, declared)
        if not module.check_mode:
            clear(place)
        if changes and not module.check_mode:
            parts = touched(place, changes)
            if COMPOSE in parts:
                # Other versions may think otherwise of the same files.
                fetch(run, options["images"])
                parts |= {entry["part"] for entry in options["checks"]}
            with staged(place, declared) as folder:
                check(run, place, folder, options["checks"], parts)
                if parts & {EXPORTER, COMPOSE}:
                    for note in Login(run, Web(), place).attempt(folder, EXPORTER, options["trials"]):
                        module.warn(note)
            config_files.apply(changes, no_checks)
    except (RefusedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), paths=[change.path for change in changes], diff=config_files.diff(changes))


if __name__ == "__main__":
    main()
