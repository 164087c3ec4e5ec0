# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching one server on or off, until the API itself says that it is."""

from __future__ import annotations

import time
from typing import Any

from .hcloud_client import APIException, Client, ClientError
from .retries import unclear

#: What a person asks for, what the API calls that state, and the action that leads there.
STATES = {"on": ("running", "poweron"), "off": ("off", "poweroff")}
#: Seconds between two looks.
POLL_INTERVAL = 0.3


def find(client: Client, name: str) -> dict[str, Any]:
    """The server. Raises ClientError where there is none, or none that this collection may touch."""
    found: list[dict[str, Any]] = client.request("GET", "/servers", params={"name": name})["servers"]
    if not found:
        raise ClientError(f"There is no server {name} in the project of this token.")
    if found[0]["labels"].get("managed-by") != "bulwark":
        raise ClientError(f"The server {name} lacks the label managed-by=bulwark, so it is left alone.")
    return found[0]


def switch(client: Client, server: dict[str, Any], state: str, timeout: float) -> dict[str, Any]:
    """Switch it, and return it as the API then describes it.

    Raises ClientError when it is not there within ``timeout`` seconds: what was seen last is in the message.
    """
    status, action = STATES[state]
    path = f"/servers/{server['id']}"
    deadline = time.monotonic() + timeout
    running: int | None = None
    while server["status"] != status:
        if time.monotonic() > deadline:
            raise ClientError(
                f"The server {server['name']} is {server['status']} and not {status} after {timeout:.0f} s: look at it "
                "in the Hetzner Console."
            )
        if running is None:
            running = _begin(client, f"{path}/actions/{action}")
        elif _ended(client, running, server["name"], action):
            running = None
        server = client.request("GET", path)["server"]
        if server["status"] != status:
            client.sleep(POLL_INTERVAL)
    return server


def _begin(client: Client, path: str) -> int | None:
    """Id of the action. None where nobody knows whether it began: the server's own state tells."""
    try:
        return int(client.request("POST", path)["action"]["id"])
    except (APIException, OSError) as error:
        if unclear(error):
            return None
        raise


def _ended(client: Client, action: int, name: str, verb: str) -> bool:
    found = client.request("GET", f"/actions/{action}")["action"]
    if found["status"] == "error":
        error = found["error"]
        raise ClientError(f"{verb} of {name} failed: {error['message']} ({error['code']}, action {action}).")
    return bool(found["status"] == "success")
