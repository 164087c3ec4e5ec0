"""What certificates say, and which are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import pem
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.pem import CertificateError
from cryptography.hazmat.primitives import hashes, serialization

from tests.lab.pairs import Pair, issue

NOW = datetime.now(UTC)
PAIR, OTHER = issue(), issue(["other.example"])


def test_a_certificate_is_read() -> None:
    chain = pem.parse(PAIR.certificate)
    assert chain.fingerprint == PAIR.parsed.fingerprint(hashes.SHA256()).hex()
    assert chain.content == chain.fingerprint, "nothing follows it"
    assert chain.names == ("bulwark.example", "*.bulwark.example")
    assert chain.not_valid_after == PAIR.parsed.not_valid_after_utc
    assert pem.parse(issue([]).certificate).names == ()


def test_what_follows_a_certificate_is_content_too() -> None:
    authority = issue(["authority.example"])
    issued = issue(issuer=authority)
    whole, alone = pem.parse(issued.certificate), pem.parse(issued.certificate.removesuffix(authority.certificate))
    assert (whole.fingerprint, whole.content != alone.content) == (alone.fingerprint, True)
    pem.check(whole, issued.private_key, NOW)


def test_how_the_text_is_written_does_not_matter() -> None:
    lines = PAIR.certificate.replace("\n", "\r\n")
    for text in (f"a note\n{PAIR.certificate}\n\n", lines):
        chain = pem.parse(text)
        assert chain.content == pem.parse(PAIR.certificate).content
        assert chain.pem.split() == PAIR.certificate.split()
        assert "\r" not in chain.pem


@pytest.mark.parametrize("text", ["", "certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(CertificateError, match="cannot be read: it must be in PEM format"):
        pem.parse(text)


def test_a_key_among_the_certificates_is_refused() -> None:
    with pytest.raises(CertificateError, match="give it as private_key instead"):
        pem.parse(PAIR.certificate + PAIR.private_key)


def _with_passphrase(pair: Pair) -> str:
    key = serialization.load_pem_private_key(pair.private_key.encode(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(*form, serialization.BestAvailableEncryption(b"passphrase")).decode()


@pytest.mark.parametrize(
    ("key", "now", "sentence"),
    [
        (OTHER.private_key, NOW, "The private key does not belong to the certificate for bulwark.example"),
        ("secret", NOW, "The private key cannot be read"),
        (PAIR.private_key.replace("MIG", "NIG"), NOW, "The private key cannot be read"),
        (_with_passphrase(PAIR), NOW, "protected by a passphrase: give it without one"),
        (PAIR.private_key, NOW + timedelta(days=31), r"expired on 20\d\d-\d\d-\d\d \d\d:\d\d UTC: renew it"),
        (PAIR.private_key, NOW - timedelta(days=3), r"is not valid before 20\d\d"),
    ],
    ids=["another's", "no key", "a damaged key", "a passphrase", "expired", "not yet"],  # the keys differ each time
)
def test_what_cannot_be_served_is_refused_without_quoting_the_key(key: str, now: datetime, sentence: str) -> None:
    with pytest.raises(CertificateError, match=sentence) as error:
        pem.check(pem.parse(PAIR.certificate), key, now)
    assert key not in str(error.value)
    assert error.value.__cause__ is None, "what a parser says may quote it"


def test_a_chain_in_the_wrong_order_is_refused() -> None:
    unrelated = Pair(PAIR.certificate + OTHER.certificate, PAIR.private_key)
    with pytest.raises(CertificateError, match=r"Certificate 2 of the chain \(CN=other.example\) does not certify"):
        pem.check(pem.parse(unrelated.certificate), unrelated.private_key, NOW)


@pytest.mark.parametrize(
    ("names", "hostname", "covered"),
    [
        (["bulwark.example"], "bulwark.example", True),
        (["bulwark.example"], "BULWARK.example.", True),
        (["bulwark.example"], "www.bulwark.example", False),
        (["*.bulwark.example"], "www.bulwark.example", True),
        (["*.bulwark.example"], "bulwark.example", False),
        (["*.bulwark.example"], "a.b.bulwark.example", False),
        (["*.bulwark.example"], "*.bulwark.example", True),
        (["www.bulwark.example"], "*.bulwark.example", False),
        (["2001:db8::1"], "2001:DB8:0::1", True),
        ([], "bulwark.example", False),
    ],
)
def test_host_names(names: list[str], hostname: str, covered: bool) -> None:
    if covered:
        pem.check_names(names, [hostname])
    else:
        with pytest.raises(CertificateError, match="which leaves out"):
            pem.check_names(names, [hostname])


def test_without_the_library_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pem, "CRYPTOGRAPHY_MISSING", True)
    with pytest.raises(CertificateError, match="Python package cryptography, 42 or newer"):
        pem.parse(PAIR.certificate)
