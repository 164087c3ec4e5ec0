#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cloudflare_access."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_access
short_description: See whether a token of Cloudflare may do what an environment takes
version_added: 1.0.0
description:
  - Reads what the other modules would change, and fails with a sentence that names the zone that the token does
    not see, or every permission that it lacks.
  - That it may edit what it reads cannot be seen without changing something, and is not claimed.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.cloudflare
  - bulwark.hetzner.cloudflare.action_group
  - bulwark.hetzner.read_only
options: {}
"""

EXAMPLES = r"""
- name: Look at the zone
  bulwark.hetzner.cloudflare_access:
    zone: example.com
"""

RETURN = r"""
zone_id:
  description: The zone's id.
  returned: success
  type: str
permissions:
  description: What the token may at least read.
  returned: success
  type: list
  elements: str
unproven:
  description: What remains open, as a sentence.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cloudflare.access import check
from ..module_utils.cloudflare.client import ARGUMENTS, CloudflareError, create_client
from ..module_utils.cloudflare.zones import check_zone

SPEC = ARGUMENTS


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        found = check(create_client({**module.params, "zone": check_zone(module.params["zone"])}))
    except CloudflareError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
