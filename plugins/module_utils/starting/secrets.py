# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets of an environment: which there are, how each is made, and the vault's text. Nothing here is written."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

CRYPTOGRAPHY_MISSING = False
try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
except ImportError:
    CRYPTOGRAPHY_MISSING = True

#: The users of the database that log in with a password, see docs/database.md.
DATABASE_USERS = ("rails_app", "replicator", "rewind", "metrics")
#: How long the database's authority is good for; as docs/database.md makes it.
AUTHORITY_DAYS = 3650
#: The name in the authority's certificate, and who the host authority's key says it is of.
AUTHORITY_NAME = "Database authority"

HOST_AUTHORITY = "bulwark_host_authority_key"
DATABASE_AUTHORITY = ("bulwark_database_authority_key", "bulwark_database_authority_certificate")
STORAGE = ("bulwark_object_storage_access_key", "bulwark_object_storage_secret_key")


class SecretsError(ValueError):
    """The secrets cannot be made or used; the message is a sentence for a person, without any of them."""


@dataclass(frozen=True)
class Wanted:
    """What an environment has, as far as its secrets depend on it."""

    edge: bool = False
    object_storage: bool = False

    def names(self) -> list[str]:
        """The variables that the vault must define."""
        names = [HOST_AUTHORITY, *DATABASE_AUTHORITY, "bulwark_database_passwords", "bulwark_grafana_password"]
        names += ["bulwark_backup_passphrase", *STORAGE] if self.object_storage else []
        return names + (["bulwark_edge_secret"] if self.edge else [])


def make(wanted: Wanted, given: Mapping[str, str | None]) -> dict[str, Any]:
    """All secrets of a new environment. ``given`` are those that others have made, :data:`STORAGE`."""
    if CRYPTOGRAPHY_MISSING:
        raise SecretsError("Making the secrets takes the Python package cryptography, 40 or newer.")
    missing = [name for name in wanted.names() if name in STORAGE and not given.get(name)]
    if missing:
        raise SecretsError(
            f"{missing[0].removeprefix('bulwark_')} is missing: make a pair of S3 keys in the Hetzner Console under "
            "Security, S3 credentials, and answer with both, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    authority = database_authority()
    makers: dict[str, Callable[[], Any]] = {
        HOST_AUTHORITY: _host_authority,
        DATABASE_AUTHORITY[0]: lambda: authority[0],
        DATABASE_AUTHORITY[1]: lambda: authority[1],
        "bulwark_database_passwords": lambda: {user: password() for user in DATABASE_USERS},
        # Also what is used only once the topology gets an object storage, or an edge.
        "bulwark_backup_passphrase": password,
        "bulwark_edge_secret": password,
        "bulwark_grafana_password": password,
    }
    chosen = wanted.names()
    made = {name: maker() for name, maker in makers.items() if name in chosen}
    return made | {name: given[name] for name in STORAGE if name in chosen}


def password() -> str:
    """256 bits, in characters that no shell, URL or file format gives a meaning to."""
    return secrets.token_urlsafe(32)


def missing(wanted: Wanted, vault: Mapping[str, Any]) -> list[str]:
    """What a vault lacks, passwords of database users as ``bulwark_database_passwords.USER``."""
    lacking = [name for name in wanted.names() if not vault.get(name)]
    passwords = vault.get("bulwark_database_passwords")
    if isinstance(passwords, Mapping):
        lacking += [f"bulwark_database_passwords.{user}" for user in DATABASE_USERS if not passwords.get(user)]
    return lacking


def host_authority(vault: Mapping[str, Any]) -> str:
    """The public half of the host authority's key, one line. Raises :class:`SecretsError`."""
    if CRYPTOGRAPHY_MISSING:
        raise SecretsError("Reading the host authority's key takes the Python package cryptography, 40 or newer.")
    try:
        key = serialization.load_ssh_private_key((str(vault[HOST_AUTHORITY]).strip() + "\n").encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # No "from error": what a parser says of a key may quote it.
        raise SecretsError(
            f"{HOST_AUTHORITY} in the vault is no ed25519 private key in OpenSSH's format: see docs/ssh.md for how to "
            "make one."
        ) from None
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(*form).decode()


def render(made: Mapping[str, Any]) -> str:
    """The vault's text before it is encrypted. Its host authority comes first, with its public half beside it."""
    return "\n".join(["---", *_rendered(made)]) + "\n"


def _rendered(made: Mapping[str, Any]) -> Iterable[str]:
    for name, value in made.items():
        if isinstance(value, Mapping):
            yield f"{name}:"
            yield from (f"  {key}: {json.dumps(inner)}" for key, inner in value.items())
        elif "\n" in value:
            yield f"{name}: |"
            yield from (f"  {line}" for line in value.strip().splitlines())
        else:
            yield f"{name}: {json.dumps(value)}"


def _host_authority() -> str:
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
        .decode()
    )


def database_authority() -> tuple[str, str]:
    """Key and certificate. ECDSA, since an Ed25519 authority breaks SCRAM's channel binding, see docs/database.md."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, AUTHORITY_NAME)])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # for clocks that are behind
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), certificate.public_bytes(pem).decode()
