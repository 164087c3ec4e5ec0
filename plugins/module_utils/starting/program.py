# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own program for vaults. Texts reach it by its standard input, and no output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .files import FilesError

#: AnsibleModule, of which the checker knows no type.
Module = Any
#: Words of the command, the file with the password, what is fed to it, and the label of the vault's id, mostly empty.
Program = Callable[[list[str], Path, "str | None", str], str]


def vault_program(module: Module) -> Program:
    """The program that belongs to the Ansible that runs, whatever its configuration says of vaults.

    It raises FilesError, by the last line that the program said.
    """
    beside = Path(sys.executable).with_name("ansible-vault")
    program = str(beside) if beside.exists() else module.get_bin_path("ansible-vault", required=True)
    bare = Path(module.tmpdir, "ansible.cfg")
    bare.touch()
    quiet = {"ANSIBLE_CONFIG": str(bare), "ANSIBLE_VAULT_PASSWORD_FILE": "", "ANSIBLE_VAULT_IDENTITY_LIST": ""}

    def run(words: list[str], password_file: Path, data: str | None, label: str) -> str:
        opens = ["--vault-id", f"{label}@{password_file}"] if label else ["--vault-password-file", str(password_file)]
        command = [program, *words, *opens, "--output", "-"]
        code, out, told = module.run_command(command, data=data, environ_update=quiet)
        if code != 0:
            last = (told.strip().splitlines() or ["no reason was given"])[-1]
            raise FilesError(f"ansible-vault cannot {words[0]} with the password in {password_file}: {last}")
        return str(out)

    return run
