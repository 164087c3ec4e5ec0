"""What every route shares: a request as handlers see it, who may make it, and the vendor's envelope."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.cloudflare.account import Cloudflare
from lab.cloudflare.errors import (
    BAD_REQUEST,
    FORBIDDEN,
    NOT_FOUND,
    SERVER_ERROR,
    CloudflareError,
    not_implemented,
)
from lab.cloudflare.state import Token, Zone

log = logging.getLogger(__name__)

PREFIX = "/client/v4"
_UNAUTHORIZED = 401
_ID = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{40,}")

_FIRST_PER_PAGE = 20


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    items: Sequence[object]
    page: int
    per_page: int
    total: int

    def info(self) -> dict[str, int]:
        return {
            "page": self.page,
            "per_page": self.per_page,
            "count": len(self.items),
            "total_count": self.total,
            "total_pages": -(-self.total // self.per_page),
        }


@dataclass(frozen=True)
class Call:
    """An authenticated request."""

    cloudflare: Cloudflare
    request: Request
    body: dict[str, object]
    token: Token

    @property
    def zone(self) -> Zone:
        """The zone in the path."""
        return self._zone(self.request.path_params["zone_id"])

    def zone_in_query(self) -> Zone:
        given = self.one("zone_id")
        if given is None:
            raise CloudflareError(1003, "zone_id is required.")  # the vendor's code for this is not known
        return self._zone(given)

    def _zone(self, zone_id: str) -> Zone:
        zone = self.cloudflare.store.zones.get(zone_id)
        if zone is None:
            raise CloudflareError(1001, "Invalid zone identifier", NOT_FOUND)
        return zone

    @property
    def id(self) -> str:
        """The last identifier in the path."""
        return str(self.request.path_params["id"])

    def one(self, parameter: str) -> str | None:
        return self.request.query_params.get(parameter)

    def understand(self, *parameters: str) -> None:
        """Refuse a query with anything else in it: a filter that is ignored would answer a wrong list."""
        for name in self.request.query_params:
            if name not in parameters:
                raise not_implemented(f"The parameter {name}")

    def number(self, parameter: str, default: int, least: int, most: int) -> int:
        text = self.one(parameter)
        if text is None:
            return default
        if not text.isdecimal() or not least <= int(text) <= most:
            raise CloudflareError(1002, f"Invalid {parameter}: it must be from {least} to {most}.")
        return int(text)

    def page(self, items: Sequence[object], per_page: int = _FIRST_PER_PAGE, most: int = 50) -> Page:
        """The part of a list that was asked for; a page past its end is empty."""
        size = self.number("per_page", per_page, 1, most)
        page = self.number("page", 1, 1, 10**9)
        return Page(items[(page - 1) * size : page * size], page, size, len(items))


@dataclass(frozen=True)
class Answer:
    result: object
    messages: Sequence[dict[str, object]] = field(default=())


Handler = Callable[[Call], Awaitable[Answer | Page]]


@dataclass(frozen=True)
class Operation:
    """What a route does, and what its caller's token must allow; ``refusal`` is what one that does not is told."""

    handler: Handler
    permission: str | None = None
    refusal: tuple[int, str] = (10000, "Authentication error")


#: Operations by method and path below the prefix.
Routes = dict[tuple[str, str], Operation]


def route(cloudflare: Cloudflare, method: str, path: str, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return respond(await _answer(cloudflare, request, path, operation))
        except CloudflareError as error:
            return error_response(error)
        except Exception as error:
            log.exception("%s %s ended in a fault of the embedded Cloudflare", method, path)
            return error_response(CloudflareError(1000, f"fault of the embedded Cloudflare: {error}", SERVER_ERROR))

    return Route(PREFIX + path, endpoint, methods=[method])


async def _answer(cloudflare: Cloudflare, request: Request, path: str, operation: Operation) -> Answer | Page:
    token = authenticate(cloudflare, request, verifying=path == "/user/tokens/verify")
    for name, value in request.path_params.items():
        if name == "zone_id" and not _ID.fullmatch(value):
            raise CloudflareError(
                7003, f"Could not route to {request.url.path}, perhaps your object identifier is invalid?", NOT_FOUND
            )
    if operation.permission is not None and not token.allows(operation.permission):
        raise CloudflareError(*operation.refusal, status=FORBIDDEN)
    answer = await operation.handler(Call(cloudflare, request, parse(await request.body()), token))
    if request.method not in ("GET", "HEAD"):
        cloudflare.save()  # what was not saved is not acknowledged
        await cloudflare.publish()
    return answer


def authenticate(cloudflare: Cloudflare, request: Request, verifying: bool = False) -> Token:
    given = request.headers.get("Authorization")
    if given is None:
        if verifying:
            raise CloudflareError(1001, 'Missing "Authorization" header')
        raise CloudflareError(9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
    scheme, _, text = given.partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(text.strip()):
        chain = [(6111, "Invalid format for Authorization header")]
        raise CloudflareError(6003, "Invalid request headers", BAD_REQUEST, chain)
    token = cloudflare.find_token(text.strip())
    if token is None or token.status != "active":
        if verifying:
            raise CloudflareError(1000, "Invalid API Token", _UNAUTHORIZED)
        raise CloudflareError(9109, "Invalid access token", FORBIDDEN)
    return token


def parse(text: bytes) -> dict[str, object]:
    """The JSON object of a request; an empty body counts as an empty object."""
    try:
        data = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise CloudflareError(6007, "Malformed JSON in request body") from error
    if not isinstance(data, dict):
        raise CloudflareError(6007, "Malformed JSON in request body")
    return data


def respond(answer: Answer | Page) -> Response:
    payload: dict[str, object] = {"success": True, "errors": []}
    if isinstance(answer, Page):
        payload |= {"messages": [], "result": list(answer.items), "result_info": answer.info()}
    else:
        payload |= {"messages": list(answer.messages), "result": answer.result}
    return JSONResponse(payload)


def error_response(error: CloudflareError) -> Response:
    told: dict[str, object] = {"code": error.code, "message": error.message}
    if error.chain:
        told["error_chain"] = [{"code": code, "message": message} for code, message in error.chain]
    return JSONResponse({"result": None, "success": False, "errors": [told], "messages": []}, error.status)
