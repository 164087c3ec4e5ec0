"""Pages of a bucket's keys. Pure: what is in the bucket is given."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from lab.object_storage.errors import StorageError


@dataclass(frozen=True)
class Start:
    """After which key a page begins; with ``prefix``, after all keys that begin with that."""

    after: str = ""
    prefix: bool = False

    def token(self) -> str:
        """To be handed to the client and back."""
        return base64.urlsafe_b64encode(f"{'p' if self.prefix else 'k'}{self.after}".encode()).decode()

    @classmethod
    def of_token(cls, token: str) -> Start:
        try:
            text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            text = ""
        if text[:1] not in ("p", "k"):
            raise StorageError("InvalidArgument", "the continuation token is none that this server gave")
        return cls(text[1:], text[0] == "p")


@dataclass(frozen=True)
class Page:
    keys: list[str]
    prefixes: list[str]
    next: Start | None  # None: it is the last


def page(keys: Iterable[str], prefix: str, delimiter: str, start: Start, most: int) -> Page:
    """A page of the sorted keys, those with a delimiter after the prefix rolled up into one common prefix each."""
    found = Page([], [], None)
    if most == 0:
        return found
    last = start
    count = 0
    for key in keys:
        if not key.startswith(prefix) or key <= start.after or (start.prefix and key.startswith(start.after)):
            continue
        head, separator, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        common = prefix + head + separator if separator else None
        if common is not None and found.prefixes[-1:] == [common]:
            continue
        if count == most:
            return Page(found.keys, found.prefixes, last)
        count += 1
        if common is None:
            found.keys.append(key)
            last = Start(key)
        else:
            found.prefixes.append(common)
            last = Start(common, prefix=True)
    return found
