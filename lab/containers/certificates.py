"""The authority that servers of the lab trust as others trust the public ones, and certificates it signs.

It lives as long as the lab: made by ``up``, gone with ``down``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import settings

#: What servers are given to trust, and the key of that.
CERTIFICATE = settings.AUTHORITY / "ca.crt"
_KEY = settings.AUTHORITY / "ca.key"

#: A lab is not kept for years.
_VALID = timedelta(days=365)


_PUBLIC_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def authority(folder: Path = settings.AUTHORITY) -> tuple[Path, Path]:
    """The authority's certificate and key, made when missing; certificates of an earlier one go then."""
    ca_file, ca_key_file = folder / CERTIFICATE.name, folder / _KEY.name
    if not ca_file.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in folder.glob("*.crt"):
            stale.unlink()
        key = ec.generate_private_key(ec.SECP256R1())
        # Keys are written first, so that whoever has a certificate has its key.
        _write(ca_key_file, _pem(key))
        _write(ca_file, _certify("Embedded cloud, for tests only", key, key, None, []))
    return ca_file, ca_key_file


def trust(target: Path, folder: Path = settings.AUTHORITY, public: Path = _PUBLIC_AUTHORITIES) -> None:
    """Write what a program on the embedded internet should trust: the public authorities, if any, and the lab's."""
    bundle = public.read_bytes() if public.exists() else b""
    _write(target, bundle + authority(folder)[0].read_bytes())
    target.chmod(0o644)


def issue(names: Sequence[str], folder: Path = settings.AUTHORITY) -> tuple[Path, Path]:
    """A certificate for these names and its key, in PEM, signed by the lab's authority; both are made when missing."""
    ca_file, ca_key_file = authority(folder)
    certificate_file, key_file = folder / f"{names[0]}.crt", folder / f"{names[0]}.key"
    if not certificate_file.exists():
        signer = x509.load_pem_x509_certificate(ca_file.read_bytes())
        signer_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), password=None)
        if not isinstance(signer_key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{ca_key_file} is not the key that was written there")
        key = ec.generate_private_key(ec.SECP256R1())
        _write(key_file, _pem(key))
        _write(certificate_file, _certify(names[0], key, signer_key, signer, names))
    return certificate_file, key_file


def _certify(
    title: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    names: Sequence[str],
) -> bytes:
    """A certificate of the names, or without an issuer that of an authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of containers are the machine's; an hour is for whoever sets that.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is None:
        usage = {"digital_signature": False, "key_cert_sign": True, "crl_sign": True}
    else:
        usage = {"digital_signature": True, "key_cert_sign": False, "crl_sign": False}
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    other_uses = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    never = dict.fromkeys((*other_uses, "encipher_only", "decipher_only"), False)
    builder = builder.add_extension(x509.KeyUsage(**usage, **never), critical=True)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    os.replace(unfinished, path)
