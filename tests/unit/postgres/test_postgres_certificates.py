"""Certificates, and passwords as the server stores them."""

from __future__ import annotations

import base64
import datetime
import hmac
from functools import cache

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import certificates, scram
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.certificates import CertificateError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2030, 6, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
WANTED = certificates.wanted(["db-primary"], ["10.0.0.6"], 365, 60)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def authority(which: str = "ours", days: int = 3650, ca: bool = True) -> tuple[str, str]:
    """Certificate and key of an authority, as PEM; the same for the same words."""
    return _authority(which, days, ca)


@cache
def _authority(which: str, days: int, ca: bool) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(name("Database authority"))
        .issuer_name(name("Database authority"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + days * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode(), pem(key)


@cache
def request(which: str = "first") -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    made = x509.CertificateSigningRequestBuilder().subject_name(name("x")).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def signed(present: str = "", now: datetime.datetime = NOW, wanted: certificates.Wanted = WANTED, **more: str) -> str:
    by = certificates.authority(*authority(more.get("which", "ours"), int(more.get("days", 3650))), now)
    return certificates.certificate(present, request(more.get("request", "first")), wanted, by, now)


def test_a_certificate_is_good_for_the_name_and_the_address_and_signed_by_the_authority() -> None:
    made = x509.load_pem_x509_certificate(signed().encode())
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(authority()[0].encode()))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db-primary"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.6"]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_good_one_stays_until_it_is_time() -> None:
    first = signed()
    assert signed(first) == first
    assert signed(first, NOW + 300 * DAY) == first
    renewed = signed(first, NOW + 306 * DAY)
    assert renewed != first
    assert signed(renewed, NOW + 306 * DAY) == renewed


@pytest.mark.parametrize(
    "more",
    [
        {"which": "another"},
        {"request": "second"},
        {"wanted": certificates.wanted(["db-primary"], ["10.0.0.66"], 365, 60)},
        {"wanted": certificates.wanted(["db-2"], ["10.0.0.6"], 365, 60)},
    ],
)
def test_one_for_something_else_is_replaced(more: dict[str, str]) -> None:
    assert signed(signed(), **more) != signed(signed())  # type: ignore[arg-type]  # because of the shorthand


def test_none_outlives_its_authority_and_near_the_end_of_that_none_is_made_in_vain() -> None:
    short = signed(days="30")
    made = x509.load_pem_x509_certificate(short.encode())
    assert made.not_valid_after_utc == NOW + 30 * DAY
    assert signed(short, days="30") == short


def test_what_is_no_certificate_is_replaced() -> None:
    assert signed("-----BEGIN CERTIFICATE-----\nnonsense\n").startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("certificate", "key", "now", "says"),
    [
        (authority()[0], authority("another")[1], NOW, "does not belong to"),
        (authority()[0], "x", NOW, "postgres_ca_key is not a private key"),
        ("x", authority()[1], NOW, "postgres_ca_certificate is not a certificate"),
        (*authority("leaf", ca=False), NOW, "CA:TRUE is missing"),
        (*authority(), NOW + 4000 * DAY, "is valid from 2030-05-31"),
        (authority()[0], pem(ed25519.Ed25519PrivateKey.generate()), NOW, "must be an ECDSA or RSA key"),
    ],
)
def test_an_authority_that_could_not_sign_is_refused(
    certificate: str, key: str, now: datetime.datetime, says: str
) -> None:
    with pytest.raises(CertificateError, match=says) as refused:
        certificates.authority(certificate, key, now)
    assert "PRIVATE KEY" not in str(refused.value)


@pytest.mark.parametrize(
    ("names", "addresses", "renew", "says"),
    [
        (["db_primary"], [], 60, "cannot stand in a certificate"),
        (["db"], ["10.0.0.666"], 60, "an address that is none"),
        (["db"], [], 365, "cannot be renewed"),
    ],
)
def test_what_cannot_stand_in_one_is_refused(names: list[str], addresses: list[str], renew: int, says: str) -> None:
    with pytest.raises(CertificateError, match=says):
        certificates.wanted(names, addresses, 365, renew)


def test_a_verifier_serves_the_exchange_of_the_standard() -> None:
    # The example of RFC 7677, 3: user "user", password "pencil", and what client and server say to each other.
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    message = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={salt},i=4096,c=biws,r={nonce}"
    made = scram.verifier("pencil", base64.b64decode(salt))
    server_key = base64.b64decode(made.rpartition(":")[2])
    proof = base64.b64encode(hmac.digest(server_key, message.encode(), "sha256")).decode()
    assert proof == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert made.startswith(f"SCRAM-SHA-256$4096:{salt}$")


@pytest.mark.parametrize("password", ["not: a \"secret\" \\ 'one'", "correct horse battery", "$%&/()=?`"])
def test_a_password_is_recognised_and_another_is_not(password: str) -> None:
    stored = scram.verifier(password)
    assert scram.matches(password, stored)
    assert not scram.matches(password + " ", stored)
    assert password not in stored
    assert scram.verifier(password) != stored, "two verifiers of one password have the same salt"


@pytest.mark.parametrize("stored", [None, "", "md5abc", "SCRAM-SHA-256$4096:x", "SCRAM-SHA-256$4096:AA==$AA==:AA=="])
def test_what_is_no_verifier_of_it_matches_nothing(stored: str | None) -> None:
    assert not scram.matches("correct horse battery", stored)


@pytest.mark.parametrize(("password", "fine"), [("a" * 12, True), ("a" * 11, False), ("pässwörter-sind", False)])
def test_only_passwords_that_everybody_writes_the_same_way_are_taken(password: str, fine: bool) -> None:
    assert scram.acceptable(password) is fine
