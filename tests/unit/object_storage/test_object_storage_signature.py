"""Signatures: the examples of S3's own documentation, and curl's opinion.

The examples are those of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, whose keys are
made up.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.signature import (
    Credentials,
    encode_path,
    encode_query,
    sign,
)

from tests.unit.object_storage.edge import Edge

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
MOMENT = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "https://examplebucket.s3.amazonaws.com"


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "names", "signature"),
    [
        pytest.param(
            "GET",
            f"{HOST}/test.txt",
            {"Range": "bytes=0-9"},
            b"",
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            id="get object",
        ),
        pytest.param(
            "PUT",
            f"{HOST}{encode_path('/test$file.text')}",
            {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
            b"Welcome to Amazon S3.",
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            id="put object",
        ),
        pytest.param(
            "GET",
            f"{HOST}/?lifecycle",
            {},
            b"",
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="get lifecycle",
        ),
        pytest.param(
            "GET",
            f"{HOST}?prefix=J&max-keys=2",
            {},
            b"",
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="list objects, the query in another order",
        ),
    ],
)
def test_the_examples_of_the_documentation(
    method: str, url: str, headers: dict[str, str], body: bytes, names: str, signature: str
) -> None:
    signed = sign(method, url, headers, body, CREDENTIALS, "us-east-1", MOMENT)
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert signed["x-amz-date"] == "20130524T000000Z"
    assert headers.items() <= signed.items()


def test_the_time_is_that_of_greenwich() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=-7)))
    signed = [sign("GET", HOST, {}, b"", CREDENTIALS, "us-east-1", moment) for moment in (MOMENT, elsewhere)]
    assert signed[0] == signed[1]


def test_what_is_sent_is_encoded_as_it_is_signed() -> None:
    assert encode_path("/bucket/a b+ü~/c$") == "/bucket/a%20b%2B%C3%BC~/c%24"
    assert encode_query({"prefix": "a b/", "list-type": "2"}) == "list-type=2&prefix=a%20b%2F"


def test_the_secret_shows_nowhere() -> None:
    assert CREDENTIALS.secret_key not in repr(CREDENTIALS)
    assert CREDENTIALS.secret_key not in str(sign("GET", HOST, {}, b"", CREDENTIALS, "fsn1", MOMENT))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("HEAD", "/bulwark-uploads", b""),
        ("PUT", "/bulwark-uploads/bulwark-verification/app-01", b"some content"),
        ("GET", "/bulwark-uploads?list-type=2&max-keys=1", b""),
        ("DELETE", "/bulwark-uploads/a%20b%24", b""),
    ],
)
def test_curl_signs_alike(edge: Edge, tmp_path: Path, method: str, path: str, body: bytes) -> None:
    """An independent judge, by the header that it sends; it signs with the time at which it is called."""
    curl = shutil.which("curl")
    if curl is None or "--aws-sigv4" not in subprocess.check_output([curl, "--help", "all"], text=True):
        pytest.skip("curl is not here, or too old to sign (before 7.75)")
    content = tmp_path / "content"
    content.write_bytes(body)
    words = [curl, "--silent", "--fail", "--aws-sigv4", "aws:amz:fsn1:s3", "--config", "-", edge.url + path]
    words += ["--header", f"x-amz-content-sha256: {sign('GET', HOST, {}, body, *ANYONE)['x-amz-content-sha256']}"]
    words += {"HEAD": ["--head"], "PUT": ["--request", "PUT", "--data-binary", f"@{content}"]}.get(
        method, ["--request", method]
    )
    subprocess.run(words, input=f'user = "{CREDENTIALS.access_key}:{CREDENTIALS.secret_key}"\n', text=True, check=True)
    [asked] = edge.asked
    assert (asked.method, asked.path, asked.body) == (method, path, body)
    moment = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    # It signs what was set of these, and nothing else that it sends.
    names = re.findall(r"SignedHeaders=([^,]+)", asked.headers["authorization"])[0].split(";")
    further = {name: asked.headers[name] for name in names if not name.startswith("x-amz-") and name != "host"}
    signed = sign(method, edge.url + path, further, body, CREDENTIALS, "fsn1", moment)
    assert signed["Authorization"] == asked.headers["authorization"]


ANYONE = (CREDENTIALS, "fsn1", MOMENT)
