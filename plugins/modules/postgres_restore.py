# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a database from its backups, beside the one that runs, and then in its place."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_restore
short_description: Recover a database from object storage
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - O(step=recover) recovers beside the database that runs, which is not touched and goes on.
  - O(step=finish) forgets about it, once all members have it.
  - O(step=activate) stops the server, moves the recovered database in its place and starts it. What was there before
    stays
    on the volume as C(replaced) beside it, until the next restore.
  - Whatever a run leaves that was killed, the same steps made again complete. Until then another target is refused.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  step:
    description: What to do.
    type: str
    choices: [recover, activate, finish]
    required: true
  target:
    description: >-
      V(latest) for everything that is archived; V(time), V(xid), V(name) and V(lsn) up to O(value); V(immediate) for
      the end of the
      backup.
    type: str
    choices: [latest, time, xid, name, lsn, immediate]
    default: latest
  value:
    description: >-
      A time with its zone (C(2026-11-26 14:05:00+00)), the number of a transaction, the name that
      C(pg_create_restore_point)
      was given, or a position in the WAL. The state includes the transaction or point, and ends before the position.
    type: str
    default: ""
  backup:
    description: >-
      Label of the backup to start from. Empty takes the newest that fits, which for V(xid) and V(name) is the newest
      of all.
    type: str
    default: ""
  timeline:
    description: Which history to follow where there are several, V(latest), V(current) (the backup's), or its number.
    type: str
    default: latest
"""

EXAMPLES = r"""
- name: Recover to before the accident
  bulwark.hetzner.postgres_restore:
    step: recover
    target: time
    value: "2026-11-26 14:05:00+00"
  become: true
"""

RETURN = r"""
recovered_to:
  description: When the newest recovered transaction was committed, in UTC; empty when the WAL held none.
  returned: success
  type: str
timeline:
  description: Number of the history that began with this recovery.
  returned: success
  type: int
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import installed
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, Runner, deployed
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import Local, alone
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.recovery import KINDS, Scratch, Target, check
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.service import Service

SPEC = {
    "step": {"type": "str", "choices": ["recover", "activate", "finish"], "required": True},
    "target": {"type": "str", "choices": list(KINDS), "default": "latest"},
    "value": {"type": "str", "default": ""},
    "backup": {"type": "str", "default": ""},
    "timeline": {"type": "str", "default": "latest"},
}
#: Seconds that the restored database may take to start.
START_SECONDS = 600


def activate(run: Runner, scratch: Scratch) -> dict[str, Any]:
    """Put what was recovered in place, and start it. Raises PostgresError when it stays down."""
    mark = scratch.mark()
    if mark is None:
        raise PostgresError("Nothing has been recovered that could be put in place: recover first.")
    here = Local(run, installed.read(run), START_SECONDS)
    if mark["phase"] != "placed":
        here.stop()
        scratch.put_in_place(mark)
    # Of the data that lay here before.
    here.unfence()
    _, held = Service(run, START_SECONDS).settle(False)
    if held:
        raise PostgresError(f"The restored database stays down: {held}.")
    return mark


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    options = module.params
    run = runner(module)
    target = Target(options["target"], options["value"], options["backup"], options["timeline"])
    facts: dict[str, Any] = {"recovered_to": "", "timeline": 0}
    changed = True
    try:
        check(target)
        scratch = Scratch(*deployed(run))
        if options["step"] == "finish":
            changed = scratch.mark() is not None if module.check_mode else scratch.finish()
        elif not module.check_mode:
            with alone():
                facts = scratch.recover(target) if options["step"] == "recover" else activate(run, scratch)
    except (PostgresError, OSError) as error:
        module.fail_json(msg=str(error))
    told = f"{options['step']}: {target.kind} {target.value}".rstrip() + "\n" if changed else ""
    module.exit_json(
        changed=changed,
        recovered_to=facts["recovered_to"],
        timeline=facts["timeline"],
        diff={"before": "", "after": told},
    )


if __name__ == "__main__":
    main()
