# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the certificate of a host's key, by the authority of its environment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_host_certificate
short_description: Certificate of an SSH host key, by a host authority
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Returns the certificate that a host has, or a new one where that is missing, is for another key or other names, was
    made by another authority, or ends within 180 days. A new one is good for 365 days.
  - It is made on the controller and in memory. The private key is neither written to a file nor given to a program, and
    no message holds any of it.
positional: _input, host_key, authority_key, names, accepted
options:
  _input:
    description: The certificate the host has, empty for none.
    type: str
    required: true
  host_key:
    description: The host's public key, as in C(/etc/ssh/ssh_host_ed25519_key.pub).
    type: str
    required: true
  authority_key:
    description: The authority's private key, of the type ed25519, in OpenSSH's format and without a passphrase.
    type: str
    required: true
  names:
    description: The names and addresses that the certificate is good for, the host key alias among them.
    type: list
    elements: str
    required: true
  accepted:
    description: Public keys of the authorities that clients go by. Unless empty, this authority must be one of them.
    type: list
    elements: str
    default: []
requirements:
  - cryptography 40 or newer on the controller
"""

EXAMPLES = r"""
- name: Make a certificate
  ansible.builtin.set_fact:
    certificate: >-
      {{ '' | bulwark.hetzner.ssh_host_certificate(host_key, bulwark_host_authority_key, ['hcloud-1', 'app-01']) }}
"""

RETURN = r"""
_value:
  description: The certificate, as in C(ssh_host_ed25519_key-cert.pub).
  type: str
"""

from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError

from ..module_utils.ssh_host_authority import AuthorityError, host_certificate


def _filter(present: str, host_key: str, authority_key: str, names: Sequence[str], accepted: Sequence[str] = ()) -> str:
    try:
        return host_certificate(
            str(present), str(host_key), str(authority_key), [str(name) for name in names], map(str, accepted)
        )
    except AuthorityError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"ssh_host_certificate": _filter}
