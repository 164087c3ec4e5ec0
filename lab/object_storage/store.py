"""Buckets and objects as files. Everything here blocks, and may be called by several threads of one process.

A bucket is a folder. Its ``entries`` hold a small file for each object, named after the key: what is known about it and
which file of ``content`` holds its bytes, those and nothing else. An object is there when its entry is, and that
appears, complete, by a rename: a process killed anywhere leaves the object that was there before or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from lab.object_storage import checksums
from lab.object_storage.errors import StorageError
from lab.object_storage.names import check_bucket

# No bucket's name begins with a dot.
UNFINISHED = ".unfinished"  # of an upload, what its folder's name ends with
_GONE = ".gone-"
_ENTRIES, CONTENT, UPLOADS = "entries", "content", "uploads"
#: Longer names of files are cut; a file system takes 255 bytes.
_LONGEST_NAME = 180
#: Never followed by such a letter in a quoted key.
_CUT = "%~"

Condition = Callable[["Entry | None"], None]


@dataclass(frozen=True)
class Bucket:
    name: str
    created: float


@dataclass(frozen=True)
class Entry:
    """What is known about an object."""

    key: str
    size: int
    etag: str  # without quotes
    modified: float
    content: str  # name of the file
    headers: dict[str, str] = field(default_factory=dict)  # given with it, to be answered with it


def file_name(key: str) -> str:
    """The name of an object's entry: the key as in an address, a slash as %2F; a long one cut, with its digest."""
    quoted = quote(key, safe="")
    # A file cannot be called . or .., and unquoting gives them back.
    quoted = quoted.replace(".", "%2E") if not quoted.strip(".") else quoted
    if len(quoted) <= _LONGEST_NAME:
        return quoted
    return quoted[: _LONGEST_NAME - 70] + _CUT + hashlib.sha256(key.encode()).hexdigest()


class Incoming:
    """A file that is being written and belongs to nobody yet."""

    def __init__(self, path: Path, algorithms: Iterable[str]) -> None:
        self.path = path
        self.size = 0
        self._digests = {name: checksums.ALGORITHMS[name]() for name in {"md5", *algorithms}}
        self._file = path.open("xb")

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)
        for digest in self._digests.values():
            digest.update(data)

    def finish(self) -> dict[str, bytes]:
        """Have it on the disk; the digests of it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {name: digest.digest() for name, digest in self._digests.items()}

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class Store:
    """The folder of all buckets. One process writes; others may look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._unfinished = folder / UNFINISHED
        self._lock = threading.Lock()
        self._unfinished.mkdir(mode=0o700, parents=True, exist_ok=True)

    def tidy(self) -> None:
        """Remove what a process that was killed left unfinished. For who serves the store, before anybody writes."""
        shutil.rmtree(self._unfinished, ignore_errors=True)
        self._unfinished.mkdir(mode=0o700)
        for gone in self.folder.glob(f"{_GONE}*"):
            shutil.rmtree(gone)
        for bucket in self.buckets():
            known = {entry.content for key in self.keys(bucket.name) if (entry := self._look(bucket.name, key))}
            for path in (self.folder / bucket.name / CONTENT).iterdir():
                if path.name not in known:
                    path.unlink()
            for upload in (self.folder / bucket.name / UPLOADS).glob(f"*{UNFINISHED}"):
                shutil.rmtree(upload)

    # Buckets

    def buckets(self) -> list[Bucket]:
        found = sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))
        return [Bucket(path.name, (path / "created").stat().st_mtime) for path in found]

    def bucket(self, name: str) -> Path:
        """The folder of a bucket. Raises StorageError when there is none."""
        path = self.folder / name
        if not name or name.startswith(".") or "/" in name or not path.is_dir():
            raise StorageError("NoSuchBucket", BucketName=name)
        return path

    def create_bucket(self, name: str) -> None:
        check_bucket(name)
        made = self._unfinished / secrets.token_hex(8)
        for folder in (_ENTRIES, CONTENT, UPLOADS):
            (made / folder).mkdir(parents=True)
        (made / "created").touch()
        try:
            made.rename(self.folder / name)
        except OSError as error:
            shutil.rmtree(made)
            if (self.folder / name).is_dir():
                raise StorageError("BucketAlreadyOwnedByYou", BucketName=name) from error
            raise
        sync(self.folder)

    def delete_bucket(self, name: str) -> None:
        gone = self.folder / (_GONE + secrets.token_hex(8))
        with self._lock:
            path = self.bucket(name)
            if any((path / _ENTRIES).iterdir()):
                raise StorageError("BucketNotEmpty", BucketName=name)
            path.rename(gone)
        sync(self.folder)
        shutil.rmtree(gone)

    # Objects

    def keys(self, bucket: str) -> list[str]:
        """All keys, by the order of their bytes."""
        folder = self.bucket(bucket) / _ENTRIES
        found = []
        for name in os.listdir(folder):
            if _CUT not in name:
                found.append(unquote(name))
            else:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    found.append(str(json.loads((folder / name).read_text())["key"]))
        return sorted(found)

    def _look(self, bucket: str, key: str) -> Entry | None:
        try:
            return Entry(**json.loads((self.bucket(bucket) / _ENTRIES / file_name(key)).read_text()))
        except FileNotFoundError:
            return None

    def look(self, bucket: str, keys: Iterable[str]) -> list[Entry]:
        """What is known about those of the keys that are there."""
        return [entry for key in keys if (entry := self._look(bucket, key))]

    def entry(self, bucket: str, key: str) -> Entry:
        found = self._look(bucket, key)
        if found is None:
            raise StorageError("NoSuchKey", Key=key)
        return found

    def content(self, bucket: str, key: str) -> Path:
        """The file that holds the bytes of an object."""
        return self.bucket(bucket) / CONTENT / self.entry(bucket, key).content

    def open(self, bucket: str, key: str) -> tuple[Entry, BinaryIO]:
        """An object and its content, which stays readable when the object is replaced meanwhile."""
        while True:
            entry = self.entry(bucket, key)
            path = self.bucket(bucket) / CONTENT / entry.content
            try:
                return entry, path.open("rb")
            except FileNotFoundError:
                if self.entry(bucket, key) == entry:
                    raise

    def incoming(self, algorithms: Iterable[str] = ()) -> Incoming:
        return Incoming(self._unfinished / secrets.token_hex(8), algorithms)

    def put(
        self, bucket: str, key: str, incoming: Incoming, etag: str, headers: dict[str, str], condition: Condition
    ) -> Entry:
        """Make a finished file the content of an object. ``condition`` may raise because of what is there now."""
        name = file_name(key)
        entry = Entry(key, incoming.size, etag, time.time(), f"{name}.{secrets.token_hex(4)}", headers)
        written = self.incoming()
        written.write(json.dumps(asdict(entry)).encode())
        written.finish()
        try:
            with self._lock:
                folder = self.bucket(bucket)
                before = self._look(bucket, key)
                condition(before)
                incoming.path.rename(folder / CONTENT / entry.content)
                sync(folder / CONTENT)
                written.path.rename(folder / _ENTRIES / name)
        except BaseException:
            written.discard()
            raise
        sync(folder / _ENTRIES)
        if before is not None:
            (folder / CONTENT / before.content).unlink(missing_ok=True)
        return entry

    def delete(self, bucket: str, keys: Iterable[str]) -> None:
        """Objects that are not there are deleted already."""
        with self._lock:
            folder = self.bucket(bucket)
            there = self.look(bucket, {*keys})
            for entry in there:
                (folder / _ENTRIES / file_name(entry.key)).unlink()
        sync(folder / _ENTRIES)
        for entry in there:
            (folder / CONTENT / entry.content).unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Have what was renamed or removed in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
