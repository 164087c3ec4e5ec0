"""Routes below /_lab, on a port of their own: an application apart from the vendor's API, with the same token.

The console, a page for people, is served here too.
"""

from __future__ import annotations

from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lab.api.http import NO_CONTENT, Answer, Call, Routes, http_exception, route
from lab.cloudflare.account import Cloudflare
from lab.console import routes as console
from lab.errors import invalid, invalid_field
from lab.management import cloudflare as cloudflare_routes
from lab.management import faults, object_storage
from lab.object_storage.availability import Availability
from lab.operations.cloud import Cloud
from lab.state.coding import Data, decode, encode
from lab.state.resources import Conditions
from lab.state.storage import from_data, to_data
from lab.state.store import LIMITED_KINDS

PREFIX = "/_lab"
#: By which names it is asked. A page elsewhere whose name was made to lead here is not let in.
_HOSTS = ("127.0.0.1", "localhost")

_T = TypeVar("_T")


def _read(kind: type[_T], data: Data) -> _T:
    try:
        return decode(kind, data)
    except ValueError as error:
        raise invalid(str(error)) from error


async def reset(call: Call) -> Answer:
    """An empty project, no faults, an empty log. IDs go on where they were."""
    call.cloud.faults.rules.clear()
    await call.cloud.reset()
    call.cloud.requests.entries.clear()
    return Answer(status=NO_CONTENT)


async def get_state(call: Call) -> Answer:
    """A snapshot of the books; what is on disks is not part of it."""
    return Answer(to_data(call.cloud.store))


async def put_state(call: Call) -> Answer:
    """Back to a snapshot. Servers that are gone are made anew with an empty disk."""
    try:
        store = from_data(call.body.data)
    except ValueError as error:
        raise invalid(str(error)) from error
    await call.cloud.replace(store)
    return Answer(status=NO_CONTENT)


async def get_conditions(call: Call) -> Answer:
    store = call.cloud.store
    return Answer({"now": store.now(), **encode(store.conditions)})


async def change_conditions(call: Call) -> Answer:
    """Those that are given; each as a whole."""
    store = call.cloud.store
    before = store.conditions
    given = _read(Conditions, {**encode(before), **call.body.data})
    if given.clock_ahead < before.clock_ahead:
        raise invalid_field("clock_ahead", f"the clock only goes forward; it is {before.clock_ahead:g} s ahead already")
    for kind in given.limits:
        if kind not in LIMITED_KINDS:
            raise invalid_field("limits", f"'{kind}' must be one of {', '.join(LIMITED_KINDS)}")
    for name in given.sold_out:
        if not any(item.name == name for item in call.cloud.catalog.server_types):
            raise invalid_field("sold_out", f"there is no server type '{name}'")
    store.conditions = given
    return await get_conditions(call)


ROUTES: Routes = {
    ("POST", "/reset"): reset,
    ("GET", "/state"): get_state,
    ("PUT", "/state"): put_state,
    ("GET", "/conditions"): get_conditions,
    ("PATCH", "/conditions"): change_conditions,
}


def create_management_app(
    cloud: Cloud, availability: Availability | None = None, cloudflare: Cloudflare | None = None
) -> Starlette:
    """To be served by the event loop that serves the API of ``cloud``, and of the others if there are any."""
    found = {**ROUTES, **faults.routes(cloud.faults, cloud.requests)}
    if availability is not None:
        found |= object_storage.routes(availability)
    if cloudflare is not None:
        found |= cloudflare_routes.routes(cloudflare)
    app = Starlette(
        routes=[
            *(route(cloud, method, path, handler, PREFIX) for (method, path), handler in found.items()),
            *console.routes(cloud, availability, cloudflare),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False)],
        exception_handlers={HTTPException: http_exception},
    )
    app.router.redirect_slashes = False
    return app
