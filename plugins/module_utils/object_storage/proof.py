# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that object storage stores: what was put there comes back. Runs on the server."""

from __future__ import annotations

import secrets

from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import Client, ObjectStorageError
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import Check

CHECK = "object storage"
#: What the names of all objects made here begin with, so that a rule about objects can tell them from others.
PREFIX = "bulwark-verification/"
SIZE = 1024


def examine(client: Client, host: str, bucket: str) -> list[Check]:
    """The one check. The object has the server's name: what a killed run leaves behind is the next one's to delete."""
    ok, detail = store_and_read(client, bucket, PREFIX + host, secrets.token_bytes(SIZE))
    return [{"check": CHECK, "host": host, "ok": ok, "detail": detail}]


def store_and_read(client: Client, bucket: str, key: str, content: bytes) -> tuple[bool, str]:
    """Store, read, compare and delete an object."""
    where = f"{bucket} at {client.service.host}"
    try:
        client.request("PUT", bucket, key, body=content)
        read = _take_away(client, bucket, key)
    except ObjectStorageError as error:
        return False, f"{where}: {error}"
    if read != content:
        return False, f"{where}: what was stored did not come back as it was ({len(read)} of {len(content)} bytes)"
    return True, f"{where}: stored, read back and deleted {len(content)} bytes"


def _take_away(client: Client, bucket: str, key: str) -> bytes:
    try:
        return client.request("GET", bucket, key)
    finally:
        client.request("DELETE", bucket, key)
