"""What buckets and objects may be called, and which of them a request means."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote_to_bytes

from lab.object_storage.errors import StorageError

_MOST_KEY_BYTES = 1024
# Labels joined by single dots, each of lower-case letters, digits and hyphens, with neither end a hyphen.
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_BUCKET = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_BUCKET_LENGTH = range(3, 64)
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket(name: str) -> None:
    """Raises StorageError unless a bucket may be called so."""
    if (
        len(name) not in _BUCKET_LENGTH
        or not _BUCKET.fullmatch(name)
        or _is_address(name)
        or name.startswith(_RESERVED_STARTS)
        or name.endswith(_RESERVED_ENDS)
    ):
        raise StorageError("InvalidBucketName", BucketName=name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def meant(host: str, raw_path: bytes, service: str) -> tuple[str, str]:
    """Bucket and key that a request means, each empty when it names none.

    The bucket is the first label of the host ("virtual host style"), or else of the path ("path style").
    """
    try:
        path = unquote_to_bytes(raw_path).decode().removeprefix("/")
    except UnicodeDecodeError as error:
        raise StorageError("InvalidURI", "the path is not UTF-8") from error
    name = re.sub(r":\d+$", "", host).lower()
    if name.endswith(f".{service}"):
        bucket, key = name.removesuffix(f".{service}"), path
    else:
        bucket, _, key = path.partition("/")
    check_key(key)
    return bucket, key


def check_key(key: str) -> None:
    if len(key.encode()) > _MOST_KEY_BYTES:
        raise StorageError("KeyTooLongError")
