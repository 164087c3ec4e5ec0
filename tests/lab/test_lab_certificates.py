"""Certificates: what is accepted, what is shown of them, and what holds them."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID
from hcloud.load_balancers import LoadBalancerService, LoadBalancerServiceHttp

from tests.lab import builders
from tests.lab.cloud_api import CloudApi, wait
from tests.lab.pairs import Pair, issue


def body(pair: Pair, **fields: object) -> dict[str, object]:
    return {"name": "web", "certificate": pair.certificate, "private_key": pair.private_key, **fields}


def test_what_a_certificate_says_of_itself(cloud_api: CloudApi) -> None:
    pair = issue(["bulwark.example", "www.bulwark.example"])
    made = cloud_api.post("/certificates", **body(pair, labels={"env": "lab"}, type="uploaded"))
    assert made["action"] is None
    shown = made["certificate"]
    assert shown["domain_names"] == ["bulwark.example", "www.bulwark.example"]
    assert shown["fingerprint"] == pair.parsed.fingerprint(hashes.SHA256()).hex(":")
    assert shown["not_valid_before"] == pair.parsed.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert shown["not_valid_after"] == pair.parsed.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (shown["certificate"], shown["type"], shown["status"]) == (pair.certificate, "uploaded", None)
    assert (shown["used_by"], shown["labels"]) == ([], {"env": "lab"})


def test_a_certificate_without_names(cloud_api: CloudApi) -> None:
    assert cloud_api.post("/certificates", **body(issue([])))["certificate"]["domain_names"] == []


def test_no_answer_has_a_private_key(cloud_api: CloudApi, caplog: pytest.LogCaptureFixture) -> None:
    pair = issue()
    texts = [cloud_api.request("POST", "/certificates", json=body(pair)).text]
    number = cloud_api.get("/certificates")["certificates"][0]["id"]
    texts.append(cloud_api.request("POST", "/certificates", json=body(pair)).text)
    texts.append(cloud_api.request("PUT", f"/certificates/{number}", json={"name": "other"}).text)
    texts += [cloud_api.request("GET", path).text for path in ("/certificates", f"/certificates/{number}")]
    texts.append(caplog.text)
    secret = pair.private_key.splitlines()[1]
    assert not any("PRIVATE KEY" in text or secret in text for text in texts)


def test_a_chain_is_kept_and_read_from_its_first(cloud_api: CloudApi) -> None:
    root = issue(["root.example"])
    leaf = issue(["bulwark.example"], issuer=root)
    shown = cloud_api.post("/certificates", **body(leaf))["certificate"]
    assert shown["domain_names"] == ["bulwark.example"]
    assert shown["certificate"].count("BEGIN CERTIFICATE") == 2


def encrypted(pair: Pair) -> str:
    key = serialization.load_pem_private_key(pair.private_key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    ).decode()


PAIR = issue()
OTHER = issue()


@pytest.mark.parametrize(
    ("fields", "field", "text"),
    [
        ({"certificate": "nonsense"}, "certificate", "must be a certificate and its chain in PEM format"),
        ({"certificate": PAIR.private_key}, "certificate", "must not contain a private key"),
        ({"certificate": PAIR.certificate + PAIR.private_key}, "certificate", "must not contain a private key"),
        ({"certificate": None}, "certificate", "is required"),
        ({"private_key": None}, "private_key", "is required"),
        ({"private_key": PAIR.certificate}, "private_key", "must be a private key in PEM format"),
        ({"private_key": encrypted(PAIR)}, "private_key", "without a passphrase"),
        ({"private_key": OTHER.private_key}, "private_key", "does not belong to the certificate"),
        ({"certificate": PAIR.certificate + OTHER.certificate}, "certificate", "certificate 1 of the chain"),
        ({"type": "borrowed"}, "type", "must be one of uploaded, managed"),
        ({"name": ""}, "name", "must not be empty"),
        ({"labels": {"a b": "c"}}, "labels", "label key 'a b'"),
    ],
)
def test_what_is_refused(cloud_api: CloudApi, fields: dict[str, object], field: str, text: str) -> None:
    status, error = cloud_api.refused("POST", "/certificates", **body(PAIR, **fields))
    assert (status, error["code"], error["details"]["fields"][0]["name"]) == (422, "invalid_input", field)
    assert text in error["message"]
    assert cloud_api.get("/certificates")["certificates"] == []


def test_one_whose_names_cannot_be_read_is_refused(cloud_api: CloudApi) -> None:
    """Or no list of certificates could be shown any more."""
    broken = issue([], more=x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"no names"))
    status, error = cloud_api.refused("POST", "/certificates", **body(broken))
    assert status == 422
    assert "must be a certificate and its chain in PEM format" in error["message"]
    assert cloud_api.get("/certificates")["certificates"] == []


def test_an_expired_one_is_refused_by_the_clock_of_the_cloud(cloud_api: CloudApi) -> None:
    _, error = cloud_api.refused("POST", "/certificates", **body(issue(days=-1)))
    assert "has expired at" in error["message"]
    pair = issue(days=1)
    cloud_api.post("/certificates", **body(pair))
    cloud_api.manage("PATCH", "/conditions", {"clock_ahead": 2 * 86400.0})
    _, error = cloud_api.refused("POST", "/certificates", **body(pair, name="again"))
    assert "has expired at" in error["message"]


def test_managed_ones_are_not_implemented(cloud_api: CloudApi) -> None:
    status, error = cloud_api.refused("POST", "/certificates", name="m", type="managed", domain_names=["a.example"])
    assert (status, error["code"]) == (501, "not_implemented")


def test_names_are_unique(cloud_api: CloudApi) -> None:
    builders.certificate(cloud_api)
    other = builders.certificate(cloud_api, "other")
    assert (
        cloud_api.refused("POST", "/certificates", **body(issue()))[1]["message"] == "certificate name is already used"
    )
    assert cloud_api.refused("PUT", f"/certificates/{other.id}", name="web")[0] == 409


def test_lists(cloud_api: CloudApi) -> None:
    builders.certificate(cloud_api)
    assert len(cloud_api.get("/certificates", type="uploaded")["certificates"]) == 1
    assert cloud_api.get("/certificates", type="managed")["certificates"] == []
    assert cloud_api.refused("GET", "/certificates?type=borrowed")[0] == 422


def test_a_limit_of_the_project(cloud_api: CloudApi) -> None:
    cloud_api.manage("PATCH", "/conditions", {"limits": {"certificates": 1}})
    builders.certificate(cloud_api)
    assert cloud_api.refused("POST", "/certificates", **body(issue(), name="b"))[1]["code"] == "resource_limit_exceeded"


def test_one_in_use_stays(cloud_api: CloudApi) -> None:
    certificate, balancer = builders.certificate(cloud_api), builders.load_balancer(cloud_api)
    service = LoadBalancerService(protocol="https", http=LoadBalancerServiceHttp(certificates=[certificate]))
    wait(balancer.add_service(service))
    path = f"/certificates/{certificate.id}"
    assert cloud_api.get(path)["certificate"]["used_by"] == [{"id": balancer.id, "type": "load_balancer"}]
    status, error = cloud_api.refused("DELETE", path)
    assert (status, error["code"]) == (422, "resource_in_use")
    wait(balancer.delete_service(LoadBalancerService(listen_port=443)))
    assert cloud_api.get(path)["certificate"]["used_by"] == []
    assert certificate.delete()
