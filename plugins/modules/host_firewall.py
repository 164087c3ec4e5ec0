# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the host's firewall is exactly the declared one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_firewall
short_description: Make the firewall of a host exactly the declared one
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Lets in what is declared and nothing else, for processes of the host and for ports that Docker publishes alike.
  - Renders the same rules twice. UFW holds them for people to see; a table of its own, C(inet bulwark_guard), holds
    them before Docker's and UFW's rules have a say, also while these reload.
  - Adds what is missing and removes what is not declared, whoever has put it there, in UFW's rules and in its own
    table. Other tables and chains are left alone.
  - A change goes back by itself unless it is confirmed in time, best by a new connection. See O(rollback_after).
  - Packages that are missing are not installed but returned. See RV(missing).
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  rules:
    description: Who may open connections to this host. Whoever is in no rule is refused.
    type: list
    elements: dict
    default: []
    suboptions: &rule
      name:
        description: Name of the rule, shown by C(ufw status).
        type: str
        required: true
      protocol:
        description: V(tcp), V(udp), or V(icmp) for the echo. V(any) is for forwarding only.
        type: str
        default: tcp
      ports:
        description: Ports such as V(22) or V(3000-3010); none for V(icmp) and V(any).
        type: list
        elements: str
        default: []
      sources:
        description: Networks in CIDR form; V(0.0.0.0/0) and V(::/0) for everybody.
        type: list
        elements: str
        default: []
      containers:
        description: Networks of this host's own containers that may as well, from any bridge. Not for O(forward).
        type: list
        elements: str
        default: []
  forward:
    description: What this host passes on from its private to its public interface. Answers come back.
    type: list
    elements: dict
    default: []
    suboptions: *rule
  private_address:
    description: Address of this host in the private network; its interface is the private one. Required for O(forward).
    type: str
  public_address:
    description: Public address of this host; its interface is the public one. Required for O(forward).
    type: str
  rollback_after:
    description:
      - Seconds after which a change that nobody has confirmed is taken back, 5 to 3600.
      - The first one on a host is taken back to a closed host that only SSH from the address of this run gets into.
      - V(0) keeps a change without confirmation.
    type: int
    default: 60
  confirm:
    description:
      - Changes nothing but keeps the change that waits for it. Fails if the host is not as declared (any more).
    type: bool
    default: false
  allow_lockout:
    description: Whether rules are accepted under which the SSH connection of this run could not be opened again.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Let the bastion and monitoring in
  bulwark.hetzner.host_firewall:
    rules:
      - {name: jump-host, ports: [22], sources: [10.0.0.2/32]}
      - {name: node-metrics, ports: [9100], sources: [10.0.0.8/32]}
  become: true
  register: firewall

- name: Take a new connection
  ansible.builtin.meta: reset_connection

- name: Keep the change
  bulwark.hetzner.host_firewall:
    confirm: true
    rules:
      - {name: jump-host, ports: [22], sources: [10.0.0.2/32]}
      - {name: node-metrics, ports: [9100], sources: [10.0.0.8/32]}
  become: true
  when: firewall.pending
"""

RETURN = r"""
missing:
  description: Packages to install before this can do anything. If there are any, nothing was changed.
  returned: always
  type: list
  elements: str
  sample: [ufw]
pending:
  description: Whether a change waits to be confirmed.
  returned: always
  type: bool
"""

import os
from collections.abc import Sequence
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall import rules
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.host import (
    FailedError,
    Host,
    declared_files,
    find_session,
    plan,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.interfaces import firewall

RULE = {
    "name": {"type": "str", "required": True},
    "protocol": {"type": "str", "default": "tcp"},
    "ports": {"type": "list", "elements": "str", "default": []},
    "sources": {"type": "list", "elements": "str", "default": []},
    "containers": {"type": "list", "elements": "str", "default": []},
}
SPEC = {
    "rules": {"type": "list", "elements": "dict", "default": [], "options": RULE},
    "forward": {"type": "list", "elements": "dict", "default": [], "options": RULE},
    "private_address": {"type": "str"},
    "public_address": {"type": "str"},
    "rollback_after": {"type": "int", "default": 60},
    "confirm": {"type": "bool", "default": False},
    "allow_lockout": {"type": "bool", "default": False},
}


def carry_out(host: Host, options: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """What the module does, and its result. Raises RefusedError and FailedError."""
    if options["rollback_after"] != 0 and not 5 <= options["rollback_after"] <= 3600:
        raise RefusedError(
            f"rollback_after is {options['rollback_after']}; it must be 5 to 3600 seconds, or 0 for never."
        )
    addresses = host.addresses()
    declared = firewall(options, addresses)
    session = find_session(os.environ, os.getpid())
    if not options["allow_lockout"]:
        rules.check_session(session, declared, [address.address for address in addresses])
    host.refuse_unsupported()
    missing = host.missing()
    if missing:
        shown = {"prepared": f"to be installed: {', '.join(missing)}\n"}
        return {"changed": True, "missing": missing, "pending": False, "diff": [shown]}
    with host.locked():
        found = host.files()
        entries = declared_files(declared, found)
        wanted = plan(entries, host.read(entries))
        result = {"changed": wanted.pending or not wanted.empty, "missing": [], "diff": wanted.diff()}
        if check_mode:
            return {**result, "pending": wanted.pending}
        if options["confirm"]:
            if not wanted.empty:
                raise FailedError(
                    "The firewall is not as declared: the change was taken back as its confirmation came too late, or "
                    "somebody changes it at the same time. Run again."
                )
            if wanted.pending:
                host.confirm()
            return {**result, "pending": False}
        if result["changed"]:
            host.apply(wanted, session, options["rollback_after"])
            left = plan(entries, host.read(entries))
            if not left.empty:
                raise FailedError("What is in force is still not what is declared: " + str(left.diff()))
    return {**result, "pending": result["changed"] and options["rollback_after"] != 0}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)

    def run(words: Sequence[str]) -> tuple[int, str]:
        code, out, error = module.run_command(list(words))
        return code, out if code == 0 else (error or out)

    host = Host(run)
    try:
        module.exit_json(**carry_out(host, module.params, module.check_mode))
    except RefusedError as error:
        module.fail_json(msg=str(error))
    except (FailedError, OSError) as error:
        if module.params["confirm"] or module.check_mode:
            module.fail_json(msg=str(error))
        host.go_back()
        module.fail_json(msg=f"{error} It was taken back: the rules that were confirmed last are in force.")


if __name__ == "__main__":
    main()
