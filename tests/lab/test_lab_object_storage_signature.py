"""Who may talk to the embedded object storage: signatures in headers, in the query, of chunks; and when it is away."""

from __future__ import annotations

import asyncio
import hashlib
import io
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as ClientCredentials

from lab.drivers.null import NullDriver
from lab.management.app import create_management_app
from lab.object_storage import credentials as keys
from lab.object_storage.availability import Availability
from lab.object_storage.errors import StorageError
from lab.object_storage.payload import Payload
from lab.object_storage.signature import UNSIGNED, Credentials, Received, Signed, parse_query, verify
from lab.operations.cloud import Cloud
from tests.lab.object_storage import CREDENTIALS, Bucket, Served, refused

# The examples of the vendor's documents on signing, with their keys, which open nothing.
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DAY = datetime(2013, 5, 24, tzinfo=UTC)
SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
EMPTY = hashlib.sha256().hexdigest()


def signed(names: str, signature: str) -> dict[str, str]:
    return {"authorization": f"AWS4-HMAC-SHA256 Credential={SCOPE},SignedHeaders={names},Signature={signature}"}


def received(method: str, target: str, payload: str | None = EMPTY, **headers: str) -> Received:
    path, _, query = target.partition("?")
    given = {
        "host": "examplebucket.s3.amazonaws.com",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    if payload:
        given |= {"x-amz-date": "20130524T000000Z", "x-amz-content-sha256": payload}
    return Received(method, path.encode(), parse_query(query.encode()), [*given.items()])


EXAMPLES = {
    "get": received(
        "GET",
        "/test.txt",
        range="bytes=0-9",
        **signed(
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ),
    "put": received(
        "PUT",
        "/test$file.text",
        "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        date="Fri, 24 May 2013 00:00:00 GMT",
        x_amz_storage_class="REDUCED_REDUNDANCY",
        **signed(
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
    ),
    "subresource": received(
        "GET",
        "/?lifecycle",
        **signed(
            "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        ),
    ),
    "list": received(
        "GET",
        "/?max-keys=2&prefix=J",
        **signed(
            "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        ),
    ),
    "link": received(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
        + SCOPE.replace("/", "%2F")
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        None,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_vendors_examples_are_accepted(name: str) -> None:
    found = verify(EXAMPLES[name], EXAMPLE, "us-east-1", DAY)
    assert found.payload == (UNSIGNED if name == "link" else EXAMPLES[name].header("x-amz-content-sha256"))


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("changed", ["method", "path", "query", "host", "secret"])
def test_what_was_changed_on_the_way_is_not(name: str, changed: str) -> None:
    good = EXAMPLES[name]
    received = Received(
        "DELETE" if changed == "method" else good.method,
        good.raw_path + b"2" if changed == "path" else good.raw_path,
        [*good.query, ("x", "")] if changed == "query" else good.query,
        [(key, value + "2" if changed == key == "host" else value) for key, value in good.headers],
    )
    with pytest.raises(StorageError) as caught:
        verify(received, Credentials(EXAMPLE.access_key, "x") if changed == "secret" else EXAMPLE, "us-east-1", DAY)
    assert caught.value.code == "SignatureDoesNotMatch"


# A body in signed chunks, which the client for Python does not send. This too is an example of the vendor's.

_CHUNKED = received(
    "PUT",
    "/examplebucket/chunkObject.txt",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    content_encoding="aws-chunked",
    content_length="66824",
    x_amz_decoded_content_length="66560",
    x_amz_storage_class="REDUCED_REDUNDANCY",
    **signed(
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
        "x-amz-storage-class",
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    ),
)
CHUNKS = (
    (b"a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (b"a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (b"", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
)
CHUNKED = Received(
    _CHUNKED.method,
    _CHUNKED.raw_path,
    _CHUNKED.query,
    [(name, "s3.amazonaws.com" if name == "host" else value) for name, value in _CHUNKED.headers],
)


def frames(chunks: Any = CHUNKS) -> bytes:
    return b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(data), sign.encode(), data) for data, sign in chunks)


def unframe(body: bytes, piece: int) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    async def read() -> bytes:
        signed: Signed = verify(CHUNKED, EXAMPLE, "us-east-1", DAY)
        payload = Payload(CHUNKED, signed, pieces())
        return b"".join([part async for part in payload])

    return asyncio.run(read())


@pytest.mark.parametrize("piece", [1000, 65536, 10**6])
def test_signed_chunks(piece: int) -> None:
    assert len(frames()) == 66824
    assert unframe(frames(), piece) == b"a" * 66560


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (frames([(b"b" + CHUNKS[0][0][1:], CHUNKS[0][1]), *CHUNKS[1:]]), "SignatureDoesNotMatch"),
        (frames([(CHUNKS[0][0], "0" * 64), *CHUNKS[1:]]), "SignatureDoesNotMatch"),
        (frames([*CHUNKS[:1], CHUNKS[2]]), "SignatureDoesNotMatch"),
        (frames(CHUNKS[:2]), "IncompleteBody"),
        (frames()[:70], "IncompleteBody"),
        (frames() + b"more", "IncompleteBody"),
        (b"x" + frames(), "InvalidRequest"),
        (frames().replace(b";chunk-signature=", b";signature="), "SignatureDoesNotMatch"),
    ],
    ids=["content", "signature", "left-out", "no-end", "cut", "longer", "no-size", "unsigned"],
)
def test_chunks_that_are_not_as_signed(body: bytes, code: str) -> None:
    with pytest.raises(StorageError) as caught:
        unframe(body, 1000)
    assert caught.value.code == code


# Over the wire


def test_wrong_keys(storage: Served, bucket: Bucket) -> None:
    bucket.put("a", b"1")
    for credentials, code in (
        (Credentials("SOMEBODYELSE", CREDENTIALS.secret_key), "InvalidAccessKeyId"),
        (Credentials(CREDENTIALS.access_key, "wrong"), "SignatureDoesNotMatch"),
    ):
        client = storage.client(credentials)
        with refused(code, 403) as error:
            client.get_object(Bucket=bucket.name, Key="a")
        assert CREDENTIALS.secret_key not in str(error)
        with refused(code, 403):
            client.put_object(Bucket=bucket.name, Key="a", Body=b"2" * 10**6)
    with refused("AuthorizationHeaderMalformed", 400):
        storage.client(region="moon").list_buckets()
    assert bucket.get("a") == b"1"


class Asking:
    """Requests that a well-behaved client would not send, signed as it signs."""

    def __init__(self, served: Served, bucket: str) -> None:
        self._served = served
        self._url = f"{served.url}/{bucket}"

    def send(
        self, method: str, path: str, body: bytes = b"", sent: Any = None, sign: bool = True, **options: Any
    ) -> requests.Response:
        request = AWSRequest(method, self._url + path, data=body, headers=options.get("headers", {}))
        if sign:
            pair = ClientCredentials(CREDENTIALS.access_key, CREDENTIALS.secret_key)
            S3SigV4Auth(pair, "s3", "lab").add_auth(request)
        prepared = request.prepare()
        headers = {**prepared.headers, **options.get("after", {})}
        data = body if sent is None else sent
        headers.pop("Content-Length", None)  # of what was signed
        verify = str(self._served.authority)
        return requests.request(method, prepared.url, data=data, headers=headers, verify=verify, timeout=60)


@pytest.fixture
def asking(storage: Served, bucket: Bucket) -> Asking:
    return Asking(storage, bucket.name)


def test_a_request_as_it_should_be(asking: Asking, bucket: Bucket) -> None:
    assert asking.send("PUT", "/a", b"1").status_code == 200
    assert asking.send("GET", "/a").content == b"1"
    assert bucket.listed() == ["a"]


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"sign": False}, 403, "AccessDenied"),
        ({"sent": b"2"}, 400, "XAmzContentSHA256Mismatch"),
        ({"after": {"x-amz-meta-who": "me"}}, 403, "AccessDenied"),
        ({"headers": {"x-amz-new": "1"}}, 501, "NotImplemented"),
        ({"headers": {"x-amz-checksum-crc64nvme": "AAAAAAAAAAA="}}, 501, "NotImplemented"),
        ({"sign": False, "headers": {"Authorization": "AWS LABACCESSKEY:sig"}}, 400, "InvalidRequest"),
        ({"sign": False, "headers": {"Authorization": "AWS4-HMAC-SHA256 x"}}, 400, "AuthorizationHeaderMalformed"),
        ({"sent": iter([b"1"])}, 411, "MissingContentLength"),
    ],
)
def test_requests_that_are_refused(
    asking: Asking, bucket: Bucket, options: dict[str, Any], status: int, code: str
) -> None:
    answer = asking.send("PUT", "/a", b"1", **options)
    assert (answer.status_code, f"<Code>{code}</Code>" in answer.text) == (status, True), answer.text
    assert bucket.listed() == []
    assert not list((bucket.served.folder / ".unfinished").iterdir())


def test_an_operation_nobody_knows(asking: Asking) -> None:
    for method, path in (
        ("PUT", "/a?newthing"),
        ("POST", "/a"),
        ("POST", "?newthing"),
        ("PATCH", "/a"),
        ("GET", "?acl"),
    ):
        assert asking.send(method, path).status_code == 501


def test_the_clocks_must_agree(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes, accepted in ((14, True), (-14, True), (16, False), (-16, False)):
        now = datetime.now(UTC) + timedelta(minutes=minutes)
        monkeypatch.setattr("lab.object_storage.app.datetime", _Clock(now))
        if accepted:
            assert bucket.listed() == []
        else:
            with refused("RequestTimeTooSkewed", 403):
                bucket.listed()


class _Clock:
    def __init__(self, time: datetime) -> None:
        self._time = time

    def now(self, _: Any) -> datetime:
        return self._time


def test_links_open_one_thing_for_a_while(storage: Served, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(method: str, link: str, **options: Any) -> requests.Response:
        return requests.request(method, link, verify=str(storage.authority), timeout=60, **options)

    def link(operation: str, key: str) -> str:
        return str(bucket.client.generate_presigned_url(operation, {"Bucket": bucket.name, "Key": key}, ExpiresIn=600))

    assert ask("PUT", link("put_object", "a b"), data=b"1").status_code == 200
    get = link("get_object", "a b")
    assert ask("GET", get).content == b"1"
    for method, changed in (("PUT", get), ("GET", get.replace("a%20b", "b")), ("GET", get + "&prefix=a")):
        assert "SignatureDoesNotMatch" in ask(method, changed).text
    assert "AuthorizationQueryParametersError" in ask("GET", get.replace("Expires=600", "Expires=700000")).text
    monkeypatch.setattr("lab.object_storage.app.datetime", _Clock(datetime.now(UTC) + timedelta(minutes=11)))
    late = ask("GET", get)
    assert (late.status_code, "expired" in late.text) == (403, True)


def test_the_machines_curl_is_understood(storage: Served, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a", b"1")
    settings = tmp_path / "curl"
    settings.write_text(f'user = "{CREDENTIALS.access_key}:{CREDENTIALS.secret_key}"\n')
    resolve = f"{storage.url.removeprefix('https://')}:127.0.0.1"
    words = ["curl", "-sS", "-K", settings, "--aws-sigv4", "aws:amz:lab:s3", "-H", f"x-amz-content-sha256: {EMPTY}"]
    words += ["--cacert", storage.authority, "--resolve", resolve, f"{storage.url}/{bucket.name}/a"]
    assert subprocess.run(words, capture_output=True, check=True).stdout == b"1"


@pytest.mark.parametrize(
    ("mode", "status", "code"), [("away", 503, "ServiceUnavailable"), ("refusing", 403, "AccessDenied")]
)
def test_it_is_taken_away_and_given_back(storage: Served, bucket: Bucket, mode: Any, status: int, code: str) -> None:
    bucket.put("a", b"1")
    storage.availability.mode = mode
    for body in (b"2", b"2" * 10**6, io.BytesIO(b"2" * 10**6)):
        with refused(code, status):
            bucket.put("a", body)
    with refused(code, status):
        bucket.get("a")
    storage.availability.mode = "ok"
    assert bucket.get("a") == b"1"


# The lab's keys


def test_keys_are_made_once_and_for_their_owner(tmp_path: Path) -> None:
    path = tmp_path / "object-storage.json"
    keys.make(path)
    first = keys.read(path)
    keys.make(path)
    assert keys.read(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    keys.make(tmp_path / "other")
    other = keys.read(tmp_path / "other")
    assert {other.access_key, other.secret_key}.isdisjoint({first.access_key, first.secret_key})
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_management_interface_takes_it_away() -> None:
    availability = Availability()
    cloud = Cloud(NullDriver(), "token")
    transport = httpx.ASGITransport(create_management_app(cloud, availability))

    def ask(method: str, body: object = None, *, good: bool = True) -> tuple[int, Any]:
        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                headers = {"Authorization": f"Bearer {'token' if good else 'wrong'}"}
                return await client.request(method, "/_lab/object_storage", json=body, headers=headers)

        answer = asyncio.run(send())
        return answer.status_code, answer.json()

    assert ask("GET") == (200, {"mode": "ok"})
    for mode in ("away", "refusing", "ok"):
        assert ask("PUT", {"mode": mode}) == (200, {"mode": mode})
        assert (availability.mode, ask("GET")) == (mode, (200, {"mode": mode}))
    for body in ({"mode": "gone"}, {}, {"mode": ["ok"]}):
        assert ask("PUT", body)[0] == 422
    assert ask("PUT", {"mode": "away"}, good=False)[0] == 401
    assert availability.mode == "ok"
    cloud.close()
