#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vault_secrets."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vault_secrets
short_description: Make new secrets in an environment's vault, and let old ones go
version_added: 1.0.0
description:
  - Changes entries of the vault's file on the controller and nothing else; all other entries, comments and the vault's
    password stay. The file is replaced in one step.
  - The file may be encrypted as a whole, or value by value as AWX needs it.
  - V(replicator), V(rewind), V(metrics) and V(grafana) are replaced at once. V(application), V(edge) and
    V(database_authority) go in steps, between which the old and the new one hold at the same time. A step that has been
    done changes nothing.
  - Secrets reach C(ansible-vault) by its standard input, and no output.
author: Contributors to bulwark.hetzner
attributes:
  check_mode:
    description: Can run in C(check_mode) and tells which entries it would change.
    support: full
  diff_mode:
    description: Shows the names of the entries, and no value.
    support: full
  idempotent:
    description: What is replaced at once is replaced by every run.
    support: partial
options:
  path:
    description: The vault's file.
    type: path
    required: true
  vault_password_file:
    description: File with the vault's password, or a program that prints it.
    type: path
    required: true
  new:
    description: Secrets of which there is to be a new one.
    type: list
    elements: str
    default: []
  use:
    description:
      - Those of V(edge) and V(database_authority) whose new one takes the place of the old one, which still holds.
    type: list
    elements: str
    default: []
  retire:
    description: Those of V(application), V(edge) and V(database_authority) whose old one is to hold no more.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Make another password for replication
  bulwark.hetzner.vault_secrets:
    path: inventories/production/group_vars/all/vault.yml
    vault_password_file: ~/.config/bulwark/production.vault-password
    new: [replicator]
"""

RETURN = r"""
changes:
  description: The entries that were changed, or would be in check mode, each in a few words without its value.
  returned: success
  type: list
  elements: str
gone:
  description: Names of variables that the file does not define any more.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.rotation.secrets import Asked, Makers, RotationError, plan
from ..module_utils.rotation.vault import Tool, Vault, rewrite
from ..module_utils.starting.files import FilesError
from ..module_utils.starting.program import vault_program
from ..module_utils.starting.secrets import SecretsError, database_authority, password

_NAMES = {"type": "list", "elements": "str", "default": []}
SPEC = {
    "path": {"type": "path", "required": True},
    "vault_password_file": {"type": "path", "required": True, "no_log": False},  # its place, which is no secret
    "new": _NAMES,
    "use": _NAMES,
    "retire": _NAMES,
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    path, password_file = Path(options["path"]), Path(options["vault_password_file"])
    run = vault_program(module)
    tool = Tool(
        encrypt=lambda text, label: run(["encrypt"], password_file, text, label),
        decrypt=lambda text: run(["decrypt"], password_file, text, ""),
    )
    gone: list[str] = []
    try:
        vault = Vault(path.read_text(encoding="utf-8"), tool, str(path))
        asked = Asked(options["new"], options["use"], options["retire"])
        edits = plan(vault.present, asked, Makers(password, database_authority))
        before = set(vault.present)
        vault.change(edits)
        gone = sorted(path[0] for path in before - set(vault.present) if len(path) == 1)
        if edits and not module.check_mode:
            rewrite(path, vault.text())
    except (FilesError, SecretsError, RotationError) as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{path} cannot be used: {error.strerror}. Name the vault's file on this machine.")
    changes = [edit.told for edit in edits]
    diff = {"before": "", "after": "".join(f"{line}\n" for line in changes)}
    module.exit_json(changed=bool(changes), changes=changes, gone=gone, diff=diff)


if __name__ == "__main__":
    main()
