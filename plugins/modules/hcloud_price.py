#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hcloud_price."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hcloud_price
short_description: What declared infrastructure costs in a month
version_added: 1.0.0
description:
  - Asks the API for its price list, and adds up servers, volumes, primary IPs and the load balancer, net and gross.
  - Traffic beyond what is included, object storage and Cloudflare are not in it.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.hcloud.action_group
  - bulwark.hetzner.read_only
options:
  servers:
    description: Servers, with C(name), C(type) and C(location), as P(bulwark.hetzner.infrastructure#filter) gives them.
    type: list
    elements: dict
    default: []
  volumes:
    description: Volumes, with C(name) and C(size) in GB.
    type: list
    elements: dict
    default: []
  primary_ips:
    description: Primary IPs, with C(name), C(type) and C(location).
    type: list
    elements: dict
    default: []
  load_balancer:
    description: The load balancer, with C(name), C(type) and C(location); none when omitted.
    type: dict
"""

EXAMPLES = r"""
- name: What does it cost?
  bulwark.hetzner.hcloud_price:
    servers: "{{ infrastructure.servers }}"
    volumes: "{{ infrastructure.volumes }}"
    primary_ips: "{{ infrastructure.primary_ips }}"
    load_balancer: "{{ edge.load_balancer }}"
  vars:
    infrastructure: "{{ topology | bulwark.hetzner.infrastructure }}"
    edge: "{{ topology | bulwark.hetzner.edge }}"
"""

RETURN = r"""
price:
  description: C(currency), C(net) and C(gross) of a month, C(items) with C(what), C(count), C(names), C(net) and
    C(gross), and C(lines), the same as a table for people.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.hcloud_client import ARGUMENTS, APIException, ClientError, create_client, explain
from ..module_utils.infrastructure.price import PriceError, estimate

_THINGS = {"type": "list", "elements": "dict", "default": []}
SPEC = {
    **ARGUMENTS,
    "servers": _THINGS,
    "volumes": _THINGS,
    "primary_ips": _THINGS,
    "load_balancer": {"type": "dict"},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    try:
        client = create_client(options["api_token"], options["api_endpoint"])
        price = estimate(options, client.request("GET", "/pricing")["pricing"])
    except (ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    except PriceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, price=price.result())


if __name__ == "__main__":
    main()
