"""What every route shares: a request as handlers see it, their answers, and errors in the vendor's envelope."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.errors import CloudError
from lab.operations.cloud import Cloud
from lab.wire.body import Body
from lab.wire.catalogue import Json

log = logging.getLogger(__name__)

PREFIX = "/v1"
CREATED = 201
NO_CONTENT = 204
METHOD_NOT_ALLOWED = 405


@dataclass(frozen=True)
class Call:
    """An authenticated request."""

    cloud: Cloud
    request: Request
    body: Body

    @property
    def id(self) -> int:
        """The ID in the path."""
        return int(self.request.path_params["id"])

    def all(self, parameter: str) -> list[str]:
        """Every value of a query parameter that may be given more than once."""
        return self.request.query_params.getlist(parameter)

    def one(self, parameter: str) -> str | None:
        return self.request.query_params.get(parameter)


@dataclass(frozen=True)
class Answer:
    payload: Json | None = None
    status: int = 200
    link: str | None = None  # the pagination's Link header


Handler = Callable[[Call], Awaitable[Answer]]
#: Handlers by method and path below the version's prefix.
Routes = dict[tuple[str, str], Handler]


def route(cloud: Cloud, method: str, path: str, handler: Handler, prefix: str = PREFIX) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            authenticate(request, cloud.token)
            body = Body.parse(await request.body())
            answer = await handler(Call(cloud, request, body))
            if method != "GET":
                cloud.save()  # what was not saved is not acknowledged
            return _respond(answer)
        except CloudError as error:
            return error_response(error)
        except Exception as error:
            log.exception("%s %s ended in a fault of the embedded cloud", method, path)
            return error_response(CloudError("server_error", f"fault of the embedded cloud: {error}"))

    return Route(prefix + path, endpoint, methods=[method])


def authenticate(request: Request, token: str) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise CloudError("unauthorized", "token is required")
    if not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise CloudError("unauthorized", "the token you have provided is invalid")


def _respond(answer: Answer) -> Response:
    headers = {"Link": answer.link} if answer.link else None
    if answer.payload is None:
        return Response(status_code=answer.status, headers=headers)
    return JSONResponse(answer.payload, answer.status, headers)


def error_response(error: CloudError) -> JSONResponse:
    payload = {"error": {"code": error.code, "message": error.message, "details": error.details}}
    return JSONResponse(payload, error.status)


def http_exception(request: Request, error: Exception) -> Response:
    """Routing failed; the vendor answers that before it looks at the token."""
    assert isinstance(error, HTTPException)  # noqa: S101  (because it says what Starlette's signature does not say)
    if error.status_code == METHOD_NOT_ALLOWED:
        return error_response(CloudError("method_not_allowed", f"{request.method} is not allowed here"))
    return error_response(CloudError("not_found", "not found", status=error.status_code))
