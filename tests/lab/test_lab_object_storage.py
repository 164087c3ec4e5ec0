"""Buckets and objects of the embedded object storage, asked by the vendor's own client."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from base64 import b64encode
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.handlers import validate_bucket_name

from tests.lab.object_storage import NAME, Bucket, Served, refused

MIB = 2**20


def md5(content: bytes) -> bytes:
    return hashlib.md5(content, usedforsecurity=False).digest()


# Buckets


@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_a_bucket_from_its_making_to_its_end(storage: Served, addressing: str) -> None:
    client, name = storage.client(addressing=addressing), f"whole-life-{addressing}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "lab"})
    with refused("BucketAlreadyOwnedByYou", 409):
        client.create_bucket(Bucket=name)
    assert client.head_bucket(Bucket=name)["BucketRegion"] == "lab"
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == "lab"
    assert name in [found["Name"] for found in client.list_buckets()["Buckets"]]
    client.put_object(Bucket=name, Key="a/b", Body=b"1")
    assert client.get_object(Bucket=name, Key="a/b")["Body"].read() == b"1"
    with refused("BucketNotEmpty", 409):
        client.delete_bucket(Bucket=name)
    client.delete_object(Bucket=name, Key="a/b")
    client.delete_bucket(Bucket=name)
    with refused("404", 404):
        client.head_bucket(Bucket=name)
    assert name not in [found["Name"] for found in client.list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Upper", "under_score", "-start", "end-", "a..b", "a.-b", "192.168.5.4", "xn--a", "a-s3alias"],
)
def test_names_that_buckets_cannot_have(storage: Served, name: str) -> None:
    client = storage.client()
    # The client refuses some names itself; here the server is asked.
    client.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
    with refused("InvalidBucketName", 400):
        client.create_bucket(Bucket=name)


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a.b-c.d", "0a0", "1.2.3.4.5"])
def test_names_that_buckets_can_have(storage: Served, name: str) -> None:
    client = storage.client()
    client.create_bucket(Bucket=name)
    client.delete_bucket(Bucket=name)


def test_a_bucket_elsewhere(storage: Served) -> None:
    with refused("IllegalLocationConstraintException", 400):
        storage.client().create_bucket(Bucket="moon", CreateBucketConfiguration={"LocationConstraint": "moon"})


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("put_object", {"Key": "a", "Body": b"1"}),
        ("get_object", {"Key": "a"}),
        ("delete_object", {"Key": "a"}),
        ("delete_objects", {"Delete": {"Objects": [{"Key": "a"}]}}),
        ("list_objects_v2", {}),
        ("list_objects", {}),
        ("get_bucket_location", {}),
        ("delete_bucket", {}),
        ("create_multipart_upload", {"Key": "a"}),
    ],
)
def test_a_bucket_that_is_not_there(storage: Served, operation: str, options: dict[str, Any]) -> None:
    with refused("NoSuchBucket", 404) as error:
        getattr(storage.client(), operation)(Bucket="nowhere", **options)
    assert error["BucketName"] == "nowhere"


# Objects


@pytest.mark.parametrize(
    "key",
    [
        "a",
        "a/b",
        "/a",
        "a//b",
        "a/",
        ".",
        "..",
        "../a",
        "a b+c%2F&=?#",
        "ü/☃",
        "~*'()",
        "x" * 1024,
        "🐘" * 256,
        "%~",
        "a\nb\x01",
    ],
)
def test_keys_of_all_kinds(bucket: Bucket, key: str) -> None:
    bucket.put(key, key.encode())
    bucket.put("another", b"")
    assert bucket.get(key) == key.encode()
    assert key in bucket.listed()
    bucket.call("delete_object", Key=key)
    assert len(bucket.listed()) == 1
    with refused("NoSuchKey", 404):
        bucket.get(key)


def test_a_key_may_be_the_folder_of_another(bucket: Bucket) -> None:
    for key in ("a/b", "a", "a/b/c"):
        bucket.put(key, key.encode())
    assert bucket.listed() == ["a", "a/b", "a/b/c"]
    assert bucket.get("a/b") == b"a/b"


def test_too_long_a_key(bucket: Bucket) -> None:
    with refused("KeyTooLongError", 400):
        bucket.put("ü" * 513)


def test_what_comes_with_an_object_is_kept(bucket: Bucket) -> None:
    etag = bucket.put(
        "a", b"<p>", ContentType="text/html", CacheControl="no-cache", ContentEncoding="br", Metadata={"who": "me"}
    )
    assert etag == f'"{md5(b"<p>").hex()}"'
    for found in (bucket.call("head_object", Key="a"), bucket.call("get_object", Key="a")):
        assert found["ETag"] == etag
        assert (found["ContentType"], found["CacheControl"], found["ContentEncoding"]) == (
            "text/html",
            "no-cache",
            "br",
        )
        assert (found["Metadata"], found["ContentLength"]) == ({"who": "me"}, 3)
        assert found["LastModified"].tzinfo is not None
    bucket.put("a", b"")
    found = bucket.call("get_object", Key="a", ResponseContentType="text/plain")
    assert (found["ContentLength"], found["Metadata"], found["ContentType"]) == (0, {}, "text/plain")
    assert bucket.call("head_object", Key="a")["ContentType"] == "binary/octet-stream"


def test_too_much_metadata(bucket: Bucket) -> None:
    with refused("MetadataTooLarge", 400):
        bucket.put("a", Metadata={"x": "y" * 2048})


def test_the_file_of_an_object_is_its_bytes(bucket: Bucket) -> None:
    bucket.put("a/b", b"bytes")
    assert bucket.path("a/b").read_bytes() == b"bytes"
    bucket.path("a/b").write_bytes(b"bitez")
    assert bucket.get("a/b") == b"bitez"
    bucket.put("a/b", b"again")
    assert [path.read_bytes() for path in bucket.path("a/b").parent.iterdir()] == [b"again"]
    bucket.call("delete_object", Key="a/b")
    assert not [
        path for path in (bucket.served.folder / bucket.name).rglob("*") if path.is_file() and "a%2Fb" in path.name
    ]


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-99", 206, b"0123456789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=4-2", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_ranges(bucket: Bucket, header: str, status: int, content: bytes) -> None:
    bucket.put("a", b"0123456789")
    found = bucket.call("get_object", Key="a", Range=header)
    assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Body"].read()) == (status, content)
    if status == 206:
        start = b"0123456789".index(content)
        assert found["ContentRange"] == f"bytes {start}-{start + len(content) - 1}/10"


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=-0", "bytes=10-20"])
def test_ranges_that_are_not_there(bucket: Bucket, header: str) -> None:
    bucket.put("a", b"0123456789")
    with refused("InvalidRange", 416):
        bucket.get("a", Range=header)


def test_checksums_are_compared(bucket: Bucket) -> None:
    good, bad = (b64encode(md5(content)).decode() for content in (b"right", b"wrong"))
    bucket.put("a", b"right", ContentMD5=good)
    with refused("BadDigest", 400):
        bucket.put("a", b"other", ContentMD5=bad)
    with refused("InvalidDigest", 400):
        bucket.put("a", b"other", ContentMD5="bm8=")
    for algorithm, digest in (("SHA256", hashlib.sha256), ("SHA1", hashlib.sha1)):
        bucket.put("a", b"right", **{f"Checksum{algorithm}": b64encode(digest(b"right").digest()).decode()})
        with refused("BadDigest", 400):
            bucket.put("a", b"other", **{f"Checksum{algorithm}": b64encode(digest(b"wrong").digest()).decode()})
    with refused("BadDigest", 400):
        bucket.put("a", b"other", ChecksumCRC32="AAAAAA==")
    assert bucket.get("a") == b"right"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_stream_with_its_checksum_at_the_end(bucket: Bucket, algorithm: str) -> None:
    content = os.urandom(3 * MIB + 7)
    bucket.put("a", io.BytesIO(content), ChecksumAlgorithm=algorithm)
    assert bucket.get("a") == content


def test_conditions_of_a_write(bucket: Bucket) -> None:
    first = bucket.put("a", b"1", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        bucket.put("a", b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        bucket.put("a", b"2", IfMatch='"0"')
    with refused("NoSuchKey", 404):
        bucket.put("b", b"2", IfMatch=first)
    assert bucket.get("a") == b"1"
    bucket.put("a", b"3", IfMatch=first)
    assert bucket.get("a") == b"3"


def test_of_many_writers_that_want_to_be_first_one_is(bucket: Bucket) -> None:
    won: list[int] = []
    lost: list[str] = []

    def write(number: int) -> None:
        try:
            bucket.put("a", str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            lost.append(error.response["Error"]["Code"])
        else:
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == ["PreconditionFailed"] * 7
    assert [str(number).encode() for number in won] == [bucket.get("a")]


def test_conditions_of_a_read(bucket: Bucket) -> None:
    etag = bucket.put("a", b"1")
    modified = bucket.call("head_object", Key="a")["LastModified"]
    assert bucket.get("a", IfMatch=etag, IfUnmodifiedSince=modified) == b"1"
    assert bucket.get("a", IfNoneMatch='"0"') == b"1"
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": modified}):
        with refused("304", 304):
            bucket.get("a", **condition)
    for condition in ({"IfMatch": '"0"'}, {"IfUnmodifiedSince": modified.replace(year=2001)}):
        with refused("PreconditionFailed", 412):
            bucket.get("a", **condition)


def test_copies(bucket: Bucket) -> None:
    etag = bucket.put("a b/ü", b"1", Metadata={"x": "y"}, ContentType="text/plain")
    source = {"Bucket": bucket.name, "Key": "a b/ü"}
    assert bucket.call("copy_object", Key="c", CopySource=source)["CopyObjectResult"]["ETag"] == etag
    found = bucket.call("get_object", Key="c")
    assert (found["Body"].read(), found["Metadata"], found["ContentType"]) == (b"1", {"x": "y"}, "text/plain")
    bucket.call("copy_object", Key="a b/ü", CopySource=source, MetadataDirective="REPLACE", Metadata={"new": "1"})
    assert bucket.call("head_object", Key="a b/ü")["Metadata"] == {"new": "1"}
    with refused("InvalidRequest", 400):
        bucket.call("copy_object", Key="a b/ü", CopySource=source)
    with refused("NoSuchKey", 404):
        bucket.call("copy_object", Key="c", CopySource={**source, "Key": "none"})


def test_many_are_deleted_at_once(bucket: Bucket) -> None:
    for key in ("a", "b&<>", "c"):
        bucket.put(key)
    done = bucket.call("delete_objects", Delete={"Objects": [{"Key": key} for key in ("a", "b&<>", "none")]})
    assert [found["Key"] for found in done["Deleted"]] == ["a", "b&<>", "none"]
    assert bucket.listed() == ["c"]
    assert "Deleted" not in bucket.call("delete_objects", Delete={"Objects": [{"Key": "c"}], "Quiet": True})
    assert bucket.listed() == []
    bucket.put("d")
    bucket.call("delete_objects", Delete={"Objects": [{"Key": "d"}] * 2}, ChecksumAlgorithm="SHA256")
    assert bucket.listed() == []
    bucket.call("delete_object", Key="c")  # what is not there is deleted


# Listings


def test_listings_by_pages(bucket: Bucket) -> None:
    keys = sorted([*(f"{folder}/{number:02}" for folder in ("a", "b", "b/c", "ü") for number in range(5)), "z"])
    for key in keys:
        bucket.put(key, b"12")
    assert bucket.listed() == keys
    for operation in ("list_objects_v2", "list_objects"):
        pages = list(
            bucket.client.get_paginator(operation).paginate(Bucket=bucket.name, PaginationConfig={"PageSize": 3})
        )
        assert [found["Key"] for page in pages for found in page["Contents"]] == keys
        assert [len(page["Contents"]) for page in pages] == [3] * 7
        rolled = list(
            bucket.client.get_paginator(operation).paginate(
                Bucket=bucket.name, Delimiter="/", PaginationConfig={"PageSize": 1}
            )
        )
        prefixes = [found["Prefix"] for page in rolled for found in page.get("CommonPrefixes", ())]
        assert (prefixes, len(rolled)) == (["a/", "b/", "ü/"], 4)
        assert [found["Key"] for page in rolled for found in page.get("Contents", ())] == ["z"]
    page = bucket.call("list_objects_v2", Prefix="b/", Delimiter="/")
    assert [found["Key"] for found in page["Contents"]] == [f"b/0{number}" for number in range(5)]
    assert (page["CommonPrefixes"], page["KeyCount"], page["IsTruncated"]) == ([{"Prefix": "b/c/"}], 6, False)
    assert {(found["Size"], found["StorageClass"]) for found in page["Contents"]} == {(2, "STANDARD")}
    assert bucket.listed(StartAfter="b/c/04") == keys[-6:]
    assert [found["Key"] for found in bucket.call("list_objects", Marker="ü/03")["Contents"]] == ["ü/04"]


def test_an_empty_page_and_a_token_of_somebody_else(bucket: Bucket) -> None:
    bucket.put("a")
    page = bucket.call("list_objects_v2", MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"]) == (0, False)
    for options in ({"ContinuationToken": "zzz"}, {"MaxKeys": -1}, {"EncodingType": "url2"}):
        with refused("InvalidArgument", 400):
            bucket.call("list_objects_v2", **options)


# What is not implemented


@pytest.mark.parametrize(
    ("operation", "options"),
    [
        ("get_bucket_versioning", {}),
        ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}),
        ("get_bucket_lifecycle_configuration", {}),
        ("get_bucket_acl", {}),
        ("get_bucket_policy", {}),
        ("get_object_lock_configuration", {}),
        ("list_object_versions", {}),
        ("list_multipart_uploads", {}),
        ("get_object_tagging", {"Key": "a"}),
        ("put_object_acl", {"Key": "a", "ACL": "private"}),
        ("get_object", {"Key": "a", "VersionId": "1"}),
        ("delete_object", {"Key": "a", "VersionId": "1"}),
        ("get_object", {"Key": "a", "Range": "bytes=0-1,3-4"}),
        ("put_object", {"Key": "a", "ACL": "public-read"}),
        ("put_object", {"Key": "a", "ServerSideEncryption": "AES256"}),
        ("put_object", {"Key": "a", "Tagging": "x=y"}),
        ("put_object", {"Key": "a", "StorageClass": "GLACIER"}),
        ("put_object", {"Key": "a", "ObjectLockMode": "COMPLIANCE"}),
        ("copy_object", {"Key": "b", "CopySource": "bucket/a", "CopySourceIfMatch": '"0"'}),
    ],
)
def test_what_is_not_implemented_says_so(bucket: Bucket, operation: str, options: dict[str, Any]) -> None:
    bucket.put("a", b"kept")
    with refused("NotImplemented", 501):
        bucket.call(operation, **options)
    assert bucket.get("a") == b"kept"
    assert bucket.listed() == ["a"]


def test_a_bucket_is_named_by_the_host_or_by_the_path(bucket: Bucket, storage: Served) -> None:
    bucket.put("a/b", b"1")
    virtual = storage.client(addressing="virtual")
    link = virtual.generate_presigned_url("get_object", {"Bucket": bucket.name, "Key": "a/b"})
    assert link.startswith(f"https://{bucket.name}.{NAME}:")
    assert virtual.get_object(Bucket=bucket.name, Key="a/b")["Body"].read() == b"1"
