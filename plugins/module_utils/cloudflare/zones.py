# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones, and names in them."""

from __future__ import annotations

import re

from .client import Client, CloudflareError

#: The vendor's maximum. https://developers.cloudflare.com/api/resources/zones/methods/list/
PER_PAGE = 50
#: Letters that DNS has had two ways to write: https://www.unicode.org/reports/tr46/#Deviations
_AMBIGUOUS = frozenset("ßς\u200c\u200d")
#: A name of DNS in lower case; an underscore, as in _acme-challenge, is for records only.
_NAME = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")


def find(client: Client) -> str:
    """The id of the client's zone, by one request. Raises :class:`CloudflareError`, which names those there are."""
    found = [zone for zone in client.get("/zones", name=client.zone).result or () if zone["name"] == client.zone]
    if found:
        # A name can be several accounts' zone, of which one at most is active: the one that the internet asks.
        return str(min(found, key=lambda zone: zone.get("status") != "active")["id"])
    seen = sorted(zone["name"] for zone in client.list_all("/zones", PER_PAGE))
    sees = f"it sees {', '.join(seen)}" if seen else "it sees none, and may lack the permission Zone → Zone → Read"
    raise CloudflareError(
        f"There is no zone {client.zone} that the token may see; {sees}: correct zone, or add the zone to the token's "
        "zone resources in the Cloudflare dashboard under My Profile, API Tokens."
    )


def full_name(name: str, zone: str) -> str:
    """``name`` whole and in lower case: ``@`` is the zone itself, and what does not end with the zone lies in it.

    One that ends with a dot is whole already. Raises :class:`CloudflareError` for what is no name, or lies elsewhere.
    """
    text = punycode(name)
    if text in ("@", zone, f"{zone}."):
        return zone
    whole = text[:-1] if text.endswith(".") else text if text.endswith(f".{zone}") else f"{text}.{zone}"
    if not whole.endswith(f".{zone}"):
        raise CloudflareError(f"{name!r} does not lie in the zone {zone}.")
    if len(whole) > 253 or not _NAME.fullmatch(whole):
        raise CloudflareError(f"{name!r} is no name such as www or www.{zone}.")
    return whole


def check_zone(zone: str) -> str:
    """The zone's name as Cloudflare writes it. Raises :class:`CloudflareError` for what is none."""
    text = punycode(zone).removesuffix(".")
    if not _NAME.fullmatch(text) or text.startswith("*") or "_" in text:
        raise CloudflareError(f"zone: {zone!r} is no zone such as example.com.")
    return text


def punycode(name: str) -> str:
    """Lower case, and what is not ASCII as Cloudflare and DNS write it."""
    text = name.strip().lower()
    if text.isascii():
        return text
    if _AMBIGUOUS & set(text):
        raise CloudflareError(f"{name!r} can be written as a name of DNS in two ways: write it as xn--….")
    try:
        return text.encode("idna").decode()
    except UnicodeError as error:
        raise CloudflareError(f"{name!r} cannot be written as a name of DNS ({error}).") from error
