# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what an operating system waits for, and how it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: system_state
short_description: Look which updates a server waits for, and how it is
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Looks what an upgrade of all packages would install, whether the server has to be restarted, and what runs.
  - A server has to be restarted when a package has asked for it, a newer kernel is installed than runs, or services
    still run programs or libraries that were replaced.
  - Changes nothing but, with O(refresh), apt's lists.
options:
  refresh:
    description: Whether apt's lists are fetched first. Never in check mode.
    type: bool
    default: true
  lock_seconds:
    description: How long to wait for another program that fetches them.
    type: int
    default: 300
  reboot:
    description: When a server is to be restarted, for RV(restart).
    type: str
    choices: [required, always]
    default: required
  fresh_seconds:
    description: >-
      With O(reboot=always), a server that was booted less than so many seconds ago counts as done, so that a run can be
      repeated.
    type: int
    default: 3600
  touched:
    description: Whether packages have just been installed, after which no server counts as done.
    type: bool
    default: false
attributes:
  check_mode:
    description: Looks at the lists that are there.
    support: full
  diff_mode:
    description: Has no difference to show.
    support: none
  idempotent:
    description: Never changes anything that counts.
    support: full
"""

EXAMPLES = r"""
- name: Look
  bulwark.hetzner.system_state:
  register: system
  become: true
"""

RETURN = r"""
state:
  description:
    - C(pending), packages that an upgrade would install; C(unfinished), whether an upgrade was cut off; C(reboot), why
      the server has to be restarted; C(up_seconds), how long ago it was booted.
  returned: success
  type: dict
restart:
  description: Why the server is to be restarted, after the upgrade if one waits; empty where it is not.
  returned: success
  type: list
  elements: str
  sample: ["an update asks for it"]
health:
  description:
    - C(system), what systemd says of the whole; C(failed), units; of units that a boot starts, C(units) that run and
      C(down) that do not; C(containers), names of running containers that Docker starts again.
    - What M(bulwark.hetzner.system_gate) compares with.
  returned: success
  type: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.system_upgrade.state import (
    UpgradeError,
    health,
    read,
    refresh,
    restart,
)

SPEC = {
    "refresh": {"type": "bool", "default": True},
    "lock_seconds": {"type": "int", "default": 300},
    "reboot": {"type": "str", "choices": ["required", "always"], "default": "required"},
    "fresh_seconds": {"type": "int", "default": 3600},
    "touched": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    run = runner(module)
    try:
        if module.params["refresh"] and not module.check_mode:
            refresh(run, module.params["lock_seconds"])
        state, found = read(run), health(run)
    except (UpgradeError, OSError) as error:
        module.fail_json(msg=str(error))
    options = module.params
    touched = options["touched"] or bool(state.pending) or state.unfinished
    module.exit_json(
        changed=False,
        state=asdict(state),
        restart=restart(state, options["reboot"], options["fresh_seconds"], touched),
        health=asdict(found),
    )


if __name__ == "__main__":
    main()
