"""What the vendor's API has and this one has not: it answers 501, never a pretended success.

One list for all of it, by the vendor's API document of June 2026.
"""

from __future__ import annotations

from lab.api.http import Answer, Call, Routes
from lab.errors import not_implemented

_ACTION_LISTS = (
    "GET {0}/actions",
    "GET {0}/actions/{{id:int}}",
    "GET {0}/{{id:int}}/actions",
    "GET {0}/{{id:int}}/actions/{{action_id:int}}",
)
_RESOURCE = ("GET {0}", "POST {0}", "GET {0}/{{id:int}}", "PUT {0}/{{id:int}}", "DELETE {0}/{{id:int}}")
_ZONE = "/zones/{id_or_name}"
_RRSET = f"{_ZONE}/rrsets/{{rr_name}}/{{rr_type}}"


def _of(path: str, *lists: tuple[str, ...]) -> list[str]:
    return [entry.format(path) for entries in lists for entry in entries]


def _actions(path: str, *names: str) -> list[str]:
    return [f"POST {path}/actions/{name}" for name in names]


_ENTRIES = (
    *_actions("/certificates/{id:int}", "retry"),  # of managed ones, which there are none of
    *_of("/floating_ips", _RESOURCE, _ACTION_LISTS),
    *_actions("/floating_ips/{id:int}", "assign", "unassign", "change_dns_ptr", "change_protection"),
    "PUT /images/{id:int}",
    "DELETE /images/{id:int}",
    *_actions("/images/{id:int}", "change_protection"),
    "GET /isos",
    "GET /isos/{id:int}",
    "GET /networks/{id:int}/members",  # newer than the document
    "GET /servers/{id:int}/metrics",
    *_actions(
        "/servers/{id:int}",
        "attach_iso",
        "create_image",
        "detach_iso",
        "disable_backup",
        "disable_rescue",
        "enable_backup",
        "enable_rescue",
        "request_console",
        "reset_password",
    ),
    "GET /zones",
    "POST /zones",
    "GET /zones/actions",
    "GET /zones/actions/{id:int}",
    f"GET {_ZONE}",
    f"PUT {_ZONE}",
    f"DELETE {_ZONE}",
    f"GET {_ZONE}/zonefile",
    f"GET {_ZONE}/actions",
    f"GET {_ZONE}/actions/{{action_id:int}}",
    *_actions(_ZONE, "change_primary_nameservers", "change_protection", "change_ttl", "import_zonefile"),
    f"GET {_ZONE}/rrsets",
    f"POST {_ZONE}/rrsets",
    f"GET {_RRSET}",
    f"PUT {_RRSET}",
    f"DELETE {_RRSET}",
    *_actions(
        _RRSET, "change_protection", "change_ttl", "set_records", "add_records", "remove_records", "update_records"
    ),
)


async def refuse(call: Call) -> Answer:
    raise not_implemented(f"{call.request.method} {call.request.url.path}")


def _key(entry: str) -> tuple[str, str]:
    method, _, path = entry.partition(" ")
    return method, path


ROUTES: Routes = {_key(entry): refuse for entry in _ENTRIES}
