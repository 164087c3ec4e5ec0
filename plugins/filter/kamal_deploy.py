# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the files by which Kamal deploys an application to an environment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kamal_deploy
short_description: Files by which Kamal deploys an application to an environment
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Renders C(config/deploy.yml) for Kamal 2 from the topology, the inventory and what a person decides, and the two
    files by which Kamal reaches the servers and knows them.
  - What Kamal would refuse, and what would not agree with the load balancer's health check, is refused.
positional: _input
options:
  _input:
    description: The topology, see P(bulwark.hetzner.infrastructure#filter).
    type: dict
    required: true
  kamal:
    description:
      - What a person decides. C(service), C(image) and C(registry) (C(server), C(username) and C(password), which is
        the B(name) of a secret, V(KAMAL_REGISTRY_PASSWORD) by default) are needed.
      - C(app_port) (V(80)) is the container's port, C(jobs_command) (V(bin/jobs)) what runs on the servers for jobs.
      - C(env) are variables that are no secrets, C(secrets) the names of more secrets, C(volumes) more volumes.
      - C(hosts) are the names that kamal-proxy answers for, and C(healthcheck) has C(interval) and C(timeout) in
        seconds. Both must agree with the load balancer's check.
      - C(proxy) has C(response_timeout), C(buffering) and C(logging).
      - C(builder) is Kamal's, without C(arch).
      - C(labels), C(asset_path), C(hooks_path), C(hooks_output), C(error_pages_path), C(retain_containers),
        C(minimum_version), C(readiness_delay), C(deploy_timeout), C(drain_timeout), C(accessories), C(sshkit), C(boot),
        C(logging), C(output) and C(aliases) are Kamal's own and passed on.
      - Another key is refused.
    type: dict
    required: true
  servers:
    description:
      - Servers of the environment, each as its host variable C(bulwark_server).
      - Those with the roles V(app) and V(jobs) count.
    type: list
    elements: dict
    required: true
  routes:
    description: The ways to them, each as the host variable C(bulwark_ssh).
    type: list
    elements: dict
    required: true
  secrets:
    description: Names of the secrets that follow from the environment.
    type: list
    elements: str
    required: true
  root_certificate:
    description: Path of the database authority's certificate, on the servers and in the containers.
    type: str
    required: true
  folder:
    description: Folder on the controller in which C(ssh_config) and C(known_hosts) lie.
    type: str
    required: true
  host_keys:
    description: Public host keys by C(host_key_alias). Without them C(known_hosts) is empty.
    type: dict
"""

EXAMPLES = r"""
- name: Show what Kamal would be told
  ansible.builtin.debug:
    msg: "{{ files.deploy }}"
  vars:
    files: >-
      {{ topology | bulwark.hetzner.kamal_deploy(
           kamal, servers, routes, ['DATABASE_URL'], '/etc/bulwark/database/ca.crt', '/home/alice/shop/.kamal') }}
    kamal: {service: shop, image: example/shop, registry: {username: example}}
"""

RETURN = r"""
_value:
  description:
    - C(deploy), C(ssh_config) and C(known_hosts), the content of the files, none of it secret, and C(servers), the
      addresses by Kamal's roles.
  type: dict
"""

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kamal.deploy import Files, files
from ..module_utils.topology.reading import TopologyError


def _filter(
    topology: object,
    kamal: object,
    servers: object,
    routes: object,
    secrets: object,
    root_certificate: str,
    folder: str,
    host_keys: object = None,
) -> Files:
    # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
    told: list[Any] = [
        json.loads(json.dumps(value)) for value in (topology, kamal, servers, routes, secrets, host_keys)
    ]
    try:
        return files(told[0], told[1], told[2], told[3], told[4], str(root_certificate), str(folder), told[5])
    except (TopologyError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Files]]:
        return {"kamal_deploy": _filter}
