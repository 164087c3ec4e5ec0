"""What can be asked of buckets, and of all of them."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from lab.object_storage import xml
from lab.object_storage.call import Call, answer, quoted
from lab.object_storage.errors import StorageError
from lab.object_storage.listing import Start, page
from lab.object_storage.store import Entry

_OWNER: xml.Node = ("Owner", (("ID", "lab"), ("DisplayName", "lab")))
_MOST = 1000


async def list_buckets(call: Call) -> Response:
    found = await call.run(call.store.buckets)
    buckets = [("Bucket", (("Name", each.name), ("CreationDate", xml.time(each.created)))) for each in found]
    return answer(("ListAllMyBucketsResult", (_OWNER, ("Buckets", buckets))))


async def create_bucket(call: Call) -> Response:
    body = await call.document()
    if body:
        for setting in xml.parse(body, "CreateBucketConfiguration"):
            if setting.tag != "LocationConstraint":
                raise StorageError("NotImplemented", f"{setting.tag} of a new bucket is not implemented")
            if setting.text not in (None, call.backend.region):
                raise StorageError("IllegalLocationConstraintException")
    await call.run(lambda: call.store.create_bucket(call.bucket))
    return Response(headers={"Location": f"/{call.bucket}"})


async def head_bucket(call: Call) -> Response:
    await call.run(lambda: call.store.bucket(call.bucket))
    return Response(headers={"x-amz-bucket-region": call.backend.region})


async def delete_bucket(call: Call) -> Response:
    await call.run(lambda: call.store.delete_bucket(call.bucket))
    return Response(status_code=204)


async def get_location(call: Call) -> Response:
    await call.run(lambda: call.store.bucket(call.bucket))
    return answer(("LocationConstraint", call.backend.region))


async def list_objects(call: Call) -> Response:
    """The first version: the next page begins after a key."""
    marker, delimiter, prefix = (call.parameter(name) for name in ("marker", "delimiter", "prefix"))
    rolled_up = bool(delimiter) and marker.startswith(prefix) and marker[len(prefix) :].find(delimiter) >= 0
    start = Start(marker, prefix=rolled_up and marker.endswith(delimiter))
    nodes, following = await _page(call, start)
    # Without a delimiter clients go on from the last key.
    next_marker = following.after if following and delimiter else None
    encode = _encoder(call)
    head = (
        ("Marker", encode(marker)),
        ("NextMarker", None if next_marker is None else encode(next_marker)),
    )
    return answer(("ListBucketResult", (*head, *nodes)))


async def list_objects_v2(call: Call) -> Response:
    token, after = call.received.parameter("continuation-token"), call.parameter("start-after")
    start = Start(after) if token is None else Start.of_token(token)
    nodes, following = await _page(call, start, owner=call.parameter("fetch-owner") == "true")
    count = sum(1 for name, _ in nodes if name in ("Contents", "CommonPrefixes"))
    head = (
        ("KeyCount", count),
        ("ContinuationToken", token),
        ("NextContinuationToken", following.token() if following else None),
        ("StartAfter", _encoder(call)(after) if after else None),
    )
    return answer(("ListBucketResult", (*head, *nodes)))


async def _page(call: Call, start: Start, owner: bool = True) -> tuple[list[xml.Node], Start | None]:
    """What both versions say of a page, and where the next one begins."""
    encode = _encoder(call)
    most = min(call.number("max-keys", _MOST, range(2**31)), _MOST)
    prefix, delimiter = call.parameter("prefix"), call.parameter("delimiter")

    def read() -> tuple[list[Entry], list[str], Start | None]:
        found = page(call.store.keys(call.bucket), prefix, delimiter, start, most)
        return call.store.look(call.bucket, found.keys), found.prefixes, found.next

    entries, prefixes, following = await call.run(read)
    nodes: list[xml.Node] = [
        ("Name", call.bucket),
        ("Prefix", encode(prefix)),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("MaxKeys", most),
        ("EncodingType", call.parameter("encoding-type") or None),
        ("IsTruncated", following is not None),
    ]
    for entry in entries:
        about: list[xml.Node] = [
            ("Key", encode(entry.key)),
            ("LastModified", xml.time(entry.modified)),
            ("ETag", quoted(entry.etag)),
            ("Size", entry.size),
            ("StorageClass", "STANDARD"),
        ]
        nodes.append(("Contents", [*about, _OWNER] if owner else about))
    nodes += [("CommonPrefixes", (("Prefix", encode(common)),)) for common in prefixes]
    return nodes, following


class _Encoder:
    """Keys as they are or, where the client asks for that, as in an address: XML cannot hold every character."""

    def __init__(self, url: bool) -> None:
        self._url = url

    def __call__(self, text: str) -> str:
        return quote(text, safe="/-_.~") if self._url else text


def _encoder(call: Call) -> _Encoder:
    kind = call.parameter("encoding-type")
    if kind not in ("", "url"):
        raise StorageError("InvalidArgument", "encoding-type can only be url")
    return _Encoder(kind == "url")


async def delete_objects(call: Call) -> Response:
    if not call.payload.has_checksum:
        raise StorageError("InvalidRequest", "the request needs the header Content-MD5 or a checksum")
    request = xml.parse(await call.document(), "Delete")
    quiet = request.findtext("Quiet", "false") == "true"
    listed = request.findall("Object")
    keys = [each.findtext("Key") or "" for each in listed]
    if not 0 < len(keys) <= _MOST or not all(keys):
        raise StorageError("MalformedXML")
    if any(child.tag != "Key" for each in listed for child in each):
        raise StorageError("NotImplemented", "of objects to delete only the key can be given")
    await call.run(lambda: call.store.delete(call.bucket, keys))
    return answer(("DeleteResult", [] if quiet else [("Deleted", (("Key", key),)) for key in keys]))
