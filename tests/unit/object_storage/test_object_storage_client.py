"""The client: what it refuses to begin with, what it asks again, and what it says about errors."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import (
    Client,
    ObjectStorageError,
    RefusedError,
    create_client,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.names import mistake_in_bucket_name
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import MAX_RETRIES, MAX_RETRIES_UNANSWERED

from tests.unit.object_storage.conftest import KEYS
from tests.unit.object_storage.edge import Answer, Edge, Store, refusal, serving


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"endpoint": "fsn1.your-objectstorage.com"}, "is no URL such as https://fsn1.your-objectstorage.com"),
        ({"endpoint": "https://me:pass@objects.example"}, "is no URL such as"),
        ({"endpoint": "https://objects.example:x"}, "is no URL such as"),
        ({"endpoint": "https://objects.example/bucket"}, "has something after the host name"),
        ({"endpoint": "http://objects.example"}, "in the clear: use https"),
        ({"region": "fsn1/s3"}, "region: 'fsn1/s3' is no region such as fsn1."),
        ({"region": ""}, "region: '' is no region"),
        ({"access_key": None}, "There is no access_key: give it, or set the environment variable AWS_ACCESS_KEY_ID"),
        ({"secret_key": ""}, "There is no secret_key: give it, or set the environment variable AWS_SECRET_ACCESS_KEY"),
        ({"secret_key": "abc\n"}, "secret_key holds characters no key has"),
        ({"ca_path": "/nowhere/ca.crt"}, "ca_path: /nowhere/ca.crt cannot be read (No such file or directory)"),
        ({"ca_path": __file__}, "holds no certificate (PEM)."),
    ],
)
def test_what_could_never_work_is_refused_before_anything_is_asked(
    edge: Edge, options: dict[str, Any], more: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ObjectStorageError) as error:
        create_client(options | more)
    assert sentence in str(error.value)
    assert edge.asked == []


@pytest.mark.parametrize(
    "endpoint", ["https://fsn1.your-objectstorage.com/", "http://[::1]:9000", "http://localhost:1"]
)
def test_endpoints_that_may_be_used(options: dict[str, Any], endpoint: str) -> None:
    assert create_client(options | {"endpoint": endpoint}).service.endpoint == endpoint.rstrip("/")


@pytest.mark.parametrize("name", ["abc", "bulwark-uploads", "a.b-c.d1", "3-2-1", "a" * 63, "1.2.3.4.5"])
def test_names_that_buckets_may_have(name: str) -> None:
    assert mistake_in_bucket_name(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        *("", "ab", "a" * 64, "Uploads", "up_loads", "-uploads", "uploads-", ".uploads", "up..loads", "up.-loads"),
        *("192.0.2.1", "xn--uploads", "amzn-s3-demo-bucket", "uploads--ol-s3", "uploads-s3alias", "up/loads", "ab\n"),
        "üploads",
    ],
)
def test_names_that_no_bucket_may_have(name: str) -> None:
    assert f"{name!r} is no bucket name: " in mistake_in_bucket_name(name)


def test_every_request_is_signed_and_names_the_bucket_in_the_path(edge: Edge, client: Client) -> None:
    client.request("PUT", "bulwark-uploads", "a b/ü", body=b"content")
    client.request("GET", "bulwark-uploads", query={"prefix": "a b", "list-type": "2"})
    put, get = edge.asked
    assert (put.path, put.body) == ("/bulwark-uploads/a%20b/%C3%BC", b"content")
    assert get.path == "/bulwark-uploads?list-type=2&prefix=a%20b"
    for asked in (put, get):
        assert asked.headers["authorization"].startswith(f"AWS4-HMAC-SHA256 Credential={KEYS['access_key']}/")
        assert "SignedHeaders=" in asked.headers["authorization"]
        assert KEYS["secret_key"] not in str(asked.headers)


def test_a_password_for_the_host_does_not_take_the_signatures_place(
    edge: Edge, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "netrc"
    passwords.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(passwords))
    client.request("GET", "bulwark-uploads")
    assert edge.asked[0].headers["authorization"].startswith("AWS4-HMAC-SHA256")


BUSY = refusal(503, "SlowDown")


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(BUSY, id="slow down"),
        pytest.param(refusal(500, "InternalError"), id="internal error"),
        pytest.param(refusal(409, "OperationAborted"), id="aborted"),
        pytest.param(refusal(400, "RequestTimeout"), id="time-out"),
        pytest.param(Answer(502, b"<html>"), id="no S3"),
        pytest.param(Answer(cut=True), id="cut"),
        pytest.param(Answer(200, b"half", {"Content-Length": "8"}), id="half an answer"),
    ],
)
def test_what_passes_is_asked_again_after_growing_pauses(
    edge: Edge, client: Client, pauses: list[float], failure: Answer
) -> None:
    edge.answers = [failure, failure, Answer(body=b"content")]
    assert client.request("GET", "bulwark-uploads", "a") == b"content"
    assert edge.methods() == ["GET /bulwark-uploads/a"] * 3
    assert len(pauses) == 2
    assert pauses == sorted(pauses)


def test_the_service_says_how_long_to_wait(edge: Edge, client: Client, pauses: list[float]) -> None:
    edge.answers = [refusal(503, "SlowDown", **{"Retry-After": "7"})]
    client.request("GET", "bulwark-uploads")
    assert 7 < pauses[0] < 9


def test_patience_has_an_end(edge: Edge, client: Client) -> None:
    edge.answers = [BUSY] * 20
    with pytest.raises(RefusedError, match="The object storage has no time for this: run again later") as error:
        client.request("GET", "bulwark-uploads")
    assert error.value.status == 503
    assert len(edge.asked) == MAX_RETRIES + 1


def test_a_service_that_is_not_there_is_named(options: dict[str, Any], pauses: list[float]) -> None:
    client = create_client(options | {"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(ObjectStorageError) as error:
        client.request("GET", "bulwark-uploads")
    assert str(error.value) == (
        "The object storage does not answer at 127.0.0.1:1: check endpoint, and the network (Connection refused)."
    )
    assert len(pauses) == MAX_RETRIES_UNANSWERED


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (refusal(403, "InvalidAccessKeyId"), "does not know the access key: check access_key, and that it was not"),
        (refusal(403, "SignatureDoesNotMatch"), "The secret key is not the one of the access key: check secret_key."),
        (refusal(403, "AccessDenied"), "The key may not use the bucket 'bulwark-uploads'."),
        (refusal(404, "NoSuchBucket"), "There is no bucket 'bulwark-uploads': create it first"),
        (refusal(409, "BucketAlreadyExists"), "The bucket name 'bulwark-uploads' is taken by somebody else"),
        (
            refusal(400, "AuthorizationHeaderMalformed", "<Region>nbg1</Region>"),
            "The region is 'nbg1' and not 'fsn1': set region to that.",
        ),
        (
            refusal(301, "PermanentRedirect", **{"Location": "http://127.0.0.1:1/", "x-amz-bucket-region": "hel1"}),
            "is not at this endpoint: set region and endpoint to its own, which is 'hel1'.",
        ),
        (refusal(400, "InvalidArgument"), "The object storage refused: InvalidArgument: said so."),
        (Answer(405, b"<html>no</html>"), "The object storage refused: status 405."),
    ],
)
def test_refusals_are_one_sentence_that_says_what_to_do(
    edge: Edge, client: Client, pauses: list[float], answer: Answer, sentence: str
) -> None:
    edge.answers = [answer]
    with pytest.raises(RefusedError) as error:
        client.request("PUT", "bulwark-uploads", body=b"")
    assert sentence in str(error.value)
    assert KEYS["secret_key"] not in str(error.value)
    assert (len(edge.asked), pauses) == (1, []), "asking again does not help"


@pytest.mark.parametrize(
    ("ahead", "sentence"), [(-20, "clock is 20 minutes ahead of the"), (30, "clock is 30 minutes behind the")]
)
def test_a_wrong_clock_is_told_with_how_wrong_it_is(edge: Edge, client: Client, ahead: int, sentence: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=ahead), usegmt=True)
    edge.answers = [refusal(403, "RequestTimeTooSkewed", Date=date)]
    with pytest.raises(RefusedError, match=sentence):
        client.request("GET", "bulwark-uploads")


def test_a_bucket_that_is_there_costs_one_request(edge: Edge, client: Client) -> None:
    edge.store = Store({"bulwark-uploads": {}})
    assert client.bucket_exists("bulwark-uploads")
    assert not client.bucket_exists("bulwark-backups")
    assert edge.methods() == ["HEAD /bulwark-uploads", "HEAD /bulwark-backups"]


def test_looking_for_a_bucket_is_repeated_like_reading(edge: Edge, client: Client) -> None:
    edge.answers = [Answer(cut=True), refusal(500, "InternalError")]
    assert client.bucket_exists("bulwark-uploads")
    assert edge.methods() == ["HEAD /bulwark-uploads"] * 3


def test_why_a_bucket_may_not_be_looked_at_is_asked(edge: Edge, client: Client) -> None:
    """The answer to HEAD has no body, so a wrong key and a name that is taken look alike."""
    edge.store = lambda _asked: refusal(403, "InvalidAccessKeyId")
    with pytest.raises(RefusedError, match="does not know the access key"):
        client.bucket_exists("bulwark-uploads")
    edge.store = Store(foreign=frozenset({"bulwark-uploads"}))
    with pytest.raises(RefusedError, match="If it is not yours, choose another name"):
        client.bucket_exists("bulwark-uploads")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 by an authority that is itself."""
    openssl = shutil.which("openssl")
    assert openssl
    words = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "1"]
    words += ["-subj", "/CN=authority", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run(words, check=True, capture_output=True)
    return tmp_path / "certificate"


@pytest.fixture
def secure_edge(certificate: Path) -> Iterator[Edge]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key"))
    with serving(context) as edge:
        yield edge


def test_a_private_authority_is_trusted_where_it_is_named(
    secure_edge: Edge, options: dict[str, Any], certificate: Path, pauses: list[float]
) -> None:
    client = create_client(options | {"endpoint": secure_edge.url, "ca_path": str(certificate)})
    client.request("GET", "bulwark-uploads")
    assert secure_edge.methods() == ["GET /bulwark-uploads"]


def test_a_certificate_that_is_not_trusted_is_told_at_once(
    secure_edge: Edge, options: dict[str, Any], pauses: list[float]
) -> None:
    with pytest.raises(ObjectStorageError, match=r"is not trusted \(self.signed certificate\): .* with ca_path"):
        create_client(options | {"endpoint": secure_edge.url}).request("GET", "bulwark-uploads")
    assert (secure_edge.asked, pauses) == ([], [])
