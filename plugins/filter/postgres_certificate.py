# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: a database server's certificate, signed on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_certificate
short_description: Certificate of a database server, the present one while it is good
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Gives back the certificate that the server has while it is good, and signs its request anew otherwise. The
    authority's key stays on the controller, the server's key on the server.
  - A certificate is good when this authority has signed it for the key, names and addresses, and it does not end too
    soon.
positional: _input
requirements:
  - cryptography on the controller
options:
  _input:
    description: The server's certificate in PEM form, empty when it has none.
    type: str
    required: true
  request:
    description: The server's certificate request in PEM form. Empty gives an empty certificate, as check mode needs it.
    type: str
    required: true
  ca_certificate:
    description: The authority's certificate in PEM form.
    type: str
    required: true
  ca_key:
    description: The authority's private key in PEM form, without a passphrase. A secret.
    type: str
    required: true
  names:
    description: Names that the certificate must be good for.
    type: list
    elements: str
    required: true
  addresses:
    description: Addresses that it must be good for.
    type: list
    elements: str
    required: true
  days:
    description: Days that a new certificate is valid.
    type: int
    default: 365
  renew_days:
    description: Days before its end at which it is replaced.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Show the certificate
  ansible.builtin.debug:
    msg: >-
      {{ state.certificate | bulwark.hetzner.postgres_certificate(
           request=state.request, ca_certificate=ca_certificate, ca_key=ca_key,
           names=['db-primary'], addresses=['10.0.0.6']) }}
"""

RETURN = r"""
_value:
  description: The certificate in PEM form.
  type: str
"""

import datetime
from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError

from ..module_utils.postgres import certificates


def _filter(
    present: str,
    request: str,
    ca_certificate: str,
    ca_key: str,
    names: Sequence[str],
    addresses: Sequence[str],
    days: int = 365,
    renew_days: int = 60,
) -> str:
    now = datetime.datetime.now(datetime.UTC)
    try:
        wanted = certificates.wanted(names, addresses, int(days), int(renew_days))
        authority = certificates.authority(ca_certificate, ca_key, now)
        return certificates.certificate(present, request, wanted, authority, now) if request else ""
    except certificates.CertificateError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"postgres_certificate": _filter}
