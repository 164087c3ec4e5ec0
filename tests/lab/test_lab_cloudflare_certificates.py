"""Origin certificates of the embedded Cloudflare: what the authority signs, for whom, and what it refuses."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from lab.cloudflare.authority import Authority
from tests.lab.cloudflare_api import ZONE, CloudflareApi
from tests.lab.edge import signing_request

NAMES = [ZONE, f"*.{ZONE}"]


@pytest.fixture
def api(cloudflare: CloudflareApi) -> CloudflareApi:
    return cloudflare


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def order(**fields: Any) -> dict[str, Any]:
    usual = {"csr": signing_request()[0], "hostnames": NAMES, "request_type": "origin-ecc", "requested_validity": 7}
    return {**usual, **fields}


def loaded(made: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(made["certificate"].encode())


def trusting(api: CloudflareApi, name: str) -> Any:
    roots = [x509.load_pem_x509_certificate(path.read_bytes()) for path in api.cloudflare.authority.certificates]
    return PolicyBuilder().store(Store(roots)).build_server_verifier(x509.DNSName(name))


def test_a_certificate_from_its_making_to_its_end(api: CloudflareApi) -> None:
    asked = order()
    made = api.done("POST", "/certificates", asked)
    assert asked.items() <= made.items()
    certificate = loaded(made)
    assert made["id"] == str(certificate.serial_number)
    assert made["expires_on"] == certificate.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
    listed = f"/certificates?zone_id={api.zone.id}"
    assert api.done("GET", listed) == [made]
    assert api.done("GET", f"/certificates/{made['id']}") == made
    revoked = api.done("DELETE", f"/certificates/{made['id']}")
    assert (revoked["id"], bool(revoked["revoked_at"])) == (made["id"], True)
    assert api.done("GET", listed) == []
    assert api.done("GET", f"/certificates/{made['id']}") == {**made, "revoked_at": revoked["revoked_at"]}
    # A second time, as after an answer that was lost, it is the same.
    assert api.done("DELETE", f"/certificates/{made['id']}") == revoked
    assert api.cloudflare.store.revoked() == {certificate.serial_number}


def test_what_is_signed_is_what_was_asked_for_and_nothing_else_of_the_request(api: CloudflareApi) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    csr, _ = signing_request(key, "somebody-else.example")
    certificate = loaded(api.done("POST", "/certificates", order(csr=csr, requested_validity=90)))
    assert certificate.public_key() == key.public_key()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    [common_name] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == "CloudFlare Origin Certificate"
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=90)
    assert abs(certificate.not_valid_before_utc - datetime.now(UTC)) < timedelta(minutes=2)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage
    for name in (ZONE, f"www.{ZONE}"):
        trusting(api, name).verify(certificate, [])
    for name in (f"a.b.{ZONE}", "other.example"):
        with pytest.raises(VerificationError):
            trusting(api, name).verify(certificate, [])


def test_each_kind_of_key_has_an_authority_of_its_own(api: CloudflareApi, rsa_key: rsa.RSAPrivateKey) -> None:
    of_ecc = loaded(api.done("POST", "/certificates", order()))
    asked = order(csr=signing_request(rsa_key)[0], request_type="origin-rsa")
    of_rsa = loaded(api.done("POST", "/certificates", asked))
    assert of_ecc.issuer != of_rsa.issuer
    trusting(api, ZONE).verify(of_rsa, [])
    for certificate in (of_ecc, of_rsa):
        [unit] = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        assert re.fullmatch("CloudFlare Origin SSL (ECC )?Certificate Authority", str(unit.value))


def test_the_longest_validity_is_the_usual_one(api: CloudflareApi) -> None:
    asked = order()
    del asked["requested_validity"]
    made = api.done("POST", "/certificates", asked)
    assert made["requested_validity"] == 5475
    assert loaded(made).not_valid_after_utc > datetime.now(UTC) + timedelta(days=5400)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"requested_validity": 8}, 1002, "7, 30, 90, 365, 730, 1095, 5475"),
        ({"requested_validity": "7"}, 1002, "requested_validity"),
        ({"request_type": "rsa"}, 1002, "origin-rsa or origin-ecc"),
        ({"request_type": "origin-rsa"}, 1002, "RSA key"),
        ({"hostnames": []}, 1010, "At least one hostname"),
        ({"hostnames": ZONE}, 1002, "list of names"),
        ({"hostnames": [5]}, 1002, "list of names"),
        ({"hostnames": ["other.example"]}, 1010, "hostname other.example: This zone is either not part"),
        ({"hostnames": [ZONE, "*.other.example"]}, 1010, "hostname *.other.example"),
        ({"hostnames": [f"not{ZONE}"]}, 1010, "not part of your account"),
        ({"hostnames": [f"*.*.{ZONE}"]}, 1010, "it is not valid"),
        ({"hostnames": [f"a.*.{ZONE}"]}, 1010, "it is not valid"),
        ({"hostnames": ["*.example"]}, 1010, "it is not valid"),
        ({"hostnames": ["198.51.100.7"]}, 1010, "it is not valid"),
        ({"hostnames": [f"n{number}.{ZONE}" for number in range(201)]}, 1010, "200 hostnames at most"),
        ({"csr": "nonsense"}, 1002, "cannot be read"),
        ({"csr": None}, 1002, "csr"),
    ],
)
def test_orders_that_are_refused(api: CloudflareApi, fields: dict[str, object], code: int, text: str) -> None:
    status, found, message = api.refused("POST", "/certificates", order(**fields))
    assert (status, found, text in message) == (400, code, True), message
    assert api.cloudflare.store.certificates == {}


def test_keys_that_are_refused(api: CloudflareApi, rsa_key: rsa.RSAPrivateKey) -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 because it is to be refused
    for key, kind, text in (
        (small, "origin-rsa", "at least 2048 bits"),
        (rsa_key, "origin-ecc", "P-256 or P-384"),
        (ec.generate_private_key(ec.SECP521R1()), "origin-ecc", "P-256 or P-384"),
    ):
        csr, _ = signing_request(key)
        status, _, message = api.refused("POST", "/certificates", order(csr=csr, request_type=kind))
        assert (status, text in message) == (400, True), message
    subject = x509.Name([])
    edwards = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = edwards.sign(ed25519.Ed25519PrivateKey.generate(), None)
    assert api.refused("POST", "/certificates", order(csr=_text(signed)))[:2] == (400, 1002)


def _text(request: x509.CertificateSigningRequest) -> str:
    return request.public_bytes(Encoding.PEM).decode()


def test_a_request_signed_by_another_key_is_refused(api: CloudflareApi) -> None:
    request = x509.load_pem_x509_csr(signing_request()[0].encode())
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1  # in the signature
    body = b64encode(bytes(der)).decode()
    text = "-----BEGIN CERTIFICATE REQUEST-----\n" + body + "\n-----END CERTIFICATE REQUEST-----\n"
    status, _, message = api.refused("POST", "/certificates", order(csr=text))
    assert (status, "not signed by its own key" in message) == (400, True), message


def test_what_is_asked_for_wrongly(api: CloudflareApi) -> None:
    assert api.refused("GET", "/certificates")[:2] == (400, 1003)
    assert api.refused("GET", f"/certificates?zone_id={'0' * 32}")[:2] == (404, 1001)
    for method in ("GET", "DELETE"):
        assert api.refused(method, "/certificates/123")[:2] == (404, 1101)
    assert api.refused("POST", "/certificates", order(request_type="keyless-certificate"))[0] == 501
    assert api.refused("GET", f"/certificates?zone_id={api.zone.id}&limit=5")[0] == 501


def test_names_are_taken_once_and_in_lower_case(api: CloudflareApi) -> None:
    made = api.done("POST", "/certificates", order(hostnames=[ZONE.upper(), ZONE, f"www.{ZONE}."]))
    assert made["hostnames"] == [ZONE, f"www.{ZONE}"]


def test_the_authority_outlives_its_process_and_keeps_its_keys_to_itself(tmp_path: Path) -> None:
    folder = tmp_path / "cloudflare"
    first = [path.read_bytes() for path in Authority(folder).certificates]
    assert [path.read_bytes() for path in Authority(folder).certificates] == first
    keys = sorted(folder.glob("*.key"))
    assert [path.name for path in keys] == ["origin-ecc.key", "origin-rsa.key"]
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
