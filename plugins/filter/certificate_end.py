# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: when a certificate ends, for people."""

from __future__ import annotations

DOCUMENTATION = r"""
name: certificate_end
short_description: The day a certificate ends, and in how many days that is
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Reads an X.509 certificate in PEM form, the certificate of an SSH host key, or a time as APIs tell it.
requirements:
  - cryptography 42 or newer on the controller
options:
  _input:
    description: The certificate, or a time like V(2041-01-31T12:00:00Z). Of several certificates the first counts.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show when the authority ends
  ansible.builtin.debug:
    msg: "{{ bulwark_database_authority_certificate | bulwark.hetzner.certificate_end }}"
"""

RETURN = r"""
_value:
  description: Such as V(2041-01-31, in 5180 days).
  type: str
"""

from collections.abc import Callable
from datetime import UTC, datetime

from ansible.errors import AnsibleFilterError

from ..module_utils.rotation.ends import EndsError, told


def _filter(text: str) -> str:
    try:
        return told(str(text), datetime.now(UTC))
    except EndsError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"certificate_end": _filter}
