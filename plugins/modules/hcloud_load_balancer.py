#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module hcloud_load_balancer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hcloud_load_balancer
short_description: Make a load balancer in Hetzner Cloud what is declared
version_added: 0.1.0
description:
  - Reads the load balancer, plans what has to change, and applies the plan. In check mode it stops after the plan.
  - An option that is omitted, and an omitted suboption, is left alone.
  - What it makes carries the labels C(env) (O(environment_name)), C(managed-by=bulwark) and C(bulwark-version). A load
    balancer that has the declared name and not these labels is never taken over.
  - Services are changed in place. A certificate, whose content cannot change, is replaced without a failed request.
  - What is impossible is refused before anything is changed. RV(ignore:plan) names it.
  - A run that was killed is completed by the next.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.hcloud_load_balancer
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.hcloud.action_group
options:
  state:
    description:
      - V(present) makes the load balancer what is declared.
      - V(absent) deletes it, and those certificates it used that the module has uploaded itself and that nobody
        else uses.
    type: str
    choices: [present, absent]
    default: present
  environment_name:
    description: Name of the environment, the value of the label C(env).
    type: str
    required: true
  name:
    description: Name of the load balancer.
    type: str
    required: true
  confirm:
    description: With O(state=absent), the name of the environment once more.
    type: str
  allow:
    description:
      - Consent to changes that interrupt something, each by name. V(load_balancer/rails-lb) lets that load balancer be
        moved to another network or private address.
      - Names of other things are ignored, so that one list serves several modules.
    type: list
    elements: str
    default: []
  wait_healthy:
    description:
      - Seconds to wait until every target is healthy, after which the module fails and names those that are not. V(0)
        does not wait.
    type: int
    default: 0
  timeout:
    description: Seconds to wait for the vendor's actions of one step.
    type: int
    default: 600
  lock_timeout:
    description:
      - Seconds to wait for another run that is changing the same environment.
      - The lock is that of M(bulwark.hetzner.hcloud_infrastructure).
    type: int
    default: 120
requirements:
  - cryptography (version 42 or newer) where the module runs
seealso:
  - module: bulwark.hetzner.hcloud_infrastructure
"""

EXAMPLES = r"""
- name: HTTPS for the application, whose servers are found by their label
  bulwark.hetzner.hcloud_load_balancer:
    environment_name: production
    name: rails-lb
    type: lb11
    location: fsn1
    network:
      name: production-network
      address: 10.0.0.9
    services:
      - protocol: https
        listen_port: 443
        http:
          redirect_http: true
          certificates:
            - certificate: "{{ lookup('ansible.builtin.file', 'example.org.pem') }}"
              private_key: "{{ vault_example_org_key }}"
              hostnames: [example.org, www.example.org]
        health_check:
          http:
            domain: example.org
    targets:
      - label_selector: env=production,role-app=true
    wait_healthy: 120

- name: A bigger type, and nothing else
  bulwark.hetzner.hcloud_load_balancer:
    environment_name: production
    name: rails-lb
    type: lb21

- name: Delete it
  bulwark.hetzner.hcloud_load_balancer:
    environment_name: production
    name: rails-lb
    state: absent
    confirm: production
"""

RETURN = r"""
plan:
  description:
    - Every change, made, to be made (check mode) or refused, in a possible order.
    - As M(bulwark.hetzner.hcloud_infrastructure) returns it, with the kinds V(load_balancer), V(service), V(target) and
      V(certificate). Private keys are never in it.
  returned: unless the options or the API are at fault
  type: list
  elements: dict
monthly_price:
  description: What the changes cost a month, less what they save. Net list price, traffic excluded.
  returned: unless the options or the API are at fault
  type: dict
  contains:
    difference:
      description: The amount.
      type: str
      sample: '5.39'
    currency:
      description: Currency of the project; null where no change has a price.
      type: str
      sample: EUR
load_balancer:
  description: The load balancer, null where there is none. In check mode as it was.
  returned: success
  type: dict
  contains:
    id:
      description: Its id.
      type: int
    name:
      description: Its name.
      type: str
    type:
      description: Its type.
      type: str
    location:
      description: Its location.
      type: str
    public_ipv4:
      description: Its public address; null without a public interface.
      type: str
    public_ipv6:
      description: Its public IPv6 address; null without a public interface.
      type: str
    private_address:
      description: Its address in its network, or null.
      type: str
    targets:
      description:
        - Where requests go, label selectors resolved. Each has C(server_id) or C(ip), and C(health) by listen port,
          V(healthy), V(unhealthy) or V(unknown). C(server) is the name where O(targets) names servers, else null.
      type: list
      elements: dict
certificates:
  description: Ids of the certificates that it uses, by name.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.hcloud_client import ARGUMENTS, APIException, ClientError, create_client, explain
from ..module_utils.infrastructure.apply import ApplyError
from ..module_utils.infrastructure.declared import DeclarationError
from ..module_utils.infrastructure.execution import RefusedError
from ..module_utils.load_balancer.options import OPTIONS
from ..module_utils.load_balancer.pem import CertificateError
from ..module_utils.load_balancer.run import Run, UnhealthyError

SPEC = {**ARGUMENTS, **OPTIONS}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    try:
        run = Run.parse(module.params)
        client = create_client(module.params["api_token"], module.params["api_endpoint"])
        result = run.carry_out(client, module.check_mode)
    except RefusedError as error:
        module.fail_json(msg=f"Nothing was changed. {error}", **{**error.result, "changed": False})
    except UnhealthyError as error:
        module.fail_json(msg=str(error), **error.result)
    except ApplyError as error:
        module.fail_json(msg=str(error), changed=True)  # since some steps may have ended well
    except (DeclarationError, CertificateError, ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
