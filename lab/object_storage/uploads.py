"""Uploads in parts: each part a file named by its number and its MD5, until they are put together as an object."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.object_storage.errors import StorageError
from lab.object_storage.store import UNFINISHED, UPLOADS, Condition, Entry, Incoming, Store, sync

PART_NUMBERS = range(1, 10_001)
_LEAST = 5 * 2**20
_PIECE = 2**20
_ID = re.compile(r"[0-9a-f]{32}")
_PLAN = "upload.json"


@dataclass(frozen=True)
class Part:
    number: int
    etag: str
    size: int
    modified: float


@dataclass(frozen=True)
class Upload:
    key: str
    headers: dict[str, str]


class Uploads:
    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, bucket: str, key: str, headers: dict[str, str]) -> str:
        """The ID of a new upload."""
        number = secrets.token_hex(16)
        folder = self._store.bucket(bucket) / UPLOADS / number
        unfinished = folder.with_name(number + UNFINISHED)
        unfinished.mkdir()
        (unfinished / _PLAN).write_text(json.dumps(asdict(Upload(key, headers))))
        unfinished.rename(folder)
        return number

    def _folder(self, bucket: str, key: str, number: str) -> Path:
        folder = self._store.bucket(bucket) / UPLOADS / number
        if not _ID.fullmatch(number) or not folder.is_dir() or self._plan(folder).key != key:
            raise StorageError("NoSuchUpload", UploadId=number)
        return folder

    def _plan(self, folder: Path) -> Upload:
        return Upload(**json.loads((folder / _PLAN).read_text()))

    def check(self, bucket: str, key: str, number: str) -> None:
        """Raises StorageError unless this upload is under way."""
        self._folder(bucket, key, number)

    def add(self, bucket: str, key: str, number: str, part: int, incoming: Incoming, etag: str) -> None:
        """Make a finished file a part, in the place of an earlier one of that number."""
        folder = self._folder(bucket, key, number)
        target = folder / f"{part:05}.{etag}"
        try:
            incoming.path.rename(target)
        except FileNotFoundError as error:  # completed or aborted meanwhile
            raise StorageError("NoSuchUpload", UploadId=number) from error
        sync(folder)
        for earlier in folder.glob(f"{part:05}.*"):
            if earlier != target:
                earlier.unlink(missing_ok=True)

    def parts(self, bucket: str, key: str, number: str) -> list[Part]:
        found: dict[int, Part] = {}
        for path in self._folder(bucket, key, number).glob("?????.*"):
            position, _, etag = path.name.partition(".")
            about = path.stat()
            part = Part(int(position), etag, about.st_size, about.st_mtime)
            earlier = found.get(part.number)
            if earlier is None or earlier.modified < part.modified:
                found[part.number] = part
        return [found[number] for number in sorted(found)]

    def complete(
        self, bucket: str, key: str, number: str, listed: Sequence[tuple[int, str]], condition: Condition
    ) -> Entry:
        """Make the listed parts, by number and ETag, an object in this order."""
        folder = self._folder(bucket, key, number)
        paths = [folder / f"{position:05}.{etag}" for position, etag in listed]
        known = {(part.number, part.etag): part for part in self.parts(bucket, key, number)}
        for position, etag in listed:
            if (position, etag) not in known:
                raise StorageError("InvalidPart", PartNumber=str(position), ETag=etag)
        for position, etag in listed[:-1]:
            if known[position, etag].size < _LEAST:
                raise StorageError("EntityTooSmall", PartNumber=str(position), ETag=etag)
        together = hashlib.md5(b"".join(bytes.fromhex(etag) for _, etag in listed), usedforsecurity=False)
        incoming = self._store.incoming()
        try:
            for path in paths:
                with path.open("rb") as file:
                    while piece := file.read(_PIECE):
                        incoming.write(piece)
            incoming.finish()
            headers = self._plan(folder).headers
            entry = self._store.put(bucket, key, incoming, f"{together.hexdigest()}-{len(listed)}", headers, condition)
        except BaseException:
            incoming.discard()
            raise
        _remove(folder)
        return entry

    def abort(self, bucket: str, key: str, number: str) -> None:
        _remove(self._folder(bucket, key, number))


def _remove(folder: Path) -> None:
    """At once for whoever looks, and what a kill leaves of it goes when the store is opened again."""
    gone = folder.rename(folder.with_name(folder.name + UNFINISHED))
    shutil.rmtree(gone)
