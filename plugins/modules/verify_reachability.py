# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: which ports of the other hosts can be reached from this one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_reachability
short_description: Check with packets that exactly the declared flows are open
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Runs on a server and tries, with single packets, TCP and UDP ports and an echo of every other host. What answers,
    and be it with a refusal because nothing listens there, can be reached; what is silent is closed.
  - Reports what can be reached without a flow, and flows that cannot. Neither needs anything to listen.
  - Ports that have answered are asked again in between. When one of them is missed a second time, the result is that
    the scan is invalid, never that ports are closed.
  - Completes no connection, so services notice nothing. Sends at most 5000 packets a second, and waits when the table
    of tracked connections is half full.
  - A UDP port behind which a service listens that does not answer is not told from a closed one.
  - Changes nothing. A check that does not hold is a result, not a failure of the module.
  - Needs root.
requirements:
  - Python 3.11 on the server
extends_documentation_fragment:
  - bulwark.hetzner.read_only
options:
  host:
    description: Name of this server in the results.
    type: str
    required: true
  targets:
    description: The hosts to try.
    type: list
    elements: dict
    required: true
    suboptions:
      to:
        description: Name of the host.
        type: str
        required: true
      from:
        description: Not looked at; lets the output of the filter that makes targets be used as it is.
        type: str
      address:
        description: IPv4 or IPv6 address to reach it at.
        type: str
        required: true
      flows:
        description: What is open from here to there.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the flow.
            type: str
            required: true
          protocol:
            description: Its protocol; V(icmp) stands for an echo.
            type: str
            choices: [tcp, udp, icmp, any]
            default: tcp
          ports:
            description: Its ports, each a number or a range such as V(3000-3010).
            type: list
            elements: str
            default: []
  ports:
    description: TCP ports to try beside the flows', each a number or a range such as V(1-1024).
    type: list
    elements: str
    default: [1-1024]
  udp_ports:
    description:
      - UDP ports to try beside the flows'. Each beyond the fifth costs a second, since Linux answers a peer no faster
        that nothing listens.
    type: list
    elements: str
    default: ["53", "123", "161", "514"]
  control_url:
    description:
      - Service on the internet whose TCP port is asked in between when none of the flows gets through. Only its port is
        asked; nothing is fetched.
    type: str
  timeout:
    description: Seconds to wait for answers after the last packet of a round. A silent port is tried in two rounds.
    type: float
    default: 1.0
"""

EXAMPLES = r"""
- name: Look at what can be reached from an application server
  bulwark.hetzner.verify_reachability:
    host: "{{ inventory_hostname }}"
    targets:
      - to: db-primary
        address: 10.0.0.6
        flows:
          - {name: database, protocol: tcp, ports: ["5432"]}
      - {to: monitor-01, address: 10.0.0.8}
    ports: [1-1024, "5432", "9090"]
  become: true
"""

RETURN = r"""
checks:
  description: One check for all that was tried.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: What was checked.
      type: str
    host:
      description: The server, as O(host) names it.
      type: str
    ok:
      description: Whether it holds.
      type: bool
    detail:
      description: What was seen and, if it does not hold, what should have been.
      type: str
pairs:
  description:
    - For each target what was found. C(unexpected) can be reached without a flow, C(closed) is a flow that cannot,
      C(turned_away) is closed but somebody says so, C(untold) is a UDP flow that does not answer.
  returned: when the scan is valid
  type: list
  elements: dict
"""

import socket
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.reachability import (
    CHECK,
    Attempt,
    examine,
    read_targets,
    summarise,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import ScanInvalid, parse_ports
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.wire import RawWire

FLOW = {
    "name": {"type": "str", "required": True},
    "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp", "any"], "default": "tcp"},
    "ports": {"type": "list", "elements": "str", "default": []},
}
TARGET = {
    "to": {"type": "str", "required": True},
    "from": {"type": "str"},
    "address": {"type": "str", "required": True},
    "flows": {"type": "list", "elements": "dict", "default": [], "options": FLOW},
}


def find_control(url: str | None) -> Attempt | None:
    """The TCP port of a service on the internet; None if there is none or its name is not known."""
    parts = urlsplit(url or "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname or "", port, socket.AF_INET, socket.SOCK_STREAM)
    except OSError:
        return None
    return Attempt(str(found[0][4][0]), "tcp", port) if parts.hostname else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "targets": {"type": "list", "elements": "dict", "required": True, "options": TARGET},
            "ports": {"type": "list", "elements": "str", "default": ["1-1024"]},
            "udp_ports": {"type": "list", "elements": "str", "default": ["53", "123", "161", "514"]},
            "control_url": {"type": "str"},
            "timeout": {"type": "float", "default": 1.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    host = params["host"]
    try:
        targets = read_targets(params["targets"])
        ports, udp_ports = parse_ports(params["ports"]), parse_ports(params["udp_ports"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    try:
        pairs = examine(
            targets, ports, udp_ports, lambda: find_control(params["control_url"]), RawWire, params["timeout"]
        )
    except ScanInvalid as error:
        invalid = {"check": CHECK, "host": host, "ok": False, "detail": f"scan invalid: {error}"}
        module.exit_json(changed=False, checks=[invalid])
    except PermissionError:
        module.fail_json(msg="Sending single packets needs root: set become.")
    module.exit_json(changed=False, checks=[summarise(host, pairs)], pairs=pairs)


if __name__ == "__main__":
    main()
