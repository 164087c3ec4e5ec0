"""Uploads in parts, asked by the vendor's own client."""

from __future__ import annotations

import hashlib
import io
import os
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from tests.lab.object_storage import Bucket, refused

LEAST = 5 * 2**20
ABSENT = "0" * 32
SMALL_PARTS = TransferConfig(multipart_threshold=LEAST, multipart_chunksize=LEAST)


class Upload:
    """One that has begun."""

    def __init__(self, bucket: Bucket, **options: Any) -> None:
        self._bucket = bucket
        self.id = bucket.call("create_multipart_upload", Key="a", **options)["UploadId"]

    def call(self, operation: str, **options: Any) -> Any:
        return self._bucket.call(operation, Key="a", UploadId=self.id, **options)

    def part(self, number: int, content: bytes) -> dict[str, Any]:
        etag = self.call("upload_part", PartNumber=number, Body=content)["ETag"]
        return {"PartNumber": number, "ETag": etag}

    def complete(self, *parts: dict[str, Any], **options: Any) -> Any:
        return self.call("complete_multipart_upload", MultipartUpload={"Parts": [*parts]}, **options)


@pytest.fixture
def upload(bucket: Bucket) -> Upload:
    return Upload(bucket, Metadata={"x": "y"}, ContentType="text/plain")


def test_the_clients_own_way(bucket: Bucket) -> None:
    content = os.urandom(3 * LEAST + 11)
    bucket.client.upload_fileobj(io.BytesIO(content), bucket.name, "a", Config=SMALL_PARTS)
    found = io.BytesIO()
    bucket.client.download_fileobj(bucket.name, "a", found, Config=SMALL_PARTS)
    assert found.getvalue() == content
    assert bucket.path("a").read_bytes() == content


def test_parts_come_together_in_order(bucket: Bucket, upload: Upload) -> None:
    contents = [b"1" * LEAST, b"2" * LEAST, b"3"]
    parts = [upload.part(number, contents[number - 1]) for number in (3, 1, 2)]
    parts.sort(key=lambda part: part["PartNumber"])
    listed = upload.call("list_parts")["Parts"]
    assert [{key: part[key] for key in ("PartNumber", "ETag")} for part in listed] == parts
    assert [part["Size"] for part in listed] == [LEAST, LEAST, 1]
    page = upload.call("list_parts", MaxParts=1, PartNumberMarker=1)
    assert ([part["PartNumber"] for part in page["Parts"]], page["IsTruncated"]) == ([2], True)
    assert bucket.listed() == [], "it is no object before it is complete"
    digests = b"".join(hashlib.md5(content, usedforsecurity=False).digest() for content in contents)
    etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"'
    assert upload.complete(*parts)["ETag"] == etag
    found = bucket.call("get_object", Key="a")
    assert found["Body"].read() == b"".join(contents)
    assert (found["ETag"], found["Metadata"], found["ContentType"]) == (etag, {"x": "y"}, "text/plain")
    assert not list((bucket.served.folder / bucket.name / "uploads").iterdir())
    with refused("NoSuchUpload", 404):
        upload.complete(*parts)


def test_a_part_that_is_sent_again_replaces_the_first(bucket: Bucket, upload: Upload) -> None:
    first, second = upload.part(1, b"1"), upload.part(1, b"2")
    with refused("InvalidPart", 400):
        upload.complete(first)
    assert len(upload.call("list_parts")["Parts"]) == 1
    upload.complete(second)
    assert bucket.get("a") == b"2"


def test_what_cannot_be_completed(bucket: Bucket, upload: Upload) -> None:
    first, second = upload.part(1, b"1"), upload.part(2, b"2")
    for parts, code in (
        ((first, second), "EntityTooSmall"),
        ((second, first), "InvalidPartOrder"),
        ((first, first), "InvalidPartOrder"),
        (({**first, "PartNumber": 3},), "InvalidPart"),
        (({**first, "ETag": "x"},), "InvalidPart"),
        ((), "MalformedXML"),
    ):
        with refused(code, 400):
            upload.complete(*parts)
    with refused("NotImplemented", 501):
        upload.complete({**first, "ChecksumCRC32": "AAAAAA=="})
    assert bucket.listed() == []
    bucket.put("a", b"there")
    with refused("PreconditionFailed", 412):
        upload.complete(second, IfNoneMatch="*")
    upload.complete(second)
    assert bucket.get("a") == b"2"


def test_an_aborted_upload_is_gone(bucket: Bucket, upload: Upload) -> None:
    upload.part(1, b"1")
    upload.call("abort_multipart_upload")
    for operation, options in (("abort_multipart_upload", {}), ("list_parts", {}), ("upload_part", {"PartNumber": 1})):
        with refused("NoSuchUpload", 404):
            upload.call(operation, **options)
    assert not list((bucket.served.folder / bucket.name / "uploads").iterdir())


@pytest.mark.parametrize("number", [0, 10_001])
def test_numbers_of_parts_have_bounds(upload: Upload, number: int) -> None:
    with refused("InvalidArgument", 400):
        upload.part(number, b"1")


@pytest.mark.parametrize("number", [ABSENT, "x", "..", "../../a"])
def test_an_upload_that_never_was(bucket: Bucket, number: str) -> None:
    with refused("NoSuchUpload", 404):
        bucket.call("upload_part", Key="a", UploadId=number, PartNumber=1, Body=b"1")


def test_an_upload_is_of_one_key(bucket: Bucket, upload: Upload) -> None:
    with refused("NoSuchUpload", 404):
        bucket.call("upload_part", Key="b", UploadId=upload.id, PartNumber=1, Body=b"1")
