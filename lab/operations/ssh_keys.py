"""SSH keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.errors import CloudError, invalid_field
from lab.operations import common
from lab.state.resources import SshKey

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud


def create(cloud: Cloud, name: str, public_key: str, labels: Mapping[str, str]) -> SshKey:
    public_key = public_key.strip()
    fingerprint = _fingerprint(public_key)
    checked_labels = common.check_labels(labels)
    common.check_name_is_free("SSH key", name, cloud.store.ssh_keys)
    if any(key.fingerprint == fingerprint for key in cloud.store.ssh_keys.values()):
        raise CloudError(
            "uniqueness_error",
            "SSH key with the same fingerprint already exists",
            {"fields": [{"name": "public_key"}]},
        )
    common.check_limit(cloud.store, "ssh_keys", len(cloud.store.ssh_keys))
    key = SshKey(cloud.store.new_id(), name, cloud.store.now(), public_key, fingerprint, checked_labels)
    cloud.store.ssh_keys[key.id] = key
    return key


def update(cloud: Cloud, key: SshKey, name: str | None, labels: Mapping[str, str] | None) -> None:
    common.rename("SSH key", key, cloud.store.ssh_keys, name)
    common.relabel(key, labels)


def delete(cloud: Cloud, key: SshKey) -> None:
    del cloud.store.ssh_keys[key.id]


def _fingerprint(public_key: str) -> str:
    """The MD5 fingerprint the vendor shows; refuses what is no public key of OpenSSH's one-line format."""
    kind, _, rest = public_key.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ", 1)[0], validate=True)
        length = int.from_bytes(blob[:4], "big")
        inner = blob[4 : 4 + length].decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        inner = ""
    if not kind or inner != kind or "\n" in public_key:
        raise invalid_field("public_key", "is not a public key in OpenSSH's one-line format")
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
