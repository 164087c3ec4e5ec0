# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: what can be reached from where, as a page and as a line."""

from __future__ import annotations

DOCUMENTATION = r"""
name: reachability_page
short_description: What can be reached from where, as a page for people
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Holds what M(bulwark.hetzner.verify_reachability) found on each host against the pairs that should be known, and
    draws a table from rows to columns. Pairs that nobody examined are shown as such. A pair from somebody who is no
    host of the inventory is an error.
  - The page is a single HTML file that loads nothing and runs nothing. All text in it is escaped.
  - The administrator's row is what M(bulwark.hetzner.verify_outside) saw from the controller.
positional: _input, hostvars, inside, outside, environment, time
options:
  _input:
    description: The pairs, as P(bulwark.hetzner.reachability#filter) lists them.
    type: list
    elements: dict
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  inside:
    description: Variable in which each host's result of M(bulwark.hetzner.verify_reachability) is registered.
    type: str
    required: true
  outside:
    description: Variable in which each host's result of M(bulwark.hetzner.verify_outside) is registered.
    type: str
    required: true
  environment:
    description: Name of the environment, for the heading.
    type: str
    required: true
  time:
    description: When it was examined, as it should stand on the page.
    type: str
    required: true
seealso:
  - module: bulwark.hetzner.verify_reachability
  - plugin: bulwark.hetzner.reachability
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what can be reached
  ansible.builtin.debug:
    msg: "{{ page.summary }}"
  vars:
    page: >-
      {{ pairs | bulwark.hetzner.reachability_page(hostvars, 'inside_result', 'outside_result', 'production', 'now') }}
"""

RETURN = r"""
_value:
  description: C(page) is the HTML, C(summary) one line with the numbers.
  type: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.page import (
    ADMIN,
    INTERNET,
    build_cells,
    render,
    summary_line,
)


def reachability_page(
    pairs: Iterable[Mapping[str, Any]],
    hostvars: Mapping[str, Mapping[str, Any]],
    inside: str,
    outside: str,
    environment: str,
    time: str,
) -> dict[str, str]:
    pairs = list(pairs)
    strangers = sorted({pair["from"] for pair in pairs} - {ADMIN, INTERNET} - set(hostvars))
    if strangers:
        raise AnsibleFilterError(
            f"{', '.join(strangers)} should have been examined and is no host of the inventory: servers must have the "
            "same names there and in the list of pairs."
        )
    names = {pair[end] for pair in pairs for end in ("from", "to")} & set(hostvars)
    results = [{name: hostvars[name].get(variable, {}) for name in names} for variable in (inside, outside)]
    cells = build_cells(pairs, *results)
    return {"page": render(cells, environment, time), "summary": summary_line(cells)}


class FilterModule:
    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        return {"reachability_page": reachability_page}
