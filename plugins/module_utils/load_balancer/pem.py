# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a certificate in PEM says, and whether it can be served with a private key. Pure: it asks nobody."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

CRYPTOGRAPHY_MISSING = False
try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
except ImportError:
    CRYPTOGRAPHY_MISSING = True


class CertificateError(ValueError):
    """The certificate or its key will not do; the message is a sentence for a person, without any of the key."""


@dataclass(frozen=True)
class Chain:
    """A certificate, followed by those that certify it."""

    certificates: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        return self.certificates[0]

    @property
    def pem(self) -> str:
        """All of it in PEM, without whatever else stood in the text that it was read from."""
        form = serialization.Encoding.PEM
        return "".join(certificate.public_bytes(form).decode() for certificate in self.certificates)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate itself, in hexadecimal digits."""
        return hashlib.sha256(_der(self.leaf)).hexdigest()

    @property
    def content(self) -> str:
        """SHA-256 of all of it: the fingerprint where nothing follows the certificate."""
        return hashlib.sha256(b"".join(map(_der, self.certificates))).hexdigest()

    @property
    def not_valid_after(self) -> datetime:
        return self.leaf.not_valid_after_utc

    @property
    def names(self) -> tuple[str, ...]:
        """Host names and addresses that it is for. The common name does not count: clients ignore it."""
        try:
            names = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (x509.ExtensionNotFound, ValueError):
            return ()
        return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def require() -> None:
    """Raises :class:`CertificateError` where certificates cannot be read at all."""
    if CRYPTOGRAPHY_MISSING:
        raise CertificateError("Certificates take the Python package cryptography, 42 or newer, where the module runs.")


def parse(pem: str) -> Chain:
    """The certificates in a text. Raises :class:`CertificateError`."""
    require()
    if "PRIVATE KEY-----" in pem:
        raise CertificateError("There is a private key among the certificates: give it as private_key instead.")
    try:
        return Chain(tuple(x509.load_pem_x509_certificates(pem.encode())))
    except ValueError:
        raise CertificateError(
            "The certificate cannot be read: it must be in PEM format (-----BEGIN CERTIFICATE-----), followed by those "
            "that certify it."
        ) from None


def check(chain: Chain, private_key: str, now: datetime) -> None:
    """Whether this can be served at the time ``now``. Raises :class:`CertificateError`, and never quotes the key."""
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except TypeError:
        raise CertificateError("The private key is protected by a passphrase: give it without one.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(
            "The private key cannot be read: it must be in PEM format (-----BEGIN PRIVATE KEY-----)."
        ) from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != chain.leaf.public_key().public_bytes(*form):
        raise CertificateError(
            f"The private key does not belong to the certificate for {told(chain.names)}: give the pair that was made "
            "together, the server's own certificate first."
        )
    check_time(chain, now)
    for number, (certificate, issuer) in enumerate(zip(chain.certificates, chain.certificates[1:], strict=False), 2):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise CertificateError(
                f"Certificate {number} of the chain ({issuer.subject.rfc4514_string()}) does not certify the one "
                f"before it ({certificate.subject.rfc4514_string()}): put each after the one that it certifies."
            ) from None


def check_time(chain: Chain, now: datetime) -> None:
    """Whether it is valid at ``now``. Raises :class:`CertificateError`."""
    if now > chain.not_valid_after:
        raise CertificateError(
            f"The certificate for {told(chain.names)} expired on {chain.not_valid_after:%Y-%m-%d %H:%M} UTC: renew it."
        )
    begin = chain.leaf.not_valid_before_utc
    if now < begin:
        raise CertificateError(
            f"The certificate for {told(chain.names)} is not valid before {begin:%Y-%m-%d %H:%M} UTC: wait until then, "
            "or look at the clock of the computer that made it."
        )


def check_names(names: Sequence[str], hostnames: Iterable[str]) -> None:
    """Whether a certificate for ``names`` is good for all of ``hostnames``. Raises :class:`CertificateError`."""
    missing = [hostname for hostname in hostnames if not any(_covers(name, hostname) for name in names)]
    if missing:
        raise CertificateError(f"The certificate is for {told(names)}, which leaves out {', '.join(missing)}.")


def _covers(name: str, hostname: str) -> bool:
    """As RFC 9525 says: a star stands for exactly one label, the first."""
    name, hostname = (_comparable(text) for text in (name, hostname))
    if name == hostname:
        return True
    star, _, rest = name.partition(".")
    label, _, domain = hostname.partition(".")
    return star == "*" and bool(label) and label != "*" and rest == domain


def _comparable(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def told(names: Iterable[str]) -> str:
    return ", ".join(names) or "no name"


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
