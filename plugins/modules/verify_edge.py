# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what users get when they ask for the application by its name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_edge
short_description: Check from the internet how users reach the application
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - >-
    Runs on the controller, as somebody on the internet. Asks for the application by each of its names over HTTPS, which
    must be answered; over HTTP, which must lead to HTTPS; looks at HSTS, at the certificate that the load balancer
    shows to the edge, at the health of its targets in the API, and at whether requests reach every server.
  - Servers say who they are by the header C(X-Served-By). Where the application does not set it, the spread is not
    judged, and RV(summary) says so.
  - Changes nothing. A check that does not hold is a result, not a failure of the module.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud
  - bulwark.hetzner.read_only
options:
  hostnames:
    description: Names by which users reach the application. Of one with a wildcard only the certificate is looked at.
    type: list
    elements: str
    required: true
  load_balancer:
    description: Name of the load balancer.
    type: str
    required: true
  path:
    description: Path that is asked for.
    type: str
    default: /up
  hsts_max_age:
    description: Seconds for which browsers must be told to use HTTPS only, at least. Not looked at when V(0).
    type: int
    default: 0
  certificate_days:
    description: Days for which the load balancer's certificate must still be good.
    type: int
    default: 14
  application_needed:
    description:
      - Whether it is a failure that no server answers.
      - When V(false) and no target is healthy, the checks that take an application are left out, and RV(summary) says
        so.
    type: bool
    default: true
  edge_only:
    description:
      - Whether the application must refuse who asks the load balancer's own address, past the edge. It can do so by a
        secret header, see M(bulwark.hetzner.cloudflare_request_header).
      - When V(false), RV(summary) tells what such a visitor gets.
    type: bool
    default: false
  undeployed:
    description:
      - Servers on which the application was never deployed. While another one is healthy, it is no failure that these
        are not, and RV(summary) names them.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for an answer.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Look at it as a user does
  bulwark.hetzner.verify_edge:
    hostnames: [example.com, www.example.com]
    load_balancer: rails-lb
    hsts_max_age: 15552000
  delegate_to: localhost
"""

RETURN = r"""
checks:
  description: Every check that was made.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: What was checked.
      type: str
    host:
      description: The name that was asked for, or the load balancer.
      type: str
    ok:
      description: Whether it holds.
      type: bool
    detail:
      description: What was seen and, if it does not hold, what should have been.
      type: str
summary:
  description: Sentences for people, such as the way that a request took.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import (
    ARGUMENTS,
    APIException,
    ClientError,
    create_client,
    explain,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.edge import (
    Subject,
    examine,
    public_address,
    targets_of,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "hostnames": {"type": "list", "elements": "str", "required": True},
            "load_balancer": {"type": "str", "required": True},
            "path": {"type": "str", "default": "/up"},
            "hsts_max_age": {"type": "int", "default": 0},
            "certificate_days": {"type": "int", "default": 14},
            "application_needed": {"type": "bool", "default": True},
            "edge_only": {"type": "bool", "default": False},
            "undeployed": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    params = module.params
    hosts = [name for name in params["hostnames"] if not name.startswith("*.")]
    if not hosts:
        module.fail_json(msg="hostnames: at least one must be a name without a wildcard.")
    try:
        client = create_client(params["api_token"], params["api_endpoint"])
        found = list(client.list_all("/load_balancers", name=params["load_balancer"]))
        if not found:
            where = f"There is no load balancer {params['load_balancer']} in the project of this token"
            module.fail_json(msg=f"{where}: make it with playbooks/edge.yml.")
        servers = {server["id"]: server["name"] for server in client.list_all("/servers")}
    except (ClientError, APIException, OSError) as error:
        module.fail_json(msg=explain(error))
    address = public_address(found[0])
    if not address:
        module.fail_json(msg=f"The load balancer {params['load_balancer']} has no public address: nobody can reach it.")
    subject = Subject(
        hosts=hosts,
        path=params["path"],
        hsts_max_age=params["hsts_max_age"],
        balancer=params["load_balancer"],
        address=address,
        certificate_days=params["certificate_days"],
        timeout=params["timeout"],
        application_needed=params["application_needed"],
        edge_only=params["edge_only"],
        undeployed=params["undeployed"],
    )
    seen = examine(subject, targets_of(found[0], servers))
    module.exit_json(changed=False, checks=seen.checks, summary=seen.summary)


if __name__ == "__main__":
    main()
