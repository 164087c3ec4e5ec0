"""What certificates say of themselves, and whether one can be used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

_REMEMBERED = 256


@dataclass(frozen=True)
class Facts:
    not_valid_before: str
    not_valid_after: str
    domain_names: tuple[str, ...]
    fingerprint: str  # SHA-256


@dataclass(frozen=True)
class Problem:
    """Why a certificate cannot be used; ``field`` as requests name it."""

    field: str
    message: str


@lru_cache(_REMEMBERED)
def facts(certificate: str) -> Facts:
    """Of the first certificate of a chain in which ``problem`` found nothing wrong."""
    first = x509.load_pem_x509_certificates(certificate.encode())[0]
    return Facts(
        not_valid_before=_text(first.not_valid_before_utc),
        not_valid_after=_text(first.not_valid_after_utc),
        domain_names=_domain_names(first),
        fingerprint=first.fingerprint(hashes.SHA256()).hex(":"),
    )


def problem(certificate: str, private_key: str, now: str) -> Problem | None:
    """The first thing wrong with a chain and its key. ``now`` is a point in time as resources hold them."""
    if "PRIVATE KEY" in certificate:
        return Problem("certificate", "must not contain a private key")  # it would be part of answers
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
        facts(certificate)
        certified = _public(chain[0].public_key())
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return Problem("certificate", "must be a certificate and its chain in PEM format")
    try:
        key = serialization.load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return Problem("private_key", "must be a private key in PEM format, without a passphrase")
    if certified != _public(key.public_key()):
        return Problem("private_key", "does not belong to the certificate")
    if _text(chain[0].not_valid_after_utc) <= now:
        return Problem("certificate", f"has expired at {_text(chain[0].not_valid_after_utc)}")
    for number, (issued, issuer) in enumerate(pairwise(chain), start=1):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return Problem("certificate", f"certificate {number} of the chain was not issued by the one after it")
    return None


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _domain_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]  # because it may be any kind of key
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
