"""Routes below /_lab, on a port of their own: an application apart from the vendor's API, with the same token."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes, http_exception, route
from lab.errors import CloudError, invalid, invalid_field
from lab.faults import Fault
from lab.management import object_storage
from lab.object_storage.availability import Availability
from lab.operations.cloud import Cloud
from lab.state.coding import Data, decode, encode
from lab.state.resources import Conditions
from lab.state.storage import from_data, to_data
from lab.state.store import LIMITED_KINDS

PREFIX = "/_lab"

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


async def list_requests(call: Call) -> Answer:
    """The log, oldest first; with ``after``, only what came after the request of that number."""
    text = call.one("after") or "0"
    if not text.isdecimal():
        raise invalid_field("after", "must be a whole number")
    entries = [asdict(entry) for entry in call.cloud.requests.entries if entry.number > int(text)]
    return Answer({"requests": entries})


async def forget_requests(call: Call) -> Answer:
    call.cloud.requests.entries.clear()
    return Answer(status=NO_CONTENT)


async def list_faults(call: Call) -> Answer:
    rules = call.cloud.faults.rules
    return Answer({"faults": [{"id": number, **encode(fault)} for number, fault in rules.items()]})


async def add_fault(call: Call) -> Answer:
    fault = replace(_read(Fault, call.body.data), matched=0, struck=0)
    problem = fault.problem()
    if problem:
        raise invalid(problem)
    number = call.cloud.faults.add(fault)
    return Answer({"fault": {"id": number, **encode(fault)}}, CREATED)


async def remove_faults(call: Call) -> Answer:
    call.cloud.faults.rules.clear()
    return Answer(status=NO_CONTENT)


async def remove_fault(call: Call) -> Answer:
    if call.cloud.faults.rules.pop(call.id, None) is None:
        raise CloudError("not_found", f"there is no fault {call.id}")
    return Answer(status=NO_CONTENT)


ROUTES: Routes = {
    ("POST", "/reset"): reset,
    ("GET", "/state"): get_state,
    ("PUT", "/state"): put_state,
    ("GET", "/conditions"): get_conditions,
    ("PATCH", "/conditions"): change_conditions,
    ("GET", "/requests"): list_requests,
    ("DELETE", "/requests"): forget_requests,
    ("GET", "/faults"): list_faults,
    ("POST", "/faults"): add_fault,
    ("DELETE", "/faults"): remove_faults,
    ("DELETE", "/faults/{id:int}"): remove_fault,
}


def create_management_app(cloud: Cloud, availability: Availability | None = None) -> Starlette:
    """To be served by the event loop that serves the API of ``cloud``, and object storage if there is one."""
    found = ROUTES if availability is None else {**ROUTES, **object_storage.routes(availability)}
    app = Starlette(
        routes=[route(cloud, method, path, handler, PREFIX) for (method, path), handler in found.items()],
        exception_handlers={HTTPException: http_exception},
    )
    app.router.redirect_slashes = False
    return app
