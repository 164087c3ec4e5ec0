#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hcloud_infrastructure."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hcloud_infrastructure
short_description: Make the infrastructure of an environment in Hetzner Cloud what is declared
version_added: 0.1.0
description:
  - Reads the project, plans what has to change, and applies the plan along its dependencies, as much as possible at a
    time. In check mode it stops after the plan.
  - An option that is omitted leaves its kind of resource alone, and an omitted suboption that part of the resource,
    unless it says otherwise.
  - Everything it makes carries the labels C(env) (O(environment_name)), C(managed-by=bulwark) and C(bulwark-version).
    A resource that has a declared name and not these labels is never taken over.
  - SSH keys are the exception, since a project holds each key only once. One that is there already, under whatever
    name, is used and otherwise left alone.
  - Changes that are impossible, or would lose data, are refused before anything is changed. RV(ignore:plan) names them.
  - A run that was killed is completed by the next.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.hcloud_resources
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.hcloud.action_group
options:
  state:
    description:
      - V(present) makes the resources what is declared. What is not declared any more is reported and left alone,
        unless O(allow) names it.
      - V(absent) deletes everything that carries the labels of the environment, whatever else is declared.
    type: str
    choices: [present, absent]
    default: present
  environment_name:
    description: Name of the environment, the value of the label C(env).
    type: str
    required: true
  confirm:
    description: With O(state=absent), the name of the environment once more.
    type: str
  allow:
    description:
      - Consent to changes that lose something, each by name.
      - V(server/app-01) lets that server be powered off (hard) where that is needed, which is to change its type or
        placement group, and powers it on again. The disk is not enlarged, so that the type can be reduced later.
      - Any C(kind/name) that is not declared any more is deleted. Kinds are V(ssh_key), V(network), V(firewall),
        V(placement_group), V(primary_ip), V(server) and V(volume).
      - With O(state=absent), V(volumes) deletes the volumes with their data, which are kept otherwise.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for the actions of each single change, and before that for what is still under way.
    type: int
    default: 600
  lock_timeout:
    description:
      - Seconds to wait for another run that is changing the same environment.
      - The lock is a placement group named C(bulwark-lock-NAME), which is there while a run changes something. The lock
        of a run that was killed ends a minute later.
    type: int
    default: 120
seealso:
  - plugin: bulwark.hetzner.infrastructure
    plugin_type: filter
"""

EXAMPLES = r"""
- name: A server that only its network can reach
  bulwark.hetzner.hcloud_infrastructure:
    environment_name: production
    networks:
      - name: production-network
        ip_range: 10.0.0.0/16
        location: fsn1
        subnets: [10.0.0.0/24]
    servers:
      - name: app-01
        type: cax31
        image: ubuntu-24.04
        location: fsn1
        networks:
          - name: production-network
            address: 10.0.0.3

- name: Everything that a topology stands for
  bulwark.hetzner.hcloud_infrastructure:
    environment_name: "{{ infrastructure.environment_name }}"
    networks: "{{ infrastructure.networks }}"
    servers: "{{ infrastructure.servers }}"
  vars:
    infrastructure: "{{ topology | bulwark.hetzner.infrastructure }}"

- name: Delete the environment, its data included
  bulwark.hetzner.hcloud_infrastructure:
    environment_name: staging
    state: absent
    confirm: staging
    allow: [volumes]
"""

RETURN = r"""
plan:
  description: Every change, made, to be made (check mode) or refused, in a possible order.
  returned: unless the options or the API are at fault
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the resource, such as V(server).
      type: str
    name:
      description: Name of the resource.
      type: str
    action:
      description: What is done, such as V(create), V(update), V(attach), V(power_on) or V(delete).
      type: str
    before:
      description: What it changes, as it was.
      type: dict
    after:
      description: What it changes, as declared.
      type: dict
    destructive:
      description: Whether something is lost, or a running server interrupted.
      type: bool
    why:
      description: The reason.
      type: str
    refused:
      description: Why the change is not made, null where it is.
      type: str
    monthly_price:
      description: What the change costs a month, negative where it saves. In the currency of RV(monthly_price).
      type: str
undeclared:
  description: Resources of the environment, as C(kind/name), that are not declared any more and were left alone.
  returned: unless the options or the API are at fault
  type: list
  elements: str
monthly_price:
  description: What the changes cost a month, less what they save. Net list price, traffic excluded.
  returned: unless the options or the API are at fault
  type: dict
  contains:
    difference:
      description: The amount.
      type: str
      sample: '67.94'
    currency:
      description: Currency of the project.
      type: str
      sample: EUR
servers:
  description: The environment's servers by name. In check mode those that are there already.
  returned: success
  type: dict
  contains:
    id:
      description: Id of the server.
      type: int
    status:
      description: Its state, such as V(running).
      type: str
    private_addresses:
      description: Its addresses in private networks.
      type: list
      elements: str
    public_ipv4:
      description: Its public address, or null.
      type: str
    public_ipv6:
      description: Its public IPv6 network, or null.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.hcloud_client import ARGUMENTS, APIException, ClientError, create_client, explain
from ..module_utils.infrastructure.apply import ApplyError
from ..module_utils.infrastructure.declared import DeclarationError
from ..module_utils.infrastructure.execution import RefusedError
from ..module_utils.infrastructure.options import RESOURCES
from ..module_utils.infrastructure.run import Run

SPEC = {
    **ARGUMENTS,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "environment_name": {"type": "str", "required": True},
    "confirm": {"type": "str"},
    "allow": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 600},
    "lock_timeout": {"type": "int", "default": 120},
    **RESOURCES,
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        run = Run.parse(module.params)
        client = create_client(module.params["api_token"], module.params["api_endpoint"])
        result = run.carry_out(client, module.check_mode)
    except RefusedError as error:
        module.fail_json(msg=f"Nothing was changed. {error}", **{**error.result, "changed": False})
    except ApplyError as error:
        module.fail_json(msg=str(error), changed=True)  # since some steps may have ended well
    except (DeclarationError, ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
