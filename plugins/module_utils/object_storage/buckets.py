# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets: those that are declared, those that are there, and making what is missing. The plan is a pure function."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import (
    Client,
    ObjectStorageError,
    RefusedError,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.names import mistake_in_bucket_names


def check(names: Sequence[str]) -> None:
    """Raises :class:`ObjectStorageError` for names that no bucket can have."""
    if mistake := mistake_in_bucket_names(names):
        raise ObjectStorageError(f"buckets: {mistake}")


def read(client: Client, names: Sequence[str]) -> frozenset[str]:
    """Those of the buckets that are there. One that is somebody else's is refused here, before anything is made."""
    return frozenset(name for name in names if client.bucket_exists(name))


def plan(there: AbstractSet[str], names: Sequence[str]) -> list[str]:
    """The buckets to make, in the order they are declared in."""
    return [name for name in names if name not in there]


def apply(client: Client, missing: Iterable[str]) -> None:
    """Make buckets. Made twice, because an answer got lost or another run was faster, is made."""
    for name in missing:
        try:
            _make(client, name)
        except RefusedError as error:
            if error.reason != "BucketAlreadyOwnedByYou":
                raise


def _make(client: Client, name: str) -> None:
    # An endpoint makes it in its own region. Only Amazon wants to be told so, and some others do not know the word for
    # their own region, so it is said where it is asked for.
    try:
        client.request("PUT", name, body=b"")
    except RefusedError as error:
        if error.reason != "IllegalLocationConstraintException":
            raise
        client.request("PUT", name, body=_location(client.service.region))


def _location(region: str) -> bytes:
    return (
        '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
    ).encode()


def describe(names: Iterable[str]) -> str:
    """One side of the difference."""
    return "".join(f"bucket {name}\n" for name in sorted(names))
