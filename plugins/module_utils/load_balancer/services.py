# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change about the services of a load balancer.

A service is updated in place, never taken away and added again, so that its port goes on answering.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .planning import Planning
from .settings import Settings, body, changes, complete, strange

#: The load balancer itself answers here where a service redirects to HTTPS.
REDIRECTED_PORT = 80
HTTPS_PORT = 443


def plan_services(planning: Planning, certificates: Mapping[int, tuple[str, ...]]) -> list[dict[str, Any]]:
    """All settings that the services will have; ``certificates`` are the declared ones' names by listen port."""
    before = _existing(planning)
    if planning.declared.services is None:
        return list(before.values())
    after = {}
    for service in planning.declared.services:
        given = dict(service.given)
        if service.port in certificates:
            given["http.certificates"] = certificates[service.port]
        after[service.port] = complete(given, before.get(service.port))
        _check(planning, given, after[service.port])
    _check_redirect(planning, after)
    # A port that is given up may be the one that another service redirects from then.
    for port in sorted(before.keys() - after.keys()):
        part = planning.part("service", port)
        request = {"listen_port": port}
        shown = _shown(before[port])
        planning.change_part(part, "delete", "delete_service", request, "not declared", before=shown, destructive=True)
    for port in sorted(before.keys() & after.keys()):
        _update(planning, before[port], after[port])
    for port in sorted(after.keys() - before.keys()):
        part = planning.part("service", port)
        request, shown = body(after[port]), _shown(after[port])
        planning.change_part(part, "add", "add_service", request, "declared and not there", after=shown)
    return list(after.values())


def _existing(planning: Planning) -> dict[int, dict[str, Any]]:
    found = {}
    for service in planning.existing.services if planning.existing else ():
        names = tuple(sorted(map(planning.actual.certificate_name, service.certificates)))
        found[service.port] = complete({**service.settings, "http.certificates": names})
    return found


def _update(planning: Planning, before: Settings, after: Settings) -> None:
    changed = changes(before, after)
    if not changed:
        return
    port = after["listen_port"]
    if "destination_port" in changed and after["health_check.port"] == before["destination_port"]:
        planning.warnings.append(
            f"The service {port} leads to port {after['destination_port']} now, and its health check still asks port "
            f"{before['destination_port']}: set health_check.port where that is not meant."
        )
    planning.change_part(
        planning.part("service", port),
        "update",
        "update_service",
        body(after, changed),
        f"{' and '.join(changed)} differ",
        before=_shown({key: before[key] for key in changed if key in before}),
        after=_shown({key: after[key] for key in changed if key in after}),
    )


def _shown(settings: Settings) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}


def _check(planning: Planning, given: Settings, settings: Settings) -> None:
    """Refuse what the service cannot be."""
    part = planning.part("service", given["listen_port"])
    protocol, check = settings["protocol"], settings["health_check.protocol"]
    for key in strange(given, settings):
        reason = f"its health check is of the protocol {check}" if key.startswith("health") else f"it is {protocol}"
        planning.refuse(part, "update", f"{part}: {key} is given, but {reason}: leave it out.")
    if protocol == "https" and not settings["http.certificates"]:
        planning.refuse(part, "update", f"{part}: HTTPS takes a certificate: give http.certificates.")


def _check_redirect(planning: Planning, services: Mapping[int, Settings]) -> None:
    for port, settings in services.items():
        if not settings.get("http.redirect_http"):
            continue
        part = planning.part("service", port)
        if port != HTTPS_PORT:
            sentence = f"redirect_http leads from port {REDIRECTED_PORT} to {HTTPS_PORT}: only HTTPS there can have it."
            planning.refuse(part, "update", f"{part}: {sentence}")
        elif REDIRECTED_PORT in services:
            sentence = f"redirect_http takes port {REDIRECTED_PORT}, which another service has: give up one of the two."
            planning.refuse(part, "update", f"{part}: {sentence}")
