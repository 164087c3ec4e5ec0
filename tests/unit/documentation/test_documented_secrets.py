"""The commands by which people make secrets of their own are typed as they stand in the pages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.checkout import ansible_environment
from tests.documented import typed


class Loader(yaml.SafeLoader):
    """Reads encrypted values as the text that they are."""


Loader.add_constructor("!vault", lambda loader, node: loader.construct_scalar(node))


def commands(page: str, *beginnings: str) -> str:
    """A page's commands that begin so, in its order."""
    found = [command.text for command in typed() if command.page == page and command.text.startswith(beginnings)]
    assert len(found) == len(beginnings), found
    return "\n".join(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("of the vault\n")
    (tmp_path / "inventories/production/group_vars/all").mkdir(parents=True)
    return tmp_path


def run(script: str, folder: Path) -> str:
    environment = ansible_environment(ANSIBLE_VAULT_PASSWORD_FILE=str(folder / "password"))
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def opened(folder: Path, encrypted: str) -> str:
    (folder / "encrypted").write_text(encrypted)
    return run("ansible-vault decrypt --output - encrypted", folder)


def test_the_authority_of_hosts(folder: Path) -> None:
    said = run(commands("docs/ssh.md", "ssh-keygen -t", "ansible-vault encrypt_string", "cat authority.pub"), folder)
    value, _, public = said[said.index("bulwark_host_authority_key:") :].rpartition("ssh-ed25519 ")
    assert public.strip().endswith("production hosts")
    (folder / "key").write_text(
        opened(folder, yaml.load(value, Loader)["bulwark_host_authority_key"])  # noqa: S506 because it is a safe loader
    )
    (folder / "key").chmod(0o600)
    assert run("ssh-keygen -y -f key", folder).split()[1] == public.split()[0]
    run(commands("docs/ssh.md", "shred"), folder)
    assert not (folder / "authority").exists()


def test_the_authority_of_the_database(folder: Path) -> None:
    run(commands("docs/database.md", "openssl req"), folder)
    certificate = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
    key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert certificate.public_key() == key.public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_a_value_that_is_encrypted_by_itself(folder: Path) -> None:
    vault = folder / "inventories/production/group_vars/all/vault.yml"
    vault.write_text("bulwark_backup_passphrase: of the backups\n")
    run(f"ansible-vault encrypt {vault}", folder)  # as a whole, as init does it
    (folder / "passphrase").write_text("of the backups\n")
    said = run(commands("docs/awx.md", "ansible-vault view", "printf", "mv"), folder)
    assert "bulwark_backup_passphrase: of the backups" in said
    value = yaml.load(vault.read_text(), Loader)["bulwark_backup_passphrase"]  # noqa: S506 because it is a safe loader
    assert opened(folder, value) == "of the backups"
