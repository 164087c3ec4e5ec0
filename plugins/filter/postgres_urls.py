# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: URLs of a database that stay right when its members swap roles."""

from __future__ import annotations

DOCUMENTATION = r"""
name: postgres_urls
short_description: URLs of a database that stay right when its members swap roles
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Names all members in each URL, and lets the client ask every one of them whether it is the right one.
  - The URLs are for libpq from version 15 on and what is built on it, and for Rails from 7.0 on.
positional: _input
options:
  _input:
    description: Members of the database, each with C(name) and C(address).
    type: list
    elements: dict
    required: true
  database:
    description: Name of the database.
    type: str
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
"""

EXAMPLES = r"""
- name: Hand an application its database
  ansible.builtin.set_fact:
    urls: >-
      {{ [{'name': 'db-primary', 'address': '10.0.0.6'}, {'name': 'db-replica', 'address': '10.0.0.7'}]
         | bulwark.hetzner.postgres_urls(database='rails_production', user='rails_app', password=vault_password,
                                         root_certificate='/etc/bulwark/database/ca.crt') }}
  no_log: true
"""

RETURN = r"""
_value:
  description:
    - C(write), which leads to the primary, and C(read), which leads to a replica, or to the primary if none answers.
      They hold the password.
  type: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.postgres.urls import LoginError, Urls, login


def _filter(
    members: Sequence[Mapping[str, Any]], database: str, user: str, password: str, root_certificate: str
) -> Urls:
    try:
        return login(members, user, password, root_certificate).urls(database)
    except LoginError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Urls]]:
        return {"postgres_urls": _filter}
