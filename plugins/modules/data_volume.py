# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a volume for data, mounted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: data_volume
short_description: Format a volume once, mount it, and grow it
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes an XFS file system on a volume that holds nothing at all, and never on another one.
  - Mounts it at every boot through a unit of its own. A boot without the volume goes on; what needs the volume should
    require the unit.
  - Grows the file system while it is in use when its device is larger.
  - A volume with an XFS file system, such as one that was attached to another server before, is mounted as it is.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  device:
    description: Absolute path of the device, best one below C(/dev/disk/by-id), which stays the same.
    type: str
    required: true
  path:
    description: Absolute path to mount it at. The unit is named after it, C(bulwark-volume-var-lib-postgresql.service).
    type: str
    required: true
  owner:
    description: Number of the user and of the group that own the root of the volume.
    type: int
    default: 0
  mode:
    description: Permissions of the root of the volume in octal.
    type: str
    default: "0755"
  format:
    description: Whether an empty volume is formatted. If not, one is left alone.
    type: bool
    default: true
requirements:
  - xfsprogs on the host
"""

EXAMPLES = r"""
- name: Mount the database's volume
  bulwark.hetzner.data_volume:
    device: /dev/disk/by-id/scsi-0HC_Volume_4711
    path: /var/lib/postgresql
    owner: 999
    mode: "0700"
  become: true
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [mount /dev/disk/by-id/scsi-0HC_Volume_4711 on /var/lib/postgresql]
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.volume import (
    VolumeError,
    Wanted,
    apply,
    plan,
    read,
)

SPEC = {
    "device": {"type": "str", "required": True},
    "path": {"type": "str", "required": True},
    "owner": {"type": "int", "default": 0},
    "mode": {"type": "str", "default": "0755"},
    "format": {"type": "bool", "default": True},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module)
    for name in ("device", "path"):
        if not re.fullmatch(r"(/[A-Za-z0-9._:+-]+)+", module.params[name]):
            module.fail_json(msg=f'{name} is "{module.params[name]}"; it must be an absolute path of plain characters.')
    wanted = Wanted(
        module.params["device"],
        module.params["path"],
        module.params["owner"],
        int(module.params["mode"], 8),
        module.params["format"],
    )
    try:
        steps = plan(wanted, read(wanted, run))
        if steps and not module.check_mode:
            apply(wanted, steps, run)
            # One that has just been mounted may be smaller than its device.
            more = plan(wanted, read(wanted, run))
            apply(wanted, more, run)
            steps += more
    except (VolumeError, OSError) as error:
        module.fail_json(msg=str(error))
    told = [step.told for step in steps]
    module.exit_json(
        changed=bool(steps), steps=told, diff={"before": "", "after": "".join(f"{line}\n" for line in told)}
    )


if __name__ == "__main__":
    main()
