"""The authority whose certificates only the edge trusts: one for each kind of key, as the vendor's Origin CA."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.cloudflare.errors import CloudflareError
from lab.cloudflare.state import write_secret

RequestType = Literal["origin-rsa", "origin-ecc"]
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

#: Days a certificate may be asked for: https://developers.cloudflare.com/api/resources/origin_ca_certificates/
VALIDITIES = (7, 30, 90, 365, 730, 1095, 5475)
MOST_HOSTNAMES = 200
_SMALLEST_RSA = 2048
_CURVES = ("secp256r1", "secp384r1")
_AUTHORITY_DAYS = 2 * 5475
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOSTNAME = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}")

# Not the vendor's codes: which ones it has for these is not known.
_BAD_REQUEST = 1002
_BAD_HOSTNAMES = 1010


class Authority:
    """Both authorities, made when they are missing from the folder; their keys are the owner's alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for kind in ("origin-rsa", "origin-ecc"):
            if not self._certificate_file(kind).exists():
                self._make(kind)

    @property
    def certificates(self) -> tuple[Path, ...]:
        """What a client of origins must trust."""
        return self._certificate_file("origin-rsa"), self._certificate_file("origin-ecc")

    def _certificate_file(self, kind: str) -> Path:
        return self._folder / f"{kind}.crt"

    def _key_file(self, kind: str) -> Path:
        return self._folder / f"{kind}.key"

    def _make(self, kind: str) -> None:
        key: _Key
        if kind == "origin-rsa":
            key = rsa.generate_private_key(public_exponent=65537, key_size=_SMALLEST_RSA)
        else:
            key = ec.generate_private_key(ec.SECP256R1())
        # Named after the vendor's, so that what a person sees there is known, and so that nobody takes it for that.
        unit = "CloudFlare Origin SSL Certificate Authority".replace(
            "SSL ", "SSL ECC " if kind == "origin-ecc" else "SSL "
        )
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Embedded cloud, for tests only"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            ]
        )
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=_AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # The key first, so that whoever has a certificate has its key.
        write_secret(self._key_file(kind), pem)
        write_secret(self._certificate_file(kind), certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, request: x509.CertificateSigningRequest, hostnames: Sequence[str], days: int) -> x509.Certificate:
        """A certificate for the key of the request and these names; nothing else of the request is taken over."""
        kind = "origin-rsa" if isinstance(request.public_key(), rsa.RSAPublicKey) else "origin-ecc"
        issuer = x509.load_pem_x509_certificate(self._certificate_file(kind).read_bytes())
        key = serialization.load_pem_private_key(self._key_file(kind).read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError(f"{self._key_file(kind)} is not the key that was written there")
        subject = [
            (NameOID.ORGANIZATION_NAME, "CloudFlare, Inc."),
            (NameOID.ORGANIZATIONAL_UNIT_NAME, "CloudFlare Origin CA"),
            (NameOID.COMMON_NAME, "CloudFlare Origin Certificate"),
        ]
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        names = [x509.DNSName(name) for name in hostnames]
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]))
            .issuer_name(issuer.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, hashes.SHA256())
        )


def _usage(**given: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{**dict.fromkeys(every, False), **given})


def check_request(text: str, request_type: RequestType) -> x509.CertificateSigningRequest:
    """A certificate signing request in PEM whose key is of the kind that was asked for, and which that key signed."""
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CloudflareError(_BAD_REQUEST, "The certificate signing request cannot be read.") from error
    if not signed:
        raise CloudflareError(_BAD_REQUEST, "The certificate signing request is not signed by its own key.")
    if request_type == "origin-rsa":
        if not isinstance(key, rsa.RSAPublicKey):
            raise CloudflareError(_BAD_REQUEST, "origin-rsa needs a certificate signing request with an RSA key.")
        if key.key_size < _SMALLEST_RSA:
            raise CloudflareError(_BAD_REQUEST, f"An RSA key needs at least {_SMALLEST_RSA} bits.")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise CloudflareError(
            _BAD_REQUEST, "origin-ecc needs a certificate signing request with a key of P-256 or P-384."
        )
    return request


def check_hostnames(given: Sequence[str]) -> tuple[str, ...]:
    """Names a certificate may be for, in lower case; whether they are the account's is not known here."""
    names = tuple(dict.fromkeys(name.lower().removesuffix(".") for name in given))
    if not names:
        raise CloudflareError(_BAD_HOSTNAMES, "At least one hostname is needed.")
    if len(names) > MOST_HOSTNAMES:
        raise CloudflareError(_BAD_HOSTNAMES, f"A certificate is for {MOST_HOSTNAMES} hostnames at most.")
    for name in names:
        if not _HOSTNAME.fullmatch(name) or name.replace(".", "").isdecimal():
            raise CloudflareError(_BAD_HOSTNAMES, f"Failed to validate requested hostname {name}: it is not valid.")
    return names
