# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a token may do in a zone, as far as reading shows it."""

from __future__ import annotations

from typing import Any

from . import request_headers
from .client import Client, CloudflareError, RefusedError
from .zones import find

#: What no reading proves.
UNPROVEN = "Whether it may also edit all of these is only seen when something is changed."


def check(client: Client) -> dict[str, Any]:
    """``zone_id``, and ``permissions`` whose reading half the token has; ``unproven`` says what remains open.

    Raises :class:`CloudflareError`: for a zone that the token does not see, and for all permissions it lacks at once.
    """
    zone_id = find(client)
    probes: dict[str, tuple[str, dict[str, str | int]]] = {
        "DNS": (f"/zones/{zone_id}/dns_records", {"per_page": 5}),
        "Zone Settings": (f"/zones/{zone_id}/settings/ssl", {}),
        "SSL and Certificates": ("/certificates", {"zone_id": zone_id, "per_page": 5}),
        "Transform Rules": (request_headers.path(zone_id), {}),
    }
    lacking = [name for name, (path, query) in probes.items() if not _readable(client, path, query)]
    if lacking:
        wanted = " and ".join(f"Zone → {name} → Edit" for name in lacking)
        noun = "permission" if len(lacking) == 1 else "permissions"
        raise CloudflareError(
            f"The token lacks the {noun} {wanted} for the zone {client.zone}: add what is missing in the Cloudflare "
            "dashboard under My Profile, API Tokens."
        )
    return {"zone_id": zone_id, "permissions": ["Zone", *probes], "unproven": UNPROVEN}


def _readable(client: Client, path: str, query: dict[str, str | int]) -> bool:
    """The zone was found with this token, so a 403 is about a permission. 404: there is none of it yet."""
    try:
        client.get(path, **query)
    except RefusedError as error:
        if error.status == 403:
            return False
        if error.status != 404:
            raise
    return True
