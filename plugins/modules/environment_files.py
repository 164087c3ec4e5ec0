#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module environment_files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: environment_files
short_description: Lay down the inventory of a new environment, with all its secrets in a vault
version_added: 1.0.0
description:
  - Writes C(group_vars/all/topology.yml), the password of the vault, C(group_vars/all/vault.yml) with every secret that
    can be made, C(group_vars/role_app.yml) and C(group_vars/role_jobs.yml), by which the deploy user may use Docker
    there, and C(servers.yml) with the public half of the environment's host authority.
  - What is there is never overwritten, but for the examples that came with the collection. A run that was killed is
    completed by the next; a secret that was made once stays.
  - Secrets reach C(ansible-vault) by its standard input, and no output.
author: Contributors to bulwark.hetzner
attributes:
  check_mode:
    description: Can run in C(check_mode) and tells which files it would write.
    support: full
options:
  environment_name:
    description: Name of the environment.
    type: str
    required: true
  path:
    description: Folder of the inventory.
    type: path
    required: true
  topology:
    description: The topology. Where the file is there already, it must say the same.
    type: dict
    required: true
  vault_password_file:
    description:
      - File with the vault's password, or a program that prints it, outside of the repository. It is made where it is
        not there.
    type: path
    required: true
  object_storage_access_key:
    description: Access key of the object storage that the topology names; not used where there is a vault.
    type: str
  object_storage_secret_key:
    description: Its secret key.
    type: str
"""

EXAMPLES = r"""
- name: Lay down what production starts from
  bulwark.hetzner.environment_files:
    environment_name: production
    path: inventories/production
    topology: "{{ topology }}"
    vault_password_file: ~/.config/bulwark/production.vault-password
"""

RETURN = r"""
files:
  description: What was written; in check mode what would be.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.yaml import HAS_YAML, yaml_load

from ..module_utils.starting.files import Environment, FilesError, Vault, lay_down
from ..module_utils.starting.program import vault_program
from ..module_utils.starting.secrets import STORAGE, SecretsError

SPEC = {
    "environment_name": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "topology": {"type": "dict", "required": True},
    "vault_password_file": {"type": "path", "required": True, "no_log": False},  # its place, which is no secret
    "object_storage_access_key": {"type": "str", "no_log": True},
    "object_storage_secret_key": {"type": "str", "no_log": True},
}


def _vault(module: AnsibleModule) -> Vault:
    run = vault_program(module)
    return Vault(
        encrypt=lambda text, password_file: run(["encrypt"], password_file, text, ""),
        decrypt=lambda path, password_file: run(["decrypt", str(path)], password_file, None, ""),
        load=_load,
    )


def _load(text: str) -> object:
    """What cannot be read is a ValueError, which quotes nothing of the text."""
    try:
        loaded: object = yaml_load(text)
    except Exception:  # the reader's own, which are not importable where it is missing
        raise ValueError("no YAML") from None
    return loaded


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    if not HAS_YAML:
        module.fail_json(msg="The Python library PyYAML is missing: install it where the playbook runs.")
    environment = Environment(
        name=options["environment_name"],
        folder=Path(options["path"]),
        password_file=Path(options["vault_password_file"]),
        topology=options["topology"],
        storage={name: options[name.removeprefix("bulwark_")] for name in STORAGE},
    )
    try:
        files = lay_down(environment, _vault(module), module.check_mode)
    except (FilesError, SecretsError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(files), files=files)


if __name__ == "__main__":
    main()
