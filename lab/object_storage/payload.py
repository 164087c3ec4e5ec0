"""The body of a request without the frames it may be sent in, and whether it arrived whole.

Source: the vendor's "Signature calculations for the Authorization header: transferring a payload in multiple chunks".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping

from lab.object_storage import checksums
from lab.object_storage.errors import StorageError
from lab.object_storage.signature import ALGORITHM, UNSIGNED, Received, Signed

_CHUNKS_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
_CHUNKS_AND_TRAILER_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
_CHUNKS_UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_STREAMING = (_CHUNKS_SIGNED, _CHUNKS_AND_TRAILER_SIGNED, _CHUNKS_UNSIGNED)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
_LONGEST_LINE = 8192
_SIGNATURE = "x-amz-trailer-signature"
_NOTHING = hashlib.sha256().hexdigest()
#: Headers below the checksums' prefix that carry none.
_NO_CHECKSUMS = frozenset(("x-amz-checksum-mode", "x-amz-checksum-algorithm", "x-amz-checksum-type"))


class Payload:
    """Iterate over it for the content, digest that by ``algorithms``, and ``check`` the digests."""

    def __init__(self, received: Received, signed: Signed, stream: AsyncIterator[bytes]) -> None:
        self._signed = signed
        self._stream = stream
        self._trailers: dict[str, str] = {}
        self._expected: dict[str, tuple[bytes, str]] = {}
        self._framed = signed.payload in _STREAMING
        self._announced = frozenset(
            name for name in (received.header("x-amz-trailer") or "").replace(" ", "").lower().split(",") if name
        )
        if self._announced and not self._framed:
            raise StorageError("InvalidRequest", "a trailer is announced, and the body is not sent in chunks")
        self.size = _size(received, self._framed)
        if not self._framed and signed.payload != UNSIGNED:
            if not _SHA256.fullmatch(signed.payload):
                raise StorageError("InvalidArgument", f"x-amz-content-sha256 cannot be '{signed.payload}'")
            self._expected["sha256"] = (bytes.fromhex(signed.payload), "XAmzContentSHA256Mismatch")
        self._read_checksums(received)

    def _read_checksums(self, received: Received) -> None:
        self.has_checksum = bool(self._announced)
        md5 = received.header("content-md5")
        if md5 is not None:
            self._expected["md5"] = (checksums.decode("md5", md5, "InvalidDigest"), "BadDigest")
            self.has_checksum = True
        for name, value in received.headers:
            if name.startswith(checksums.PREFIX) and name not in _NO_CHECKSUMS:
                algorithm = checksums.announced(name)
                expected = checksums.decode(algorithm, value, "InvalidRequest")
                if self._expected.get(algorithm, (expected, ""))[0] != expected:
                    raise StorageError("BadDigest", f"the request announces two values of {algorithm.upper()}")
                self._expected.setdefault(algorithm, (expected, "BadDigest"))
                self.has_checksum = True
        self.algorithms = frozenset((*self._expected, *map(checksums.announced, self._announced)))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises StorageError where it is not framed or signed as it says, or has another length."""
        got = 0
        async for piece in self._unframed() if self._framed else self._stream:
            got += len(piece)
            if got > self.size:
                raise StorageError("IncompleteBody")
            if piece:
                yield piece
        if got != self.size:
            raise StorageError("IncompleteBody")

    def check(self, digests: Mapping[str, bytes]) -> None:
        """Compare with what was announced, in headers or after the content. Raises StorageError."""
        for name, value in self._trailers.items():
            algorithm = checksums.announced(name)
            if checksums.decode(algorithm, value, "InvalidRequest") != digests[algorithm]:
                raise StorageError("BadDigest")
        for algorithm, (expected, code) in self._expected.items():
            if expected != digests[algorithm]:
                raise StorageError(code)

    async def _unframed(self) -> AsyncIterator[bytes]:
        source = _Source(self._stream)
        previous = self._signed.signature
        signs_chunks = self._signed.payload != _CHUNKS_UNSIGNED
        left = -1
        while left:
            text, _, extension = (await source.line()).partition(b";")
            if not _SIZE.fullmatch(text):
                raise StorageError("InvalidRequest", "a chunk's size cannot be read")
            size = left = int(text, 16)
            digest = hashlib.sha256()
            while left:
                piece = await source.some(left)
                digest.update(piece)
                left -= len(piece)
                yield piece
            if size and await source.line() != b"":
                raise StorageError("IncompleteBody")
            if signs_chunks:
                words = ("-PAYLOAD", self._signed.time, self._signed.scope, previous, _NOTHING, digest.hexdigest())
                previous = self._checked(words, extension.removeprefix(b"chunk-signature=").decode("latin-1"))
            left = size
        await self._read_trailers(source, previous)

    async def _read_trailers(self, source: _Source, previous: str) -> None:
        found = []
        while line := await source.line():
            name, _, value = line.decode("latin-1").partition(":")
            found.append((name.strip().lower(), value.strip()))
        self._trailers = {name: value for name, value in found if name != _SIGNATURE}
        if self._trailers.keys() != self._announced:
            raise StorageError("InvalidRequest", "other trailers came than x-amz-trailer announces")
        if self._signed.payload == _CHUNKS_AND_TRAILER_SIGNED:
            canonical = "".join(f"{name}:{value}\n" for name, value in sorted(self._trailers.items()))
            digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
            words = ("-TRAILER", self._signed.time, self._signed.scope, previous, digest)
            self._checked(words, dict(found).get(_SIGNATURE, ""))
        await source.end()

    def _checked(self, words: tuple[str, ...], signature: str) -> str:
        wanted = self._signed.sign(ALGORITHM + "\n".join(words))
        if not hmac.compare_digest(wanted.encode(), signature.encode("latin-1")):
            raise StorageError("SignatureDoesNotMatch", "a chunk's signature is not the one that the secret key gives")
        return wanted


def _size(received: Received, framed: bool) -> int:
    """How long the content says it is; where nothing says so, half a body could pass for a whole one."""
    if not framed and received.header("transfer-encoding") is not None:
        raise StorageError("MissingContentLength")
    header = "x-amz-decoded-content-length" if framed else "content-length"
    text = received.header(header) or ("0" if received.method in ("GET", "HEAD", "DELETE", "POST") else "")
    if not text:
        raise StorageError("MissingContentLength", f"the request needs the header {header}")
    if not text.isdecimal():
        raise StorageError("InvalidArgument", f"{header} must be a whole number")
    return int(text)


class _Source:
    """A stream of pieces, read by lines and by length."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._kept = b""

    async def _more(self) -> bool:
        async for piece in self._stream:
            if piece:
                self._kept += piece
                return True
        return False

    async def line(self) -> bytes:
        while b"\r\n" not in self._kept:
            if len(self._kept) > _LONGEST_LINE:
                raise StorageError("InvalidRequest", "a chunk begins with no line")
            if not await self._more():
                raise StorageError("IncompleteBody")
        line, _, self._kept = self._kept.partition(b"\r\n")
        return line

    async def some(self, most: int) -> bytes:
        """At least one byte."""
        if not self._kept and not await self._more():
            raise StorageError("IncompleteBody")
        piece, self._kept = self._kept[:most], self._kept[most:]
        return piece

    async def end(self) -> None:
        if self._kept or await self._more():
            raise StorageError("IncompleteBody")
