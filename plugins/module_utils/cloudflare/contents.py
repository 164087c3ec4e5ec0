# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a DNS record: one way to write what is the same."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from .client import CloudflareError
from .zones import punycode

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)


def told(kind: str, content: str, zone: str) -> str:
    """A content that Cloudflare tells, in the form of :func:`normal` as far as that is known."""
    try:
        return normal(kind, content, zone)
    except (CloudflareError, ValueError):  # of a kind, or written in a way, that only Cloudflare has to understand
        return content


def normal(kind: str, content: str, zone: str) -> str:
    """One way to write the same content. Raises ValueError or :class:`CloudflareError`."""
    if kind == "A":
        return str(IPv4Address(content.strip()))
    if kind == "AAAA":
        return str(IPv6Address(content.strip()))
    if kind == "CNAME":
        name = punycode(content).removesuffix(".")
        if name == "@":
            return zone
        if not re.fullmatch(r"([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}", name):
            raise CloudflareError(f"{content!r} is no whole name such as www.example.com.")
        return name
    if kind == "TXT":
        return _unquoted(content)
    return content


def _unquoted(content: str) -> str:
    """The text of a TXT record, which may be written as one or more quoted strings."""
    if not re.fullmatch(rf"(?:{_STRING.pattern})+", content, re.DOTALL):
        return content
    return "".join(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in _STRING.findall(content))


def quoted(text: str) -> str:
    """As Cloudflare stores it: strings of at most 255 bytes."""
    size = 255 if text.isascii() else 63  # a character takes up to four bytes
    parts = [text[start : start + size] for start in range(0, len(text), size)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
