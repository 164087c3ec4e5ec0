# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the results of a verification to one report."""

from __future__ import annotations

DOCUMENTATION = r"""
name: verification_report
short_description: One report of what was verified on all hosts
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Gathers what M(bulwark.hetzner.verify_inside) and M(bulwark.hetzner.verify_outside) found for each host.
  - A host that was unreachable, where a module failed, or that took no part, appears with a failed check. None is left
    out.
positional: _input, hostvars, examinations, of_some, database
options:
  _input:
    description: Names of all hosts that should have been examined.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  examinations:
    description: For each kind of examination its name in the report, and the variable its result is registered in.
    type: dict
    required: true
  of_some:
    description:
      - The same for examinations that concern some hosts only. A task that was skipped is none; one that failed is a
        failed check as in O(examinations).
    type: dict
    default: {}
  database:
    description:
      - Variable that results of M(bulwark.hetzner.verify_database) are registered in. Exactly one member must be
        primary, if all of them took part.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Gather the results
  ansible.builtin.debug:
    msg: >-
      {{ ansible_play_hosts_all | bulwark.hetzner.verification_report(hostvars, {'from inside': 'inside_result'}) }}
"""

RETURN = r"""
_value:
  description:
    - C(ok) (bool, false also when nothing was checked at all), C(checks) (all of them), C(lines) (a table for people),
      C(failures) (host and check of each that does not hold) and C(summary) (sentences that examinations had to say).
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.report import (
    Report,
    build_report,
    one_primary,
)


def verification_report(
    hosts: Sequence[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    examinations: Mapping[str, str],
    of_some: Mapping[str, str] | None = None,
    database: str = "",
) -> Report:
    results = {
        host: [
            *((name, hostvars[host].get(variable, {})) for name, variable in examinations.items()),
            *(
                (name, hostvars[host][variable])
                for name, variable in (of_some or {}).items()
                if _ran(hostvars[host].get(variable))
            ),
        ]
        for host in hosts
    }
    members = {host: hostvars[host].get(database, {}) for host in hosts} if database else {}
    return build_report(results, one_primary(members))


def _ran(result: Mapping[str, Any] | None) -> bool:
    """Whether a task was meant for a host: one whose condition did not hold leaves a result that says so."""
    return result is not None and not result.get("skipped")


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Report]]:
        return {"verification_report": verification_report}
