"""Which requests are understood: everything else is answered 501, also for one parameter or header too many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.object_storage import buckets, objects
from lab.object_storage.call import Handler
from lab.object_storage.errors import not_implemented
from lab.object_storage.signature import SIGNING_PARAMETERS, Received

Level = Literal["service", "bucket", "object"]

_META = "x-amz-meta-"
#: Headers that any request may carry: they sign it, or announce what its body is.
_HEADERS = frozenset(
    {"x-amz-content-sha256", "x-amz-date", "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-user-agent"}
    | {"x-amz-sdk-checksum-algorithm", "x-amz-checksum-mode"}
    | {f"x-amz-checksum-{name}" for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")}
)
#: Headers whose usual value asks for what is the case here anyway.
_USUAL = {"x-amz-acl": "private", "x-amz-storage-class": "STANDARD", "x-amz-checksum-type": "COMPOSITE"}
_PARAMETERS = SIGNING_PARAMETERS | {"x-id"}
_PAGE = frozenset(("prefix", "delimiter", "max-keys", "encoding-type"))


@dataclass(frozen=True)
class Operation:
    """A request of a method and level, with all that it needs and nothing but what it may have."""

    method: str
    level: Level
    handler: Handler
    needs: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()
    header: str | None = None
    headers: frozenset[str] = frozenset()

    def fits(self, received: Received, level: Level, parameters: frozenset[str]) -> bool:
        return (
            (self.method, self.level) == (received.method, level)
            and self.needs <= parameters <= self.needs | self.may
            and (self.header is None or received.header(self.header) is not None)
        )


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


_V2 = _names("continuation-token", "start-after", "fetch-owner")
_UPLOAD = _names("uploadId")
_COPY = "x-amz-copy-source"

#: The first that fits.
_OPERATIONS = (
    Operation("GET", "service", buckets.list_buckets),
    Operation("PUT", "bucket", buckets.create_bucket),
    Operation("HEAD", "bucket", buckets.head_bucket),
    Operation("DELETE", "bucket", buckets.delete_bucket),
    Operation("GET", "bucket", buckets.get_location, _names("location")),
    Operation("GET", "bucket", buckets.list_objects_v2, _names("list-type"), _PAGE | _V2),
    Operation("GET", "bucket", buckets.list_objects, may=_PAGE | {"marker"}),
    Operation("POST", "bucket", buckets.delete_objects, _names("delete")),
    Operation("PUT", "object", objects.copy_object, header=_COPY, headers=_names(_COPY, "x-amz-metadata-directive")),
    Operation("PUT", "object", objects.upload_part, _UPLOAD | {"partNumber"}),
    Operation("PUT", "object", objects.put_object),
    Operation("GET", "object", objects.list_parts, _UPLOAD, _names("max-parts", "part-number-marker")),
    Operation("GET", "object", objects.get_object, may=objects.OVERRIDES),
    Operation("HEAD", "object", objects.head_object, may=objects.OVERRIDES),
    Operation("DELETE", "object", objects.abort_upload, _UPLOAD),
    Operation("DELETE", "object", objects.delete_object),
    Operation("POST", "object", objects.create_upload, _names("uploads"), headers=_names("x-amz-checksum-algorithm")),
    Operation("POST", "object", objects.complete_upload, _UPLOAD),
)


def find(received: Received, bucket: str, key: str) -> Handler:
    """Who answers a request. Raises StorageError when nobody does."""
    level: Level = "object" if bucket and key else "bucket" if bucket else "service"
    parameters = frozenset(name for name, _ in received.query) - _PARAMETERS
    found = next((each for each in _OPERATIONS if each.fits(received, level, parameters)), None)
    if found is None:
        asked = f"{received.method} of {'an ' if level == 'object' else 'a '}{level}"
        raise not_implemented(f"{asked} with {', '.join(sorted(parameters))}" if parameters else asked)
    if "list-type" in parameters and received.parameter("list-type") != "2":
        raise not_implemented("a list-type other than 2")
    for name, value in received.headers:
        known = not name.startswith("x-amz-") or name.startswith(_META) or name in _HEADERS | found.headers
        if not known and _USUAL.get(name) != value:
            raise not_implemented(f"{name}: {value}" if name in _USUAL else name)
    return found.handler
