"""The application: every route of the vendor's API below /v1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from lab.api import (
    actions,
    catalogue,
    certificates,
    firewalls,
    load_balancers,
    networks,
    primary_ips,
    servers,
    small_kinds,
    unimplemented,
    volumes,
)
from lab.api.http import Routes, http_exception, route
from lab.api.limit import RateLimit
from lab.api.middleware import CommonHeaders, Disturb, Record
from lab.operations.cloud import Cloud

ROUTES: Routes = {
    **actions.ROUTES,
    **catalogue.ROUTES,
    **small_kinds.ROUTES,
    **networks.ROUTES,
    **primary_ips.ROUTES,
    **firewalls.ROUTES,
    **volumes.ROUTES,
    **certificates.ROUTES,
    **load_balancers.ROUTES,
    **servers.ROUTES,
    **unimplemented.ROUTES,
}


def create_app(cloud: Cloud, limit: RateLimit | None = None) -> Starlette:
    """The API of ``cloud``, to be served by one event loop."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await cloud.serve()
        yield
        await cloud.stop()

    app = Starlette(
        routes=[route(cloud, method, path, handler) for (method, path), handler in ROUTES.items()],
        middleware=[
            Middleware(Record, cloud=cloud),
            Middleware(CommonHeaders, limit=limit or RateLimit(clock=cloud.store.time)),
            Middleware(Disturb, faults=cloud.faults),
        ],
        exception_handlers={HTTPException: http_exception},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app
