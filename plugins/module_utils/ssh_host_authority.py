# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host authority of an environment: a key that vouches for the host keys of its servers.

Certificates: https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.certkeys. All of it happens in memory: the private key
is neither written anywhere nor given to a program or a server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

CRYPTOGRAPHY_MISSING = False
try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import SSHCertificate, SSHCertificateBuilder, SSHCertificateType
except ImportError:
    CRYPTOGRAPHY_MISSING = True

#: How long a certificate is good for, and when it is made anew. The time between is how long an environment may be left
#: alone before a controller that never met its servers refuses them.
VALIDITY = timedelta(days=365)
RENEWAL = timedelta(days=180)
#: How far the clock of a client may be behind the controller's.
CLOCK_SKEW = timedelta(hours=1)

#: A name that a certificate is good for. No comma: ssh reads a list where one stands.
PRINCIPAL = re.compile(r"[A-Za-z0-9._:-]{1,255}")
_PUBLIC_KEY = re.compile(r"(ssh-ed25519 [A-Za-z0-9+/]{16,}={0,2})(?: .*)?")


class AuthorityError(ValueError):
    """There can be no certificate; the message is a sentence for a person, without any of the key."""


def public_key(line: str) -> str:
    """An authority's public key, type and key alone, from a line as in a .pub file. Raises AuthorityError."""
    match = _PUBLIC_KEY.fullmatch(line.strip())
    if not match:
        # Not quoted: it may be the private key that somebody put there.
        raise AuthorityError(
            "A host authority is given by its public key, one line like 'ssh-ed25519 AAAA…'; something else is there."
        )
    return match[1]


def host_certificate(
    present: str,
    host_key: str,
    authority_key: str,
    names: Sequence[str],
    accepted: Iterable[str] = (),
    now: datetime | None = None,
) -> str:
    """The certificate that a host ought to show: the one it has while that will do, else a new one.

    ``present`` is its certificate (empty for none), ``host_key`` its public key, ``names`` what it is good for.
    ``accepted`` are the public keys that clients go by; unless empty, the authority must be among them.
    Raises AuthorityError.
    """
    if CRYPTOGRAPHY_MISSING:
        raise AuthorityError("Certificates of host keys take the Python package cryptography, 40 or newer.")
    now = now or datetime.now(UTC)
    authority = _authority(authority_key)
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    own = authority.public_key().public_bytes(*form).decode()
    known = [public_key(line) for line in accepted]
    if known and own not in known:
        raise AuthorityError(
            f"The private key of the host authority belongs to '{own}', which is not among the host authorities that "
            "clients go by: correct one of them, or they will refuse the servers."
        )
    unfit = [name for name in names if not PRINCIPAL.fullmatch(name)]
    if unfit or not names:
        what = f"{unfit[0]!r} is none" if unfit else "there is none"
        raise AuthorityError(f"A certificate is good for names of a host, and {what}: give names or addresses.")
    try:
        key = serialization.load_ssh_public_key(host_key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AuthorityError("The host's public key cannot be read: look at its ssh_host_ed25519_key.pub.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AuthorityError("The host's public key is not of the type ed25519, which is the one that sshd shows.")
    if _will_do(present, key, authority, names, now):
        return present
    builder = (
        SSHCertificateBuilder()
        .public_key(key)
        .serial(int(now.timestamp()))
        .type(SSHCertificateType.HOST)
        .key_id(names[0].encode())
        .valid_principals([name.encode() for name in names])
        .valid_after(int((now - CLOCK_SKEW).timestamp()))
        .valid_before(int((now + VALIDITY).timestamp()))
    )
    return builder.sign(authority).public_bytes().decode() + "\n"


def _authority(text: str) -> Ed25519PrivateKey:
    try:
        # The last line of a key must end in a line feed, which gets lost on the way through YAML.
        key = serialization.load_ssh_private_key((text.strip() + "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # No "from error": what a parser says of a key may quote it.
        raise AuthorityError(
            "The key of the host authority must be an ed25519 private key in OpenSSH's format, without a passphrase: "
            "make one with ssh-keygen -t ed25519 -N '' and keep it in the vault."
        ) from None
    return key


def _will_do(
    present: str, key: Ed25519PublicKey, authority: Ed25519PrivateKey, names: Sequence[str], now: datetime
) -> bool:
    """Whether a certificate is for this key and these names, by this authority, and good for long enough."""
    try:
        found = serialization.load_ssh_public_identity(present.encode())
        if not isinstance(found, SSHCertificate):
            return False
        found.verify_cert_signature()
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return bool(
        found.type is SSHCertificateType.HOST
        and found.public_key() == key
        and found.signature_key() == authority.public_key()
        and found.valid_principals == [name.encode() for name in names]
        and not found.critical_options
        and found.valid_after <= now.timestamp()
        and found.valid_before > (now + RENEWAL).timestamp()
    )
