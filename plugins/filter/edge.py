# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: a topology becomes the options of the load balancer and of what stands in front of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.topology.expand import edge
from ..module_utils.topology.reading import TopologyError

DOCUMENTATION = r"""
name: edge
short_description: Expand a topology to the load balancer and the edge it declares
version_added: 1.0.0
description:
  - Checks a topology, see P(bulwark.hetzner.infrastructure#filter), and expands its C(load_balancer) and C(edge) to the
    options of M(bulwark.hetzner.hcloud_load_balancer), M(bulwark.hetzner.cloudflare_zone_settings),
    M(bulwark.hetzner.cloudflare_dns_records) and M(bulwark.hetzner.cloudflare_origin_certificate).
author: Contributors to bulwark.hetzner
positional: _input, certificate, load_balancer
options:
  _input:
    description: The topology.
    type: dict
    required: true
  certificate:
    description: Name at Hetzner of the certificate that the load balancer shows, once it is known.
    type: str
    default: ''
  load_balancer:
    description:
      - What M(bulwark.hetzner.hcloud_load_balancer) says of the load balancer, once it is there. Records lead to its
        C(public_ipv4) and C(public_ipv6).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show how users come in
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.edge }}"
"""

RETURN = r"""
_value:
  description:
    - C(zone), C(zone_owned), C(hostnames), C(settings) and C(records) for Cloudflare, and C(load_balancer) with the
      options of the load balancer.
    - For who looks at it, C(urls) that users ask, C(check) (C(path) and C(host) of the health check) and C(origin)
      (C(name), C(address) and C(server_name) of the load balancer in the private network).
    - Empty where the topology has no C(edge).
  type: dict
"""


def _filter(
    topology: object, certificate: str | None = "", load_balancer: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    known = load_balancer or {}
    addresses = [str(known[key]) for key in ("public_ipv4", "public_ipv6") if known.get(key)]
    if known and not addresses:
        raise AnsibleFilterError("The load balancer has no public address that names could lead to.")
    try:
        # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
        return edge(json.loads(json.dumps(topology)), str(certificate or ""), addresses)
    except TopologyError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"edge": _filter}
