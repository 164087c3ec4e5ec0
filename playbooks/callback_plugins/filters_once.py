# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback: loads the collection's filters once per run.

To find one filter of a collection, Ansible compiles and runs every file of its plugins/filter. Left to itself it does
so in each worker process, one per task and server, since nothing that a worker has loaded outlives it. What is
loaded before the first worker starts, each of them has.

It lies beside the playbooks for the reason that drift.py gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader

if TYPE_CHECKING:
    from ansible.playbook import Playbook

#: Whichever it is, Ansible loads all files.
ANY_FILTER = "bulwark.hetzner.host_rules"


class CallbackModule(CallbackBase):  # type: ignore[misc]  # because Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "filters_once"
    CALLBACK_NEEDS_ENABLED = False

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        filter_loader.get(ANY_FILTER)
