# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by everything that talks to Cloudflare's API."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_token:
    description:
      - API token of Cloudflare. Each module says which permissions it needs.
      - Falls back to the environment variable E(CLOUDFLARE_API_TOKEN), which is the way to keep it out of playbooks.
    type: str
  api_endpoint:
    description:
      - URL of Cloudflare's API up to and including its version. Plain C(http) is accepted on loopback only.
      - Falls back to the environment variable E(CLOUDFLARE_API_ENDPOINT).
    type: str
    default: https://api.cloudflare.com/client/v4
  zone:
    description: Name of the zone, such as V(example.com).
    type: str
    required: true
notes:
  - Runs on the controller.
  - What Cloudflare refuses for now is asked again with growing pauses, six times; no answer at all, three times.
    Nothing is made twice because an answer got lost.
"""

    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description: >-
      Use C(group/bulwark.hetzner.cloudflare) in C(module_defaults) to set O(api_token) and O(api_endpoint) once
      for all modules of this group.
    support: full
    membership:
      - bulwark.hetzner.cloudflare
"""
