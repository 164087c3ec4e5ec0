"""The proxy: what a request is answered by itself, and how it goes to the origin and back."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import random
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpcore
from starlette.types import Message, Receive, Scope, Send

from lab.cloudflare.edge.connections import Attempt, Connections, attempt
from lab.cloudflare.edge.known import Known, Watch
from lab.cloudflare.edge.pages import EdgeError, page
from lab.cloudflare.records import valid_name
from lab.cloudflare.rules import headers_for
from lab.cloudflare.state import Zone

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
#: What only the edge says to an origin.
_OURS = {b"cf-connecting-ip", b"cf-ray", b"cf-visitor", b"x-forwarded-proto", b"x-forwarded-for", b"cdn-loop"}
_IDEMPOTENT = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"}
_NO_LENGTH = (204, 304)
_MOST_TRIES = 4


class _UserGoneError(Exception):
    """The user has closed the connection."""


@dataclass(frozen=True)
class _Visit:
    """A request as it came."""

    scope: Scope
    host: str  # in lower case, without a port
    ray: str

    @property
    def secure(self) -> bool:
        return bool(self.scope["scheme"] == "https")

    @property
    def target(self) -> bytes:
        query: bytes = self.scope["query_string"]
        path: bytes = self.scope["raw_path"] or b"/"
        return path + b"?" + query if query else path

    @property
    def client(self) -> str:
        return str(self.scope["client"][0]) if self.scope.get("client") else "0.0.0.0"  # noqa: S104 because it stands for an unknown address

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.scope["headers"] if key == name]


@dataclass(frozen=True)
class _Route:
    """How a request goes to the origin: ``check`` is what of its certificate, ``headers`` what rules add."""

    scheme: str
    check: str  # http, full or strict
    address: str
    headers: dict[str, str]


class _Body:
    """The request's body as it arrives, and after that the user's leaving."""

    def __init__(self, visit: _Visit, receive: Receive) -> None:
        self._receive = receive
        self.present = bool(visit.all(b"transfer-encoding")) or visit.all(b"content-length") not in ([], [b"0"])
        self.ended = asyncio.Event()
        if not self.present:
            self.ended.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _UserGoneError
            more = message.get("more_body", False)
            yield message.get("body", b"")
        self.ended.set()

    async def left(self) -> None:
        """Returns when the user is gone."""
        await self.ended.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Edge:
    """An ASGI application for both schemes. The ports are those of origins, which tests have elsewhere."""

    def __init__(self, watch: Watch, connections: Connections, http_port: int = 80, https_port: int = 443) -> None:
        self._watch = watch
        self._connections = connections
        self._ports = {"http": http_port, "https": https_port}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the edge does not speak {scope['type']}")
        visit = _Visit(scope, _host(scope), f"{secrets.token_hex(8)}-LAB")
        known = self._watch.now()
        await self._connections.revoke(known.revoked)
        zone = known.zone(visit.host)
        reply = _Reply(visit, zone, send)
        try:
            await self._answer(visit, zone, known, receive, reply)
        except _UserGoneError:
            return
        except EdgeError as error:
            log.info("%s %s %s: %s %s", visit.ray, scope["method"], visit.host, error.code, error.reason)
            await reply.fail(error)

    async def _answer(self, visit: _Visit, zone: Zone | None, known: Known, receive: Receive, reply: _Reply) -> None:
        if len(visit.all(b"host")) != 1:
            raise EdgeError(400, "A request needs exactly one Host header.")
        if visit.scope["method"] == "CONNECT":
            raise EdgeError(400, "The edge opens no tunnels.")
        if _is_address(visit.host):
            raise EdgeError(1003, "The edge was called by its address. Call it by a name.")
        # What is no name could still fit a wildcard.
        named = zone.named(visit.host) if zone and valid_name(visit.host) else []
        records = [record for record in named if record.proxied]
        if zone is None or not records:
            raise EdgeError(1001, f"{visit.host} is no proxied name of a zone. Is its record proxied?")
        mode = zone.settings.ssl
        if not visit.secure and zone.settings.always_use_https == "on" and mode != "off":
            await reply.redirect(f"https://{visit.host}")
            return
        if visit.secure and mode == "off":
            await reply.redirect(f"http://{visit.host}")
            return
        if visit.all(b"upgrade") and b"websocket" in visit.all(b"upgrade")[0].lower():
            raise EdgeError(501, "The embedded edge does not carry WebSockets.")
        addresses = await known.origins(records)
        if not addresses:
            raise EdgeError(1016, f"{visit.host} leads to no address of an origin.")
        secure = visit.secure and mode in ("full", "strict")
        address = random.choice(addresses)  # noqa: S311 because nothing depends on it
        added = headers_for(zone, visit.host)
        route = _Route("https" if secure else "http", mode if secure else "http", address, added)
        await self._pass_on(visit, route, receive, reply)

    async def _pass_on(self, visit: _Visit, route: _Route, receive: Receive, reply: _Reply) -> None:
        body = _Body(visit, receive)
        port = self._ports[route.scheme]
        url = httpcore.URL(scheme=route.scheme, host=route.address, port=port, target=visit.target)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (because its type says it may be)
        gone = False

        async def watch() -> None:
            nonlocal gone
            await body.left()
            gone = True
            task.cancel()

        watcher = asyncio.ensure_future(watch())
        pool = await self._connections.enter(route.check, visit.host)
        try:
            await self._converse(visit, url, pool.connections, _to_origin(visit, route, body.present), body, reply)
        except asyncio.CancelledError:
            if not gone:
                raise
            task.uncancel()
            raise _UserGoneError from None
        finally:
            watcher.cancel()
            await self._connections.leave(pool)

    async def _converse(
        self,
        visit: _Visit,
        url: httpcore.URL,
        connections: httpcore.AsyncConnectionPool,
        headers: Headers,
        body: _Body,
        reply: _Reply,
    ) -> None:
        limits = self._connections.limits
        timeouts = {"connect": limits.connect, "read": limits.read, "write": limits.write}
        repeatable = visit.scope["method"] in _IDEMPOTENT and not body.present
        for tries in range(1, _MOST_TRIES + 1):
            this = Attempt()
            attempt.set(this)
            request = httpcore.Request(
                visit.scope["method"],
                url,
                headers=headers,
                content=body.pieces() if body.present else None,
                extensions={"timeout": timeouts, "sni_hostname": visit.host},
            )
            try:
                response = await connections.handle_async_request(request)
            except (httpcore.ReadTimeout, httpcore.WriteTimeout) as error:
                raise EdgeError(524, "The origin took the request and did not answer in time.") from error
            except httpcore.LocalProtocolError as error:
                raise EdgeError(400, f"The request cannot be passed on: {error}.") from error
            except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
                # A connection that was kept may have been closed by the origin just before it was used again.
                if repeatable and not this.fresh and not this.answered and tries < _MOST_TRIES:
                    continue
                raise EdgeError(520, f"The origin's answer cannot be used: {error or 'none came'}.") from error
            try:
                await reply.relay(response)
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
                log.info("%s the origin's answer broke off: %s", visit.ray, error)
                reply.cut()
                return
            finally:
                await response.aclose()
            # Last, since the user counts as gone from then on.
            await reply.end()
            return


def _host(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
    if given.startswith("["):
        return given[1:].partition("]")[0]
    return given.partition(":")[0].removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _end_to_end(headers: Headers) -> Headers:
    """Without what concerns one connection only."""
    named = {
        word.strip().lower() for name, value in headers if name.lower() == b"connection" for word in value.split(b",")
    }
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP | named]


def _to_origin(visit: _Visit, route: _Route, has_body: bool) -> Headers:
    replaced = {name.lower().encode() for name in route.headers}
    kept = [
        (name, value)
        for name, value in _end_to_end(visit.scope["headers"])
        if name not in _OURS and name not in (b"expect", b"content-length") and name not in replaced
    ]
    if has_body:
        length = visit.all(b"content-length")
        chunked = bool(visit.all(b"transfer-encoding")) or not length
        kept.append((b"transfer-encoding", b"chunked") if chunked else (b"content-length", length[0]))
    elif visit.all(b"content-length"):
        kept.append((b"content-length", b"0"))
    scheme = "https" if visit.secure else "http"
    passed = [value.decode("latin-1") for value in visit.all(b"x-forwarded-for")]
    added = {
        "X-Forwarded-For": ", ".join([*passed, visit.client]),
        "X-Forwarded-Proto": scheme,
        "CF-Connecting-IP": visit.client,
        "CF-Ray": visit.ray,
        "CF-Visitor": json.dumps({"scheme": scheme}, separators=(",", ":")),
        "CDN-Loop": "cloudflare; loops=1",
        **route.headers,
    }
    return kept + [(name.encode(), value.encode("latin-1")) for name, value in added.items()]


class _Reply:
    """What the user gets."""

    def __init__(self, visit: _Visit, zone: Zone | None, send: Send) -> None:
        self._visit = visit
        self._zone = zone
        self._send = send

    def _headers(self, headers: Headers) -> Headers:
        ours = {b"server", b"cf-ray", b"cf-cache-status"}
        found = [(name, value) for name, value in headers if name.lower() not in ours]
        found += [(b"Server", b"cloudflare"), (b"CF-RAY", self._visit.ray.encode())]
        policy = self._zone.settings.security_header if self._zone else None
        if policy is not None and policy.enabled and self._visit.secure:
            found = [(name, value) for name, value in found if name.lower() != b"strict-transport-security"]
            words = [f"max-age={policy.max_age}"]
            words += ["includeSubDomains"] * policy.include_subdomains + ["preload"] * policy.preload
            found.append((b"Strict-Transport-Security", "; ".join(words).encode()))
            if policy.nosniff:
                found.append((b"X-Content-Type-Options", b"nosniff"))
        return found

    async def _say(self, status: int, headers: Headers, content: bytes) -> None:
        whole = [*self._headers(headers), (b"Content-Length", str(len(content)).encode())]
        # The body, if any, was not looked at: the connection is of no use for another request.
        if self._visit.all(b"transfer-encoding") or self._visit.all(b"content-length") not in ([], [b"0"]):
            whole.append((b"Connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": whole})
        await self._send({"type": "http.response.body", "body": content})

    async def redirect(self, base: str) -> None:
        location = base.encode("latin-1") + self._visit.target
        await self._say(301, [(b"Location", location)], b"")

    async def fail(self, error: EdgeError) -> None:
        content = page(error, self._visit.host, self._visit.ray)
        headers = [(b"Content-Type", b"text/html; charset=UTF-8"), (b"Cache-Control", b"private, no-store")]
        await self._say(error.status, headers, content)

    async def relay(self, response: httpcore.Response) -> None:
        """Pass on the origin's answer, piece by piece."""
        headers = _end_to_end(response.headers)
        if response.status in _NO_LENGTH:
            headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        start: Message = {
            "type": "http.response.start",
            "status": response.status,
            # Nothing is kept here, so nothing ever comes from a cache.
            "headers": [*self._headers(headers), (b"CF-Cache-Status", b"DYNAMIC")],
        }
        await self._send(start)
        async for piece in response.aiter_stream():
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        """Tell the user that this was all of it."""
        await self._send({"type": "http.response.body"})

    def cut(self) -> None:
        """End the connection, so that nobody takes a part for the whole."""
        self._visit.scope["state"]["transport"].abort()
