"""What can be asked of objects, and of uploads in parts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email.utils import formatdate
from functools import partial
from typing import BinaryIO
from urllib.parse import unquote

from starlette.responses import Response, StreamingResponse

from lab.object_storage import conditions, xml
from lab.object_storage.call import Call, answer, quoted
from lab.object_storage.errors import StorageError
from lab.object_storage.names import check_key
from lab.object_storage.store import Entry
from lab.object_storage.uploads import PART_NUMBERS

_META = "x-amz-meta-"
_KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
_DEFAULT_TYPE = "binary/octet-stream"
_FRAMES = "aws-chunked"
_MOST_META_BYTES = 2048
#: Of one request.
_MOST_BYTES = 5 * 2**30
_PIECE = 2**18
_MD5 = re.compile(r"[0-9a-f]{32}")
_MOST_PARTS_LISTED = 1000
#: Query parameters by which a reader has headers answered differently.
OVERRIDES = frozenset(f"response-{name}" for name in _KEPT)


def _headers(call: Call) -> dict[str, str]:
    """The headers of a write that are answered with the object."""
    found: dict[str, str] = {}
    for name, value in call.received.headers:
        if name in _KEPT or name.startswith(_META):
            found[name] = f"{found[name]},{value}" if name in found else value
    codings = [word for each in found.pop("content-encoding", "").split(",") if (word := each.strip()) != _FRAMES]
    if any(codings):
        found["content-encoding"] = ",".join(codings)
    size = sum(len(name) - len(_META) + len(value) for name, value in found.items() if name.startswith(_META))
    if size > _MOST_META_BYTES:
        raise StorageError("MetadataTooLarge")
    return {"content-type": _DEFAULT_TYPE, **found}


def _check_size(call: Call) -> None:
    if call.payload.size > _MOST_BYTES:
        raise StorageError("EntityTooLarge")


async def put_object(call: Call) -> Response:
    headers, condition = _headers(call), conditions.of_write(call.received)
    _check_size(call)
    await call.run(lambda: call.store.bucket(call.bucket))
    incoming, digests = await call.receive()
    etag = digests["md5"].hex()
    try:
        await call.run(lambda: call.store.put(call.bucket, call.key, incoming, etag, headers, condition))
    finally:
        incoming.discard()
    return Response(headers={"ETag": quoted(etag)})


async def copy_object(call: Call) -> Response:
    source = unquote(call.header("x-amz-copy-source") or "").removeprefix("/")
    if "?" in source:
        raise StorageError("NotImplemented", "a version of an object cannot be copied")
    bucket, _, key = source.partition("/")
    if not key:
        raise StorageError("InvalidArgument", "x-amz-copy-source is BUCKET/KEY")
    check_key(key)
    directive = call.header("x-amz-metadata-directive") or "COPY"
    if directive not in ("COPY", "REPLACE"):
        raise StorageError("InvalidArgument", "x-amz-metadata-directive is COPY or REPLACE")
    if directive == "COPY" and (bucket, key) == (call.bucket, call.key):
        raise StorageError("InvalidRequest", "an object can only be copied to itself with other metadata")
    condition = conditions.of_write(call.received)

    def copy() -> Entry:
        call.store.bucket(call.bucket)
        before, file = call.store.open(bucket, key)
        headers = before.headers if directive == "COPY" else _headers(call)
        incoming = call.store.incoming()
        try:
            with file:
                while piece := file.read(_PIECE):
                    incoming.write(piece)
            etag = incoming.finish()["md5"].hex()
            return call.store.put(call.bucket, call.key, incoming, etag, headers, condition)
        finally:
            incoming.discard()

    made = await call.run(copy)
    return answer(("CopyObjectResult", (("LastModified", xml.time(made.modified)), ("ETag", quoted(made.etag)))))


def _described(call: Call, entry: Entry) -> tuple[dict[str, str], int, range]:
    """Headers, status and the bytes of the answer to who reads an object."""
    conditions.check_read(call.received, entry)
    headers = {
        "ETag": quoted(entry.etag),
        "Last-Modified": formatdate(entry.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        **entry.headers,
    }
    for name in OVERRIDES:
        value = call.received.parameter(name)
        if value is not None:
            headers[name.removeprefix("response-")] = value
    part = conditions.wanted_range(call.received, entry.size)
    chosen = range(entry.size) if part is None else part
    headers["Content-Length"] = str(len(chosen))
    if part is None:
        return headers, 200, chosen
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{entry.size}"
    return headers, 206, chosen


async def head_object(call: Call) -> Response:
    entry = await call.run(lambda: call.store.entry(call.bucket, call.key))
    headers, status, _ = _described(call, entry)
    return Response(status_code=status, headers=headers)


async def get_object(call: Call) -> Response:
    entry, file = await call.run(lambda: call.store.open(call.bucket, call.key))
    try:
        headers, status, chosen = _described(call, entry)
    except StorageError:
        file.close()
        raise
    return StreamingResponse(_read(call, file, chosen), status, headers)


async def _read(call: Call, file: BinaryIO, chosen: range) -> AsyncIterator[bytes]:
    with file:
        file.seek(chosen.start)
        left = len(chosen)
        while left:
            length = min(left, _PIECE)
            piece = await call.run(partial(file.read, length))
            if not piece:
                return  # the file was cut short; the server breaks off, as the length it announced says
            left -= len(piece)
            yield piece


async def delete_object(call: Call) -> Response:
    await call.run(lambda: call.store.delete(call.bucket, [call.key]))
    return Response(status_code=204)


# Uploads in parts


def _upload(call: Call) -> tuple[str, str, str]:
    return call.bucket, call.key, call.parameter("uploadId")


async def create_upload(call: Call) -> Response:
    headers = _headers(call)
    number = await call.run(lambda: call.uploads.begin(call.bucket, call.key, headers))
    about = (("Bucket", call.bucket), ("Key", call.key), ("UploadId", number))
    return answer(("InitiateMultipartUploadResult", about))


async def upload_part(call: Call) -> Response:
    part = call.number("partNumber", 0, PART_NUMBERS)
    _check_size(call)
    await call.run(lambda: call.uploads.check(*_upload(call)))
    incoming, digests = await call.receive()
    etag = digests["md5"].hex()
    try:
        await call.run(lambda: call.uploads.add(*_upload(call), part, incoming, etag))
    finally:
        incoming.discard()
    return Response(headers={"ETag": quoted(etag)})


async def list_parts(call: Call) -> Response:
    most = min(call.number("max-parts", _MOST_PARTS_LISTED, range(2**31)), _MOST_PARTS_LISTED)
    after = call.number("part-number-marker", 0, range(2**31))
    found = [part for part in await call.run(lambda: call.uploads.parts(*_upload(call))) if part.number > after]
    shown = found[:most]
    about: list[xml.Node] = [
        ("Bucket", call.bucket),
        ("Key", call.key),
        ("UploadId", call.parameter("uploadId")),
        ("StorageClass", "STANDARD"),
        ("PartNumberMarker", after),
        ("NextPartNumberMarker", shown[-1].number if shown else None),
        ("MaxParts", most),
        ("IsTruncated", len(shown) < len(found)),
    ]
    for part in shown:
        facts: list[xml.Node] = [
            ("PartNumber", part.number),
            ("LastModified", xml.time(part.modified)),
            ("ETag", quoted(part.etag)),
            ("Size", part.size),
        ]
        about.append(("Part", facts))
    return answer(("ListPartsResult", about))


async def complete_upload(call: Call) -> Response:
    condition = conditions.of_write(call.received)
    request = xml.parse(await call.document(), "CompleteMultipartUpload")
    listed: list[tuple[int, str]] = []
    for part in request:
        if unknown := {child.tag for child in part} - {"PartNumber", "ETag"}:
            raise StorageError("NotImplemented", f"{', '.join(sorted(unknown))} of a part is not implemented")
        number, etag = part.findtext("PartNumber", ""), part.findtext("ETag", "").strip().strip('"')
        if part.tag != "Part" or not number.isdecimal():
            raise StorageError("MalformedXML")
        if not _MD5.fullmatch(etag):
            raise StorageError("InvalidPart", PartNumber=number, ETag=etag)
        listed.append((int(number), etag))
    if not listed:
        raise StorageError("MalformedXML")
    numbers = [number for number, _ in listed]
    if numbers != sorted(set(numbers)):
        raise StorageError("InvalidPartOrder")
    made = await call.run(lambda: call.uploads.complete(*_upload(call), listed, condition))
    about = (("Location", f"/{call.bucket}/{call.key}"), ("Bucket", call.bucket), ("Key", call.key))
    return answer(("CompleteMultipartUploadResult", (*about, ("ETag", quoted(made.etag)))))


async def abort_upload(call: Call) -> Response:
    await call.run(lambda: call.uploads.abort(*_upload(call)))
    return Response(status_code=204)
