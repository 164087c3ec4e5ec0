# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: what a server needs to reach the database."""

from __future__ import annotations

DOCUMENTATION = r"""
name: database_client
short_description: Environment and files with which a server reaches the database
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Renders P(bulwark.hetzner.postgres_urls#filter) for several databases, under the names that Rails looks for, and the
    files that C(psql) reads.
positional: _input
options:
  _input:
    description: Members of the database, each with C(name) and C(address).
    type: list
    elements: dict
    required: true
  databases:
    description: Databases by the name that Rails' C(database.yml) has for them. The first one is called V(primary).
    type: dict
    required: true
  user:
    description: The database's user.
    type: str
    required: true
  password:
    description: The user's password. A secret, and so is what comes out.
    type: str
    required: true
  root_certificate:
    description: Path of the authority's certificate, where the client reads it.
    type: str
    required: true
  passfile:
    description: Path of the file with the password, as the services name it.
    type: str
    default: ""
  uploads:
    description: Object storage for uploads with C(endpoint), C(region), C(bucket), C(access_key) and C(secret_key).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Learn the names of the variables
  ansible.builtin.debug:
    msg: "{{ needed.environment.keys() }}"
  vars:
    needed: "{{ members | bulwark.hetzner.database_client(databases, user, password, '/etc/bulwark/database/ca.crt') }}"
"""

RETURN = r"""
_value:
  description:
    - C(environment), variables by name, in order; C(services), the content of C(pg_service.conf); C(passfile), the
      content of the file with the password. All but C(services) are secret.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.postgres.urls import Files, LoginError, files, login


def _filter(
    members: Sequence[Mapping[str, Any]],
    databases: Mapping[str, str],
    user: str,
    password: str,
    root_certificate: str,
    passfile: str = "",
    uploads: Mapping[str, Any] | None = None,
) -> Files:
    try:
        return files(login(members, user, password, root_certificate), databases, passfile, uploads or {})
    except LoginError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Files]]:
        return {"database_client": _filter}
