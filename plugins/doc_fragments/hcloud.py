# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by everything that talks to the Hetzner Cloud API."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_token:
    description:
      - API token of the Hetzner Cloud project, with read and write permission.
      - Falls back to the environment variable E(HCLOUD_TOKEN), which is the way to keep it out of playbooks.
    type: str
  api_endpoint:
    description:
      - URL of the API up to and including its version. Plain C(http) is accepted on loopback only.
      - Falls back to the environment variable E(HCLOUD_ENDPOINT).
    type: str
    default: https://api.hetzner.cloud/v1
requirements:
  - hcloud on the controller
notes:
  - A project may send 3600 requests an hour. See U(https://docs.hetzner.cloud/reference/cloud#rate-limiting).
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tells what it would change without changing it.
    support: full
  diff_mode:
    description: Returns what it changes, or would change in check mode, as a difference.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
"""

    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description: >-
      Use C(group/bulwark.hetzner.hcloud) in C(module_defaults) to set O(api_token) and O(api_endpoint) once
      for all modules of this group.
    support: full
    membership:
      - bulwark.hetzner.hcloud
"""
