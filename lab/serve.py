"""The one long-running process: the cloud's API, and the small services of the embedded internet."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from lab import settings
from lab.actions import Profile
from lab.api.app import create_app
from lab.api.middleware import CuttableProtocol
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.api import create_cloudflare_app
from lab.cloudflare.edge import process as edge
from lab.command import CommandError
from lab.containers import certificates
from lab.containers.build import STORE
from lab.containers.registry import create_registry
from lab.drivers.docker.driver import DockerDriver
from lab.management.app import create_management_app
from lab.net import internet, namespaces
from lab.object_storage import credentials
from lab.object_storage.app import ObjectStorage
from lab.object_storage.availability import Availability
from lab.object_storage.store import Store
from lab.operations.cloud import Cloud
from lab.state.storage import StateFile

PID_FILE = settings.STATE / "serve.pid"

_FAREWELL_SECONDS = 2


def _listen(address: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((address, port), backlog=128)
    except OSError as error:
        raise CommandError(
            f"cannot listen on {address}:{port}: {error.strerror}; does another program use it?"
        ) from error
    listener.setblocking(False)
    # Inherited by connections. Without it, the kernel waits for an acknowledgement in the middle of an answer.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def _what_is_my_address(request: Request) -> PlainTextResponse:
    """The caller's address as the internet sees it, as ifconfig.me answers to a program."""
    return PlainTextResponse(request.client.host if request.client else "")


class _Server(uvicorn.Server):
    """A server that leaves signals to us: they are taken once, for all servers together."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(app: ASGIApp, certificate: Path | None = None, key: Path | None = None) -> _Server:
    """A server of HTTP, or with a certificate of HTTPS."""
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        # A client that keeps a connection for later does not see it end, and TLS would wait for its farewell.
        timeout_graceful_shutdown=_FAREWELL_SECONDS if certificate else None,
    )
    return _Server(config)


def _cloud(token: str, profile: Profile) -> Cloud:
    try:
        return Cloud(DockerDriver(), token, profile, StateFile(settings.CLOUD_FILE))
    except ValueError as error:
        raise CommandError(
            f"{settings.CLOUD_FILE} cannot be read ({error}); ./bulwark down removes it and everything it is about"
        ) from error


def _cloudflare() -> Cloudflare:
    try:
        return Cloudflare(settings.CLOUDFLARE, internet.resolve)
    except ValueError as error:
        raise CommandError(
            f"the state in {settings.CLOUDFLARE} cannot be read ({error}); ./bulwark down removes it"
        ) from error


def _for_administrator(port: int) -> list[socket.socket]:
    """Where programs of this machine and of the administrator reach an API: both on their own loopback."""
    return [
        _listen(settings.API_HOST, port),
        namespaces.inside(internet.ADMIN, lambda: _listen(settings.API_HOST, port)),
    ]


def _object_storage(availability: Availability) -> ObjectStorage:
    return ObjectStorage(
        Store(settings.OBJECTS),
        credentials.read(settings.OBJECT_STORAGE_FILE),
        settings.OBJECT_STORAGE_NAME,
        settings.OBJECT_STORAGE_REGION,
        availability,
    )


async def _run(token: str, profile: Profile) -> None:
    cloud = _cloud(token, profile)
    echo = Starlette(routes=[Route("/{path:path}", _what_is_my_address)])
    cloudflare = _cloudflare()
    # To whom it listens: programs on this machine, the administrator, and everybody on the embedded internet.
    api_sockets = _for_administrator(settings.API_PORT)
    echo_sockets = [namespaces.inside(internet.NAME, lambda: _listen(settings.WHATISMYIP_ADDRESS, 80))]
    registry_sockets = [namespaces.inside(internet.NAME, lambda: _listen(settings.REGISTRY_ADDRESS, 443))]
    object_sockets = [namespaces.inside(internet.NAME, lambda: _listen(settings.OBJECT_STORAGE_ADDRESS, 443))]
    object_names = (settings.OBJECT_STORAGE_NAME, f"*.{settings.OBJECT_STORAGE_NAME}")
    availability = Availability()
    management = create_management_app(cloud, availability, cloudflare)
    servers = [
        (_server(create_app(cloud)), api_sockets),
        (_server(create_cloudflare_app(cloudflare)), _for_administrator(settings.CLOUDFLARE_PORT)),
        (_server(management), [_listen(settings.API_HOST, settings.MANAGEMENT_PORT)]),
        (_server(echo), echo_sockets),
        (_server(create_registry(STORE), *certificates.issue(settings.REGISTRY_NAMES)), registry_sockets),
        (_server(_object_storage(availability), *certificates.issue(object_names)), object_sockets),
    ]

    def stop() -> None:
        for server, _ in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await cloudflare.publish()
    supervisor = asyncio.ensure_future(edge.supervise())
    PID_FILE.write_text(str(os.getpid()))
    try:
        await asyncio.gather(*(server.serve(sockets) for server, sockets in servers))
    finally:
        supervisor.cancel()  # the edge goes on: users do not notice that the API is away
        cloud.close()
        PID_FILE.unlink(missing_ok=True)


def serve(token: str, profile: Profile) -> None:
    """Serve until told to stop (SIGTERM)."""
    asyncio.run(_run(token, profile))
