# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that S3 accepts. Pure: the topology and the modules refuse the same ones, in the same words."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
#: Beginnings and ends that Amazon keeps for itself; other services may accept them, but no name needs them.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
RESERVED_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def mistake_in_bucket_name(name: str) -> str:
    """What is wrong with the name of a bucket, as a sentence; empty where nothing is."""
    if not 3 <= len(name) <= 63 or not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name):
        return (
            f"{name!r} is no bucket name: use 3 to 63 small letters, digits, '-' and single '.', with a letter or "
            "digit at both ends and beside each '.'."
        )
    if _is_address(name):
        return f"{name!r} is no bucket name: it must not be an IP address."
    if name.startswith(RESERVED_BEGINNINGS) or name.endswith(RESERVED_ENDS):
        return f"{name!r} is no bucket name: S3 keeps such a beginning or end for itself."
    return ""


def mistake_in_bucket_names(names: Sequence[str]) -> str:
    """The first mistake in the names of several buckets; empty where there is none."""
    for name in names:
        if mistake := mistake_in_bucket_name(name):
            return mistake
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"The bucket {twice[0]!r} is named twice." if twice else ""


def mistake_in_endpoint(url: str, loopback: bool = False) -> str:
    """What is wrong with an endpoint. ``loopback``: plain http is accepted there, where nobody listens."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None or not url.isascii():
        return f"{url!r} is no URL such as https://fsn1.your-objectstorage.com."
    if parts.path.strip("/") or parts.query or parts.fragment:
        return f"{url!r} has something after the host name: buckets are named by themselves, not in the endpoint."
    if parts.scheme == "http" and not (loopback and (_is_loopback(host) or host == "localhost")):
        return f"{url!r} would send what is stored in the clear: use https."
    return ""


def mistake_in_region(region: str) -> str:
    """What is wrong with the name of a region. It becomes part of what is signed, between slashes."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", region):
        return f"{region!r} is no region such as fsn1."
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
