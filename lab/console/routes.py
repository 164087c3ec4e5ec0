"""The routes of the console: a page that anybody on this machine may load, and its data, which needs a session.

A session may do what is listed here and nothing else of the management interface. The cookie is sent to no other path,
since ports of one host share their cookies. What changes something also needs a header that no other site's page can
send without being asked about it first, which is never granted.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lab.api.http import CREATED, NO_CONTENT, authenticate, error_response
from lab.cloudflare.account import Cloudflare
from lab.console.overview import overview
from lab.console.presets import Switchboard
from lab.console.sessions import SESSION_SECONDS, Sessions
from lab.errors import CloudError
from lab.object_storage.availability import Availability
from lab.operations import common, power
from lab.operations.cloud import Cloud

log = logging.getLogger(__name__)

PATH = "/_lab/console"
COOKIE = "bulwark_console"
#: What a page of ours sends with every change.
HEADER = "X-Bulwark-Console"
_NOT_MODIFIED = 304
_SEE_OTHER = 303
_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("console.html", "text/html"),
    "/console.css": ("console.css", "text/css"),
    "/console.js": ("console.js", "text/javascript"),
}
_GUARDS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_POWER = {"poweron": power.poweron, "poweroff": power.poweroff}

_Operation = Callable[[Request], Awaitable[Response]]


def routes(
    cloud: Cloud,
    availability: Availability | None = None,
    cloudflare: Cloudflare | None = None,
    sessions: Sessions | None = None,
) -> list[Route]:
    """Of the console of ``cloud``, and of the others if there are any."""
    known = sessions or Sessions()
    switches = Switchboard(cloud, availability, cloudflare)

    async def invite(request: Request) -> Response:
        """For who has the API's token: where a browser begins a session, once."""
        authenticate(request, cloud.token)
        return _json({"path": f"{PATH}/login?once={known.invite()}"}, CREATED)

    async def login(request: Request) -> Response:
        session = known.open(request.query_params.get("once", ""))
        response = RedirectResponse("/" if session else "/#used", _SEE_OTHER, _GUARDS)
        if session:
            response.set_cookie(COOKIE, session, SESSION_SECONDS, path=PATH, httponly=True, samesite="strict")
        return response

    async def show(request: Request) -> Response:
        _check_session(request)
        body = json.dumps(await overview(cloud, switches, cloudflare), separators=(",", ":")).encode()
        headers = {**_GUARDS, "ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    async def switch_power(request: Request) -> Response:
        _check_change(request)
        change = _POWER.get(str(request.path_params["switch"]))
        if change is None:
            raise CloudError("not_found", f"a server can be switched by {' and '.join(_POWER)} here")
        action = change(cloud, common.get("server", cloud.store.servers, int(request.path_params["id"])))
        cloud.save()
        return _json({"action": action.id}, CREATED)

    async def switch_fault(request: Request) -> Response:
        _check_change(request)
        switches.switch(str(request.path_params["preset"]), on=request.method == "PUT")
        return _nothing()

    async def clear_faults(request: Request) -> Response:
        _check_change(request)
        switches.clear()
        return _nothing()

    def _check_session(request: Request) -> None:
        if not known.knows(request.cookies.get(COOKIE, "")):
            raise CloudError("unauthorized", "this console needs a link of its own; ./bulwark open console prints one")

    def _check_change(request: Request) -> None:
        _check_session(request)
        origin = request.headers.get("Origin")
        own = f"http://{request.headers.get('Host', '')}"
        if HEADER not in request.headers or origin not in (None, own):
            raise CloudError("forbidden", f"changes come from the console's own page, with the header {HEADER}")

    found = [Route(path, _file(name, kind), methods=["GET"]) for path, (name, kind) in _FILES.items()]
    for method, path, operation in (
        ("POST", "/invitations", invite),
        ("GET", "/login", login),
        ("GET", "", show),
        ("PUT", "/faults/{preset}", switch_fault),
        ("DELETE", "/faults/{preset}", switch_fault),
        ("DELETE", "/faults", clear_faults),
        ("POST", "/servers/{id:int}/{switch}", switch_power),
    ):
        found.append(Route(PATH + path, _guarded(operation), methods=[method]))
    return found


def _guarded(operation: _Operation) -> _Operation:
    async def endpoint(request: Request) -> Response:
        try:
            return await operation(request)
        except CloudError as error:
            response = error_response(error)
        except Exception as error:
            log.exception("%s %s ended in a fault of the console", request.method, request.url.path)
            response = error_response(CloudError("server_error", f"fault of the console: {error}"))
        response.headers.update(_GUARDS)
        return response

    return endpoint


def _file(name: str, kind: str) -> _Operation:
    async def endpoint(_request: Request) -> Response:
        return Response((_PAGE / name).read_bytes(), media_type=kind, headers=_GUARDS)

    return endpoint


def _json(payload: dict[str, object], status: int) -> JSONResponse:
    return JSONResponse(payload, status, _GUARDS)


def _nothing() -> Response:
    return Response(status_code=NO_CONTENT, headers=_GUARDS)
