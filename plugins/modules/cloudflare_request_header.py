#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cloudflare_request_header."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_request_header
short_description: A secret header by which the origin knows that a request came through Cloudflare
version_added: 1.0.0
description:
  - Has Cloudflare set a header on requests for some hosts, on their way to the origin. What a user has sent under that
    name is replaced.
  - The application has to refuse requests without it. Then the load balancer's own address is of no use to anybody, see
    the documentation of the edge.
  - It is one rule of the zone (a Request Header Transform Rule), known by its C(ref). All other rules stay as they are
    and where they are. They are written as a whole, so nobody else should be changing them at the same moment.
  - The token needs the permissions C(Zone → Zone → Read) and C(Zone → Transform Rules → Edit); in check mode
    C(Zone → Transform Rules → Read) is enough.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.cloudflare
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.cloudflare.action_group
options:
  environment_name:
    description: Name of the environment. With O(name), it says which rule is ours.
    type: str
    required: true
  state:
    description: Whether the header is set.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the header.
    type: str
    default: X-Edge-Secret
  value:
    description: Its value, 16 to 1024 printable characters without spaces. Needed with O(state=present).
    type: str
  hostnames:
    description: The hosts whose requests get it, in the zone, each by name. Needed with O(state=present).
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Let the application tell what came through Cloudflare
  bulwark.hetzner.cloudflare_request_header:
    zone: example.com
    environment_name: production
    hostnames: [example.com, www.example.com]
    value: "{{ bulwark_edge_secret }}"
  delegate_to: localhost
"""

RETURN = r"""
plan:
  description: Every change, made or to be made (check mode). None shows the value.
  returned: unless the options or the API are at fault
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the thing, V(request_header).
      type: str
    name:
      description: Name of the header.
      type: str
    action:
      description: What is done, V(create), V(update) or V(delete).
      type: str
    before:
      description: The rule as it was.
      type: dict
    after:
      description: The rule as declared.
      type: dict
    destructive:
      description: Whether something is lost.
      type: bool
    why:
      description: The reason.
      type: str
    refused:
      description: Always null.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cloudflare import request_headers, zones
from ..module_utils.cloudflare.client import ARGUMENTS, CloudflareError, create_client
from ..module_utils.cloudflare.run import carry_out

SPEC = {
    **ARGUMENTS,
    "environment_name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "default": "X-Edge-Secret"},
    "value": {"type": "str", "no_log": True},
    "hostnames": {"type": "list", "elements": "str"},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True, required_if=[("state", "present", ["value", "hostnames"])])
    options = module.params
    try:
        zone = options["zone"] = zones.check_zone(options["zone"])
        header = request_headers.parse(options, zone)
        client = create_client(options)
        result = carry_out(
            client,
            module.check_mode,
            lambda zone_id: request_headers.plan(
                header, request_headers.read(client, zone_id), options["state"] == "present"
            ),
            lambda zone_id, steps: request_headers.apply(client, zone_id, steps),
        )
    except CloudflareError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
