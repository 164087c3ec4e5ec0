# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of database servers, signed on the controller, which the authority's key never leaves."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DAY = datetime.timedelta(days=1)


#: A key of any kind; what cryptography's kinds have in common has no type.
Key = Any


class CertificateError(Exception):
    """A certificate cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What a certificate must be good for. It is valid for ``days`` and replaced ``renew_days`` before its end."""

    names: tuple[str, ...]
    addresses: tuple[str, ...]
    days: int
    renew_days: int


@dataclass(frozen=True)
class Authority:
    """A certificate authority: its certificate and its private key."""

    certificate: Any
    key: Key


def authority(certificate: str, key: str, now: datetime.datetime) -> Authority:
    """The authority from two PEM texts. Raises CertificateError when they are none, do not match or have run out."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        signer = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        raise CertificateError("postgres_ca_key is not a private key in PEM form without a passphrase.") from None
    if not isinstance(signer, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        # SCRAM binds a login to the hash in the certificate's signature, and Ed25519's has none (RFC 5929, 4.1).
        raise CertificateError(
            "postgres_ca_key must be an ECDSA or RSA key: PostgreSQL's logins do not work with others."
        )
    try:
        issuer = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        raise CertificateError("postgres_ca_certificate is not a certificate in PEM form.") from None
    if _public(issuer.public_key()) != _public(signer.public_key()):
        raise CertificateError(
            "postgres_ca_key does not belong to postgres_ca_certificate: give both from the same authority."
        )
    try:
        may_sign = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        may_sign = False
    if not may_sign:
        raise CertificateError(
            "postgres_ca_certificate is not an authority's (CA:TRUE is missing), so nobody would trust what it signs."
        )
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise CertificateError(
            f"postgres_ca_certificate is valid from {issuer.not_valid_before_utc:%Y-%m-%d} to "
            f"{issuer.not_valid_after_utc:%Y-%m-%d} only: make a new one from the same key."
        )
    return Authority(issuer, signer)


def certificate(present: str, request: str, wanted: Wanted, by: Authority, now: datetime.datetime) -> str:
    """The certificate a server should have, as PEM: the present one while it is good, else a new one."""
    from cryptography import x509

    try:
        asked = x509.load_pem_x509_csr(request.encode())
    except ValueError:
        raise CertificateError(
            "The server's certificate request cannot be read: delete server.csr there and run again."
        ) from None
    if not asked.is_signature_valid:
        raise CertificateError(
            "The server's certificate request is not signed by its key: delete server.csr there and run again."
        )
    if present and _good(present, asked.public_key(), wanted, by, now):
        return present
    return _sign(asked.public_key(), wanted, by, now)


def _good(present: str, key: Key, wanted: Wanted, by: Authority, now: datetime.datetime) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        found = x509.load_pem_x509_certificate(present.encode())
        found.verify_directly_issued_by(by.certificate)
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    # A certificate must not outlive its authority, so near the authority's end there is nothing to win by a new one.
    end = min(now + wanted.renew_days * DAY, by.certificate.not_valid_after_utc)
    return (
        _public(found.public_key()) == _public(key)
        and set(alternative.get_values_for_type(x509.DNSName)) == set(wanted.names)
        and {str(address) for address in alternative.get_values_for_type(x509.IPAddress)} == set(wanted.addresses)
        and found.not_valid_before_utc <= now
        and found.not_valid_after_utc >= end
    )


def _sign(key: Key, wanted: Wanted, by: Authority, now: datetime.datetime) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    alternative: list[x509.GeneralName] = [x509.DNSName(name) for name in wanted.names]
    alternative += [x509.IPAddress(ipaddress.ip_address(address)) for address in wanted.addresses]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.names[0])]))
        .issuer_name(by.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # An hour back, for clocks that are behind; but never before the authority's own beginning.
        .not_valid_before(max(now - datetime.timedelta(hours=1), by.certificate.not_valid_before_utc))
        .not_valid_after(min(now + wanted.days * DAY, by.certificate.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.certificate.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def wanted(names: Sequence[str], addresses: Sequence[str], days: int, renew_days: int) -> Wanted:
    """What a certificate must be good for, checked. Raises CertificateError."""
    for name in names:
        if len(name) > 63 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
            raise CertificateError(
                f'"{name}" cannot stand in a certificate: use letters, digits, dots and hyphens, at most 63.'
            )
    if not 1 <= renew_days < days:
        raise CertificateError(
            f"A certificate of {days} days cannot be renewed {renew_days} days before its end: "
            "postgres_certificate_renew_days must be at least 1 and less than postgres_certificate_days."
        )
    try:
        normal = tuple(str(ipaddress.ip_address(address)) for address in addresses)
    except ValueError as error:
        raise CertificateError(f"A certificate for an address that is none: {error}.") from None
    return Wanted(tuple(names), normal, days, renew_days)


def _public(key: Key) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    data: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data
