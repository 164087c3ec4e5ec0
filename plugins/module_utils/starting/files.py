# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's files: what is missing is laid down, each in one step, and what is there stays.

The order is such that a run that was killed leaves nothing that the next one would not go on from: the topology, the
vault's password, the vault with all secrets at once, what groups of servers are told, and the inventory, which takes a
public key from the vault.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..topology.reading import TopologyError
from ..topology.schema import parse
from . import secrets
from .answers import render_group, render_servers, render_topology

#: In a file that came with the collection as an example, which may be replaced.
EXAMPLE = "REPLACE-ME"

TOPOLOGY = "group_vars/all/topology.yml"
VAULT = "group_vars/all/vault.yml"
SERVERS = "servers.yml"
#: Of the groups whose servers run the application.
GROUPS = ("group_vars/role_app.yml", "group_vars/role_jobs.yml")


class FilesError(Exception):
    """Nothing was written, or no more than what the next run goes on from; the message says what to do."""


@dataclass(frozen=True)
class Vault:
    """The programs that open and close a vault with the password in a file, given texts, and YAML's reader."""

    encrypt: Callable[[str, Path], str]
    decrypt: Callable[[Path, Path], str]
    load: Callable[[str], Any]


@dataclass(frozen=True)
class Environment:
    name: str
    folder: Path  # of the inventory
    password_file: Path
    topology: Mapping[str, Any]
    storage: Mapping[str, str | None]  # the keys of secrets.STORAGE that were given

    @property
    def wanted(self) -> secrets.Wanted:
        return secrets.Wanted(bool(self.topology.get("edge")), bool(self.topology.get("object_storage")))


def lay_down(environment: Environment, vault: Vault, check_mode: bool) -> list[str]:
    """The files that were (in check mode: would be) written. Raises :class:`FilesError`, before the first of them where
    that can be seen, and :class:`secrets.SecretsError`.
    """
    folder = environment.folder
    topology, vault_file, servers = folder / TOPOLOGY, folder / VAULT, folder / SERVERS
    password_file = environment.password_file
    groups = [folder / name for name in GROUPS]
    absent = {path: _absent(path) for path in (topology, vault_file, *groups, servers)}
    # It may be a program, which is not read.
    absent[password_file] = not password_file.exists()
    missing = [path for path in (topology, password_file, vault_file, *groups, servers) if absent[path]]
    _check_topology(environment, vault)
    _check_password_file(environment)
    if vault_file not in missing:
        known = _read_vault(environment, vault)
        authority = secrets.host_authority(known)
        _check_servers(servers, authority)
    else:
        if servers not in missing:
            raise FilesError(
                f"{servers} is there, but not the vault with the key of its host authority: bring {vault_file} back, "
                f"or move {servers} away and run again."
            )
        # Made before the first file, so that nothing is written where something is wrong with them.
        known = secrets.make(environment.wanted, environment.storage)
        authority = secrets.host_authority(known)
    if not check_mode:
        if topology in missing:
            _write(topology, render_topology(environment.topology), 0o644)
        if password_file in missing:
            _write(password_file, secrets.password() + "\n", 0o600)
        if vault_file in missing:
            _write(vault_file, vault.encrypt(secrets.render(known), password_file), 0o600)
        for group in groups:
            if group in missing:
                _write(group, render_group(), 0o644)
        if servers in missing:
            _write(servers, render_servers(environment.name, authority), 0o644)
    return [str(path) for path in missing]


def is_example(text: str) -> bool:
    return EXAMPLE in text


def _absent(path: Path) -> bool:
    """Whether it may be written: not there, or the example that came with the collection."""
    try:
        return is_example(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except (OSError, UnicodeDecodeError) as error:
        raise FilesError(f"{path} cannot be read: {error}.") from error


def _check_topology(environment: Environment, vault: Vault) -> None:
    path = environment.folder / TOPOLOGY
    if _absent(path):
        return
    try:
        same = parse(vault.load(path.read_text(encoding="utf-8"))["topology"]) == parse(environment.topology)
    except (TopologyError, TypeError, KeyError, ValueError):
        same = False
    if not same:
        raise FilesError(
            f"{path} exists and says something else than the answers: edit it by hand, or move it away, and run again."
        )


def _check_password_file(environment: Environment) -> None:
    path = environment.password_file
    if not path.is_absolute():
        raise FilesError(f"vault_password_file: {path} is no absolute path.")
    real = path.resolve()
    for parent in environment.folder.resolve().parents:
        if (parent / ".git").exists() and real.is_relative_to(parent):
            raise FilesError(
                f"{path} lies in the repository {parent}, beside what it opens: choose a place outside of it "
                "(vault_password_file)."
            )
    if path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
        # A program that prints the password may be read by anybody.
        if mode & 0o077 and not mode & 0o100:
            raise FilesError(f"{path} can be read by others: chmod 600 {path}, and run again.")
        if path.stat().st_size == 0:
            raise FilesError(f"{path} is empty: put the vault's password there, or remove it, and run again.")
    elif (environment.folder / VAULT).exists():
        raise FilesError(
            f"{environment.folder / VAULT} is there, but not the file with its password, {path}: say where it is "
            "(vault_password_file), and run again."
        )


def _read_vault(environment: Environment, vault: Vault) -> Mapping[str, Any]:
    path = environment.folder / VAULT
    try:
        known = vault.load(vault.decrypt(path, environment.password_file))
    except ValueError:
        known = None
    if not isinstance(known, Mapping):
        raise FilesError(f"{path} holds no variables: correct it with ansible-vault edit, and run again.")
    if lacking := secrets.missing(environment.wanted, known):
        raise FilesError(
            f"{path} exists and stays as it is, but lacks {', '.join(lacking)}: add what is missing with "
            f"ansible-vault edit --vault-password-file {environment.password_file} {path}."
        )
    return known


def _check_servers(path: Path, authority: str) -> None:
    if not _absent(path) and authority not in path.read_text(encoding="utf-8"):
        raise FilesError(
            f"{path} exists without this environment's host authority: add the line host_authorities: "
            f"['{authority}'] to it, and run again."
        )


def _write(path: Path, text: str, mode: int) -> None:
    """All of it or nothing, and nothing in the place of a file that has come to be there meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if mode == 0o600 else 0o755)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)  # of a run that was killed
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and is_example(path.read_text(encoding="utf-8")):
            os.replace(new, path)
        else:
            os.link(new, path)
    except FileExistsError:
        raise FilesError(f"{path} has come to be there meanwhile: run again.") from None
    finally:
        new.unlink(missing_ok=True)
