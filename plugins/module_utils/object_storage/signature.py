# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS Signature Version 4, as far as S3's small requests need it: one body, signed as a whole, in the header.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Ours, because the vendors' library is no
part of a server's Python, and requests are signed there, too.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
#: Characters that are sent as they are; everything else is percent-encoded, in the path once, as S3 wants it.
UNRESERVED = "-_.~"


@dataclass(frozen=True)
class Credentials:
    """Who signs; the secret is in no representation."""

    access_key: str
    secret_key: str = field(repr=False)


def encode_path(path: str) -> str:
    """A path as it is sent and signed."""
    return quote(path, safe=f"/{UNRESERVED}")


def encode_query(query: Mapping[str, str]) -> str:
    """A query as it is sent and signed."""
    encoded = sorted((quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in encoded)


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    moment: datetime,
) -> dict[str, str]:
    """All headers to send but ``Host``, which is signed as the HTTP library makes it from ``url``.

    The path of ``url`` is encoded by :func:`encode_path`.
    """
    moment = moment.astimezone(UTC)
    time, date = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
    body_hash = hashlib.sha256(body).hexdigest()
    sent = {**headers, "x-amz-content-sha256": body_hash, "x-amz-date": time}
    parts = urlsplit(url)

    signed = {name.lower(): " ".join(value.split()) for name, value in {**sent, "host": parts.netloc}.items()}
    names = ";".join(sorted(signed))
    request = "\n".join(
        (
            method,
            parts.path or "/",
            encode_query(dict(parse_qsl(parts.query, keep_blank_values=True))),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            body_hash,
        )
    )

    scope = f"{date}/{region}/{SERVICE}/aws4_request"
    to_sign = "\n".join((ALGORITHM, time, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{credentials.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    authorization = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return {**sent, "Authorization": authorization}
