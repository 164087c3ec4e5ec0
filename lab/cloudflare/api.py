"""The application: every route of Cloudflare's API that is answered, below /client/v4."""

from __future__ import annotations

import secrets

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.api.middleware import Disturb, Record
from lab.cloudflare import certificates, records, rules, zones
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.errors import TOO_MANY, CloudflareError, not_implemented
from lab.cloudflare.http import PREFIX, Routes, error_response, route
from lab.faults import Fault

ROUTES: Routes = {**zones.ROUTES, **records.ROUTES, **certificates.ROUTES, **rules.ROUTES}
_SERVER_ERROR = 500
_TOO_MANY_TEXT = "Please wait and consider throttling your request speed"


class CommonHeaders:
    """Rate limit and ray, which every answer carries, errors included."""

    def __init__(self, app: ASGIApp, cloudflare: Cloudflare) -> None:
        self._app = app
        self._cloudflare = cloudflare

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        allowed = self._cloudflare.limit.take()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = {**self._cloudflare.limit.headers(), "CF-Ray": f"{secrets.token_hex(8)}-LAB"}
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name.lower().encode(), value.encode()) for name, value in added.items()),
                ]
            await send(message)

        app: ASGIApp = self._app
        if not allowed:
            app = error_response(CloudflareError(971, _TOO_MANY_TEXT, TOO_MANY))
        await app(scope, receive, send_with_headers)


def _fault(fault: Fault) -> Response:
    """An error that was asked for: in the vendor's envelope when its code is one of the vendor's, a number."""
    if fault.code is None or not fault.code.isdecimal():
        return PlainTextResponse(fault.message, fault.status or _SERVER_ERROR)
    return error_response(CloudflareError(int(fault.code), fault.message, fault.status or _SERVER_ERROR))


async def _no_route(request: Request, _error: Exception) -> Response:
    return error_response(not_implemented(f"{request.method} {request.url.path}"))


def create_cloudflare_app(cloudflare: Cloudflare) -> Starlette:
    """The API of ``cloudflare``, to be served by one event loop."""
    app = Starlette(
        routes=[route(cloudflare, method, path, operation) for (method, path), operation in ROUTES.items()],
        middleware=[
            Middleware(Record, cloud=cloudflare),
            Middleware(CommonHeaders, cloudflare=cloudflare),
            Middleware(Disturb, faults=cloudflare.faults, prefix=PREFIX, error=_fault),
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.router.redirect_slashes = False
    return app
