# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: a topology becomes the options of the module hcloud_infrastructure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.topology.expand import infrastructure
from ..module_utils.topology.reading import TopologyError

DOCUMENTATION = r"""
name: infrastructure
short_description: Expand a topology to the infrastructure it declares
version_added: 0.1.0
description:
  - Checks a topology and expands it to the options of M(bulwark.hetzner.hcloud_infrastructure).
  - Everything but RV(ignore:environment), RV(ignore:admin_addresses) and RV(ignore:admin_keys) has a default.
author: Contributors to bulwark.hetzner
positional: _input
options:
  _input:
    description:
      - The topology.
    type: dict
    required: true
    suboptions:
      version:
        description: Version of the topology's layout.
        type: int
        choices: [1]
        default: 1
      environment:
        description: Name of the environment, which everything is labelled with (C(env)).
        type: str
        required: true
      admin_addresses:
        description: Networks (CIDR, IPv4 or IPv6) that may reach the bastion by SSH and ping.
        type: list
        elements: str
        required: true
      admin_keys:
        description: The people who may log in, as name and OpenSSH public key.
        type: dict
        required: true
      location:
        description: Location of all servers and volumes. The network's zone follows from it.
        type: str
        default: fsn1
      image:
        description: Name of the operating system's image. New servers are made from it.
        type: str
        default: ubuntu-24.04
      network:
        description: The private network. Its gateway is the first address of the range.
        type: dict
        suboptions:
          name:
            description:
              - Name of the network; V(production-network) unless given, with RV(ignore:one_server) the environment's
                name and C(-network).
            type: str
          ip_range:
            description: Range of the network (CIDR), private, at least a /24.
            type: str
            default: 10.0.0.0/16
          subnet:
            description: Range within the network that the servers' addresses come from (CIDR).
            type: str
            default: 10.0.0.0/24
      servers:
        description:
          - The servers by role. A role that is not named gets its defaults.
          - C(bastion) is one C(cax11), C(app) are two C(cax31), C(jobs) is one C(cax21), C(db) are two C(cax31) with
            a volume of 100 GB each, C(monitoring) is one C(cax21).
        type: dict
        suboptions:
          <role>:
            description: One of C(bastion), C(app), C(jobs), C(db) and C(monitoring).
            type: dict
            suboptions:
              type:
                description: Server type.
                type: str
              count:
                description: Number of servers, at most 19. The bastion is always one.
                type: int
              volume_size:
                description: Size in GB (10 to 10240) of a volume for each server of the role.
                type: int
              addresses:
                description: Private addresses, one for each server, in place of those that follow from role and number.
                type: list
                elements: str
      one_server:
        description:
          - One public server that is everything, in place of RV(ignore:servers); see C(docs/staging.md). An empty
            dictionary is enough.
        type: dict
        suboptions:
          name:
            description: Name of the server; by default the environment's, with C(-01).
            type: str
          type:
            description: Server type.
            type: str
            default: cax21
          volume_size:
            description: Size in GB (10 to 10240) of a volume for the database; without one it is on the server's disk.
            type: int
      flows:
        description:
          - What is laid over the default flows, by name; see C(docs/flows.md). A new name adds a flow, a known one
            replaces what it names of it, V(false) closes it.
        type: dict
      object_storage:
        description:
          - Where uploads and backups go, with any S3-compatible service; see C(docs/object-storage.md). Not used when
            omitted.
          - The keys are no part of it. They are the variables C(bulwark_object_storage_access_key) and
            C(bulwark_object_storage_secret_key), from the vault.
        type: dict
        suboptions:
          endpoint:
            description: URL of the service (C(https)), without a bucket, such as V(https://fsn1.your-objectstorage.com).
            type: str
            required: true
          region:
            description: Region that requests are signed for, such as V(fsn1).
            type: str
            required: true
          uploads_bucket:
            description: Bucket for what users upload to the application.
            type: str
            required: true
          backups_bucket:
            description: Another bucket, for backups of the database.
            type: str
            required: true
      load_balancer:
        description:
          - The load balancer, which is made where there is an RV(ignore:edge). It has the ninth address of the subnet,
            and leads to all servers of the role C(app). See P(bulwark.hetzner.edge#filter).
        type: dict
        suboptions:
          name:
            description: Name of the load balancer.
            type: str
            default: rails-lb
          type:
            description: Type of the load balancer.
            type: str
            default: lb11
          algorithm:
            description: How it chooses a server for a request.
            type: str
            choices: [round_robin, least_connections]
            default: round_robin
          sticky_sessions:
            description: Whether it leads a user to the same server again, by a cookie.
            type: bool
            default: false
          health_check:
            description: How it asks a server whether it can take traffic; the answer must be 2xx or 3xx.
            type: dict
            suboptions:
              path:
                description: Path that is asked for.
                type: str
                default: /up
              host:
                description: Host header of the question; without it there is none.
                type: str
              interval:
                description: Seconds from one question to the next (3 to 60).
                type: int
                default: 15
              timeout:
                description: Seconds to wait for the answer (1 to 60).
                type: int
                default: 5
              retries:
                description: Failures in a row that take a server out, good answers in a row that take it in (1 to 5).
                type: int
                default: 3
      edge:
        description:
          - Cloudflare in front of the load balancer; see C(docs/cloudflare.md). Without it there is neither, since the
            load balancer shows the certificate that Cloudflare signs.
          - The token is no part of it. It comes from the environment variable E(CLOUDFLARE_API_TOKEN).
        type: dict
        suboptions:
          zone:
            description: Name of the zone at Cloudflare, such as V(example.com).
            type: str
            required: true
          hostnames:
            description: Names in the zone by which users reach the application; the zone's own unless given.
            type: list
            elements: str
          zone_owned:
            description:
              - Whether the whole zone is this environment's. Its settings (encryption to the origin, redirect to HTTPS,
                HSTS, lowest version of TLS) hold for every name in it, so they are changed only if this is true, and
                otherwise must be right already.
            type: bool
            default: false
          hsts:
            description: Whether browsers are told to use HTTPS only (HTTP Strict Transport Security).
            type: bool
            default: true
          hsts_max_age:
            description: Seconds for which browsers remember that.
            type: int
            default: 15552000
          min_tls_version:
            description: Lowest version of TLS that users may speak to the edge.
            type: str
            choices: ['1.0', '1.1', '1.2', '1.3']
            default: '1.2'
      user:
        description: User that is made on every server at its first boot, with sudo and the admin keys.
        type: str
        default: deployer
"""

EXAMPLES = r"""
- name: Show what would be declared
  ansible.builtin.debug:
    msg: "{{ topology | bulwark.hetzner.infrastructure }}"
  vars:
    topology:
      environment: production
      admin_addresses: [198.51.100.7/32]
      admin_keys:
        alice: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
"""

RETURN = r"""
_value:
  description: The options C(environment_name), C(networks), C(ssh_keys), C(firewalls), C(placement_groups),
    C(primary_ips), C(servers) and C(volumes) of M(bulwark.hetzner.hcloud_infrastructure).
  type: dict
"""


def _filter(topology: object) -> dict[str, Any]:
    try:
        # Ansible hands over lazy containers and tagged texts; the logic, and YAML's dumper, want plain ones.
        return infrastructure(json.loads(json.dumps(topology)))
    except TopologyError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[[object], dict[str, Any]]]:
        return {"infrastructure": _filter}
