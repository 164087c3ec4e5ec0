# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences of Alertmanager, known by their comment. Runs on the host: standard library only.

API: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

#: Who makes them, by which others' with the same comment are told apart.
AUTHOR = "bulwark.hetzner"
#: How far from the wanted end one may end, as a part of its minutes: what is run again at once changes nothing.
TOLERANCE = 0.1
SECONDS = 10


class SilenceError(Exception):
    """Alertmanager did not do it; the message is a sentence."""


@dataclass(frozen=True)
class Wanted:
    """``matchers`` are regular expressions by label; an alert is silenced where all fit, for ``minutes`` from now."""

    comment: str
    matchers: Mapping[str, str]
    minutes: int


@dataclass(frozen=True)
class Plan:
    create: bool
    delete: list[str]  # ids

    @property
    def empty(self) -> bool:
        return not self.create and not self.delete


def matchers_of(wanted: Wanted) -> list[dict[str, Any]]:
    return [
        {"name": name, "value": value, "isRegex": True, "isEqual": True}
        for name, value in sorted(wanted.matchers.items())
    ]


def plan(wanted: Wanted | None, comment: str, found: Sequence[Mapping[str, Any]], now: datetime) -> Plan:
    """What makes the silences with this comment the wanted one, or none. One that is as wanted is left as it is."""
    ours = [
        silence
        for silence in found
        if silence["createdBy"] == AUTHOR and silence["comment"] == comment and silence["status"]["state"] != "expired"
    ]
    if wanted is None:
        return Plan(False, sorted(silence["id"] for silence in ours))
    same = [silence["id"] for silence in ours if _same(silence, wanted, now)]
    kept = sorted(same)[:1]
    return Plan(not kept, sorted(silence["id"] for silence in ours if silence["id"] not in kept))


def _same(silence: Mapping[str, Any], wanted: Wanted, now: datetime) -> bool:
    def key(matcher: Mapping[str, Any]) -> tuple[str, str, bool, bool]:
        return matcher["name"], matcher["value"], matcher["isRegex"], matcher.get("isEqual", True)

    holds = timedelta(minutes=wanted.minutes)
    off = abs(datetime.fromisoformat(silence["endsAt"]) - (now + holds))
    return off <= holds * TOLERANCE and sorted(map(key, silence["matchers"])) == sorted(map(key, matchers_of(wanted)))


def body(wanted: Wanted, now: datetime) -> dict[str, Any]:
    return {
        "matchers": matchers_of(wanted),
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(minutes=wanted.minutes)).isoformat(),
        "createdBy": AUTHOR,
        "comment": wanted.comment,
    }


def ask(url: str, method: str = "GET", data: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 because it is JSON
    """One request, by no proxy. Raises SilenceError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    sent = None if data is None else json.dumps(data).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, sent, headers, method=method)  # noqa: S310 because callers say http
    try:
        with opener.open(request, timeout=SECONDS) as response:
            said = response.read()
    except urllib.error.HTTPError as error:
        raise SilenceError(
            f"Alertmanager answered {error.code}: {error.read(300).decode(errors='replace').strip()}"
        ) from error
    except (OSError, ValueError) as error:
        raise SilenceError(f"Alertmanager at {url} does not answer ({getattr(error, 'reason', error)}).") from error
    return json.loads(said) if said.strip() else None


def settle(
    address: str,
    comment: str,
    wanted: Wanted | None,
    check_mode: bool,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Plan:
    """Look, and make it so unless in check mode. ``address`` is host and port. Raises SilenceError."""
    silences = f"http://{address}/api/v2/silences"
    planned = plan(wanted, comment, ask(silences), now())
    if check_mode:
        return planned
    if planned.create and wanted:
        ask(silences, "POST", body(wanted, now()))
    for silence in planned.delete:
        ask(f"http://{address}/api/v2/silence/{silence}", "DELETE")
    return planned
