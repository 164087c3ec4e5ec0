"""Checksums of bodies that a client may announce, and the server must find."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from lab.object_storage.errors import StorageError, not_implemented

PREFIX = "x-amz-checksum-"


class Digest(Protocol):
    """What hashlib's objects do of which use is made here."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


ALGORITHMS: Mapping[str, Callable[[], Digest]] = {
    "md5": lambda: hashlib.md5(usedforsecurity=False),  # it is what an ETag and Content-MD5 are
    "sha256": hashlib.sha256,
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),  # a client may announce it
    "crc32": _Crc32,
}


def announced(header: str) -> str:
    """The algorithm of a checksum's header or trailer."""
    algorithm = header.removeprefix(PREFIX)
    if not header.startswith(PREFIX) or algorithm not in ALGORITHMS:
        raise not_implemented(f"{header} (only {', '.join(ALGORITHMS)})")
    return algorithm


def decode(algorithm: str, text: str, code: str) -> bytes:
    """A checksum in base64. Raises StorageError with this code when it cannot be one."""
    try:
        value = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        value = b""
    if len(value) != len(ALGORITHMS[algorithm]().digest()):
        raise StorageError(code, f"'{text}' is no {algorithm.upper()} in base64")
    return value
