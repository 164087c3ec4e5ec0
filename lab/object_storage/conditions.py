"""What a request makes its success depend on: the object that is there, and which bytes of it are wanted."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

from lab.object_storage.errors import StorageError, not_implemented
from lab.object_storage.signature import Received
from lab.object_storage.store import Condition, Entry

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in (word.strip().strip('"') for word in header.split(","))


def check_read(received: Received, entry: Entry) -> None:
    """Raises StorageError when a reader does not want this object. ETags go before times."""
    match, none_match = received.header("if-match"), received.header("if-none-match")
    since, not_since = received.header("if-modified-since"), received.header("if-unmodified-since")
    if match is not None:
        if not _names(match, entry.etag):
            raise StorageError("PreconditionFailed", Condition="If-Match")
    elif not_since is not None and int(entry.modified) > _seconds(not_since):
        raise StorageError("PreconditionFailed", Condition="If-Unmodified-Since")
    if none_match is not None:
        if _names(none_match, entry.etag):
            raise StorageError("NotModified")
    elif since is not None and int(entry.modified) <= _seconds(since):
        raise StorageError("NotModified")


def _seconds(header: str) -> float:
    try:
        return parsedate_to_datetime(header).timestamp()
    except ValueError as error:
        raise StorageError("InvalidArgument", f"'{header}' is no date") from error


def of_write(received: Received) -> Condition:
    """What must hold of the object that a writer replaces."""
    match, none_match = received.header("if-match"), received.header("if-none-match")
    if none_match not in (None, "*"):
        raise not_implemented("If-None-Match of a write with anything but *")
    if received.header("if-modified-since") or received.header("if-unmodified-since"):
        raise not_implemented("a write that depends on a time")

    def check(before: Entry | None) -> None:
        if none_match is not None and before is not None:
            raise StorageError("PreconditionFailed", Condition="If-None-Match")
        if match is not None:
            if before is None:
                raise StorageError("NoSuchKey")
            if not _names(match, before.etag):
                raise StorageError("PreconditionFailed", Condition="If-Match")

    return check


def wanted_range(received: Received, size: int) -> range | None:
    """The bytes that are asked for, None for all. As the vendor does, what is no range is taken for none."""
    header = received.header("range")
    if header is None:
        return None
    if "," in header:
        raise not_implemented("several ranges at once")
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        found = range(max(size - int(last), 0), size)
    elif last and int(last) < int(first):
        return None
    else:
        found = range(int(first), min(int(last) + 1, size) if last else size)
    if not found:
        raise StorageError("InvalidRange", ActualObjectSize=str(size))
    return found
