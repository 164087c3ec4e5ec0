"""What is laid down, what stays, and what every kind of interruption leaves for the next run."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh_host_authority import host_certificate
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting import files, secrets
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting.answers import topology
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting.files import Environment, FilesError, Vault
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.checkout import ROOT
from tests.lab.cloud_api import SSH_KEY

KEYS = dict(zip(secrets.STORAGE, ("access", "secret"), strict=True))
DECLARED = topology(
    "production",
    {
        "admin_addresses": "198.51.100.7",
        "admin_key": SSH_KEY,
        "edge_zone": "example.com",
        "object_storage_endpoint": "https://fsn1.your-objectstorage.com",
        "object_storage_region": "fsn1",
        "object_storage_uploads_bucket": "acme-uploads",
        "object_storage_backups_bucket": "acme-backups",
    },
)


def sealed(text: str, password_file: Path) -> str:
    """In place of ansible-vault, which the tests of the playbook go through: opens with the same password only."""
    return f"{password_file.read_text()}{text}"


def opened(path: Path, password_file: Path) -> str:
    password, text = password_file.read_text(), path.read_text()
    if not text.startswith(password):
        raise FilesError("ansible-vault cannot decrypt")
    return text.removeprefix(password)


VAULT = Vault(sealed, opened, yaml.safe_load)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment("production", tmp_path / "inventory", tmp_path / "elsewhere/password", DECLARED, KEYS)


def paths(environment: Environment) -> list[Path]:
    """In the order in which they are written."""
    folder = environment.folder
    groups = [folder / name for name in files.GROUPS]
    return [folder / files.TOPOLOGY, environment.password_file, folder / files.VAULT, *groups, folder / files.SERVERS]


def vault_of(environment: Environment) -> Mapping[str, Any]:
    known: Mapping[str, Any] = yaml.safe_load(opened(environment.folder / files.VAULT, environment.password_file))
    return known


def test_laid_down_once(environment: Environment) -> None:
    assert files.lay_down(environment, VAULT, check_mode=True) == [str(path) for path in paths(environment)]
    assert not environment.folder.exists()
    assert files.lay_down(environment, VAULT, check_mode=False) == [str(path) for path in paths(environment)]
    contents = [path.read_text() for path in paths(environment)]
    assert files.lay_down(environment, VAULT, check_mode=False) == []
    assert [path.read_text() for path in paths(environment)] == contents
    secret = {environment.password_file, environment.folder / files.VAULT}
    for path in paths(environment):
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path in secret else 0o644)
    assert secrets.missing(environment.wanted, vault_of(environment)) == []


@pytest.mark.parametrize("killed_before", range(4))
def test_killed_before_any_file(environment: Environment, killed_before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SIGKILL would: the temporary file stays, and nothing after it is done."""
    link, done = files.os.link, []

    class Killed(BaseException):
        pass

    def dying(source: Path, target: Path) -> None:
        if len(done) == killed_before:
            raise Killed
        done.append(target)
        link(source, target)

    monkeypatch.setattr(files.os, "link", dying)
    with pytest.raises(Killed):
        files.lay_down(environment, VAULT, check_mode=False)
    monkeypatch.undo()
    there = {path: path.read_text() for path in paths(environment) if path.exists()}
    assert list(there) == paths(environment)[:killed_before]
    following = paths(environment)[killed_before]
    following.parent.mkdir(parents=True, exist_ok=True)
    following.with_name(f".{following.name}.new").write_text("half of")

    written = files.lay_down(environment, VAULT, check_mode=False)
    assert written == [str(path) for path in paths(environment)[killed_before:]]
    assert {path: path.read_text() for path in there} == there
    assert files.lay_down(environment, VAULT, check_mode=False) == []


def test_what_is_refused_writes_nothing(environment: Environment) -> None:
    with pytest.raises(secrets.SecretsError, match="object_storage_secret_key is missing"):
        files.lay_down(replace(environment, storage=KEYS | {secrets.STORAGE[1]: ""}), VAULT, check_mode=False)
    (environment.folder.parent / ".git").mkdir()
    inside = environment.folder.parent / "password"
    with pytest.raises(FilesError, match="lies in the repository"):
        files.lay_down(replace(environment, password_file=inside), VAULT, check_mode=False)
    assert not environment.folder.exists()


def test_password_files_that_will_not_do(environment: Environment) -> None:
    environment.password_file.parent.mkdir()
    environment.password_file.write_text("")
    environment.password_file.chmod(0o600)
    with pytest.raises(FilesError, match="is empty"):
        files.lay_down(environment, VAULT, check_mode=False)
    environment.password_file.write_text("mine\n")
    environment.password_file.chmod(0o644)
    with pytest.raises(FilesError, match="chmod 600"):
        files.lay_down(environment, VAULT, check_mode=False)
    # One's own is used as it is.
    environment.password_file.chmod(0o600)
    assert str(environment.password_file) not in files.lay_down(environment, VAULT, check_mode=False)
    assert environment.password_file.read_text() == "mine\n"
    environment.password_file.unlink()
    with pytest.raises(FilesError, match="not the file with its password"):
        files.lay_down(environment, VAULT, check_mode=False)


def test_files_of_people_are_kept(environment: Environment) -> None:
    files.lay_down(environment, VAULT, check_mode=False)
    servers = environment.folder / files.SERVERS
    servers.write_text("plugin: bulwark.hetzner.servers\n")
    with pytest.raises(FilesError, match="without this environment's host authority: add the line"):
        files.lay_down(environment, VAULT, check_mode=False)
    vault = environment.folder / files.VAULT
    kept = vault.read_text()
    vault.write_text(
        sealed(yaml.safe_dump({**vault_of(environment), "bulwark_edge_secret": ""}), environment.password_file)
    )
    with pytest.raises(FilesError, match=r"lacks bulwark_edge_secret: add what is missing with ansible-vault edit"):
        files.lay_down(environment, VAULT, check_mode=False)
    vault.unlink()
    with pytest.raises(FilesError, match="not the vault with the key of its host authority"):
        files.lay_down(environment, VAULT, check_mode=False)
    vault.write_text(kept)
    other = replace(environment, topology=DECLARED | {"location": "nbg1"})
    with pytest.raises(FilesError, match="says something else than the answers"):
        files.lay_down(other, VAULT, check_mode=False)


def test_secrets_are_good_for_what_they_are_for() -> None:
    wanted = secrets.Wanted(edge=True, object_storage=True)
    made, other = secrets.make(wanted, KEYS), secrets.make(wanted, KEYS)
    assert yaml.safe_load(secrets.render(made)) == made
    generated = [name for name in made if name not in secrets.STORAGE]
    assert [name for name in generated if made[name] == other[name]] == []
    passwords = list(made["bulwark_database_passwords"].values())
    assert len(set(passwords)) == len(passwords)

    authority = secrets.host_authority(made)
    assert host_certificate("", SSH_KEY, made[secrets.HOST_AUTHORITY], ["hcloud-1"], [authority])

    key_name, certificate_name = secrets.DATABASE_AUTHORITY
    certificate = x509.load_pem_x509_certificate(made[certificate_name].encode())
    key = serialization.load_pem_private_key(made[key_name].encode(), None)
    assert certificate.public_key() == key.public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert (certificate.not_valid_after_utc - datetime.now(UTC)).days >= secrets.AUTHORITY_DAYS - 1


def test_what_is_not_used_is_not_made() -> None:
    made = secrets.make(secrets.Wanted(), {})
    assert not {"bulwark_edge_secret", "bulwark_backup_passphrase", *secrets.STORAGE} & made.keys()


def test_the_lab_and_the_guide_know_the_same_secrets() -> None:
    """The launcher makes the lab's own, since the lab takes nothing from the collection."""
    known = set(secrets.Wanted(edge=True, object_storage=True).names())
    launcher = (ROOT / "bulwark").read_text()
    vault = launcher[launcher.index("make_vault() {") : launcher.index("random() {")]
    named = set(re.findall(r"bulwark_[a-z_]+(?=[: ])", vault)) | set(secrets.STORAGE)
    assert named == known
    users = re.search(r"for user in ([a-z_ ]+);", vault)
    assert users
    assert tuple(users[1].split()) == secrets.DATABASE_USERS
    assert {name for name in known if f"`{name}`" not in (ROOT / "README.md").read_text()} == set()
