# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: which release of PostgreSQL a member runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_release
short_description: Look which release of PostgreSQL a server runs, and from which image
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Asks Docker and the server. Changes nothing.
options:
  image:
    description: Name of the image to compare with.
    type: str
    required: true
  seconds:
    description: How long each question may take before it counts as unanswered. V(0) waits.
    type: int
    default: 10
extends_documentation_fragment:
  - bulwark.hetzner.read_only
"""

EXAMPLES = r"""
- name: Look what runs
  bulwark.hetzner.postgres_release:
    image: postgres:17.12
  register: release
  become: true
"""

RETURN = r"""
release:
  description:
    - C(image), from which the container was made, and C(version), which the server tells; both empty where none runs.
    - C(current), whether the container was made from what the name O(image) stands for now.
  returned: success
  type: dict
  sample: {"image": "postgres:17.12", "version": "17.12", "current": true}
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.release import read
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

SPEC = {"image": {"type": "str", "required": True}, "seconds": {"type": "int", "default": 10}}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        found = read(runner(module, module.params["seconds"]), module.params["image"])
    except (PostgresError, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, release=asdict(found))


if __name__ == "__main__":
    main()
