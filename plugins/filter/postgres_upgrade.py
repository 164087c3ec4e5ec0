# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: in which order the members of a pair get another minor release."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ..module_utils.postgres.release import decide

DOCUMENTATION = r"""
name: postgres_upgrade
short_description: Decide in which order database servers get another minor release
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Replicas first; then the primary moves to one of them, and its former server follows. Who runs what is declared has
    no turn. Another major version and an older release are refused.
positional: _input, version, image
options:
  _input:
    description: >-
      By the name of each member, C(state) and C(release) as registered of M(bulwark.hetzner.postgres_state) and
      M(bulwark.hetzner.postgres_release).
    type: dict
    required: true
  version:
    description: The declared version.
    type: str
    required: true
  image:
    description: The declared image.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Decide
  ansible.builtin.set_fact:
    plan: "{{ asked | bulwark.hetzner.postgres_upgrade('17.12', 'postgres:17.12') }}"
"""

RETURN = r"""
_value:
  description:
    - C(refusal), why it cannot be done; C(first) and C(last), members in their order; C(switchover), who becomes
      primary between the two, empty for nobody; C(lines), for a person to read.
  type: dict
"""


def _filter(results: Mapping[str, Any], version: str, image: str) -> dict[str, list[str] | str]:
    # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
    return decide(json.loads(json.dumps(results)), str(version), str(image)).plain()


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, list[str] | str]]]:
        return {"postgres_upgrade": _filter}
