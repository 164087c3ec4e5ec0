"""The embedded Cloudflare served for tests: real HTTP on loopback, and the management interface beside it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import uvicorn
from starlette.types import Receive, Scope, Send

from lab.api.middleware import CuttableProtocol
from lab.cloudflare import state
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.api import create_cloudflare_app
from lab.drivers.null import NullDriver
from lab.management import app as management
from lab.operations.cloud import Cloud

MANAGEMENT_TOKEN = "token-of-the-tests"
ZONE = "bulwark.example"
ORIGIN = "198.51.100.150"


class CloudflareApi:
    """A fresh account, asked as anybody would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.published: list[state.Store] = []
        self.cloudflare = Cloudflare(folder, self.published.append)
        self.token = (folder / state.TOKEN_FILE.name).read_text()
        self._cloud = Cloud(NullDriver(), MANAGEMENT_TOKEN)
        self._app = create_cloudflare_app(self.cloudflare)
        self._management = management.create_management_app(self._cloud, None, self.cloudflare)
        self.session = requests.Session()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._root = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.url = f"{self._root}/client/v4"
        config = uvicorn.Config(
            self._dispatch,
            interface="asgi3",
            http=CuttableProtocol,
            log_level="warning",
            lifespan="off",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([listener])), daemon=True)
        self._thread.start()

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._management if scope["path"].startswith(management.PREFIX) else self._app
        await app(scope, receive, send)

    def reset(self) -> None:
        self.manage("POST", "/reset", status=204)
        self.published.clear()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._cloud.close()

    @property
    def zone(self) -> state.Zone:
        [zone] = self.cloudflare.store.zones.values()
        return zone

    @property
    def zone_path(self) -> str:
        return f"/zones/{self.zone.id}"

    def request(self, method: str, path: str, token: str | None = "", **options: Any) -> requests.Response:
        """``token`` empty: the lab's own; None: without one."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        headers |= options.pop("headers", {})
        return self.session.request(method, self.url + path, headers=headers, timeout=30, **options)

    def done(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        """The result of a request, which must succeed."""
        answer = self.request(method, path, json=json, **options)
        body = answer.json()
        assert (answer.status_code, body["success"], body["errors"]) == (200, True, []), answer.text
        return body["result"]

    def refused(self, method: str, path: str, json: Any = None, **options: Any) -> tuple[int, int, str]:
        """Status, code and message of a request that must not succeed."""
        answer = self.request(method, path, json=json, **options)
        body = answer.json()
        assert not body["success"], answer.text
        assert body["result"] is None
        [error] = body["errors"]
        return answer.status_code, error["code"], error["message"]

    def record(self, **fields: Any) -> dict[str, Any]:
        """A new record."""
        return dict(self.done("POST", f"{self.zone_path}/dns_records", fields))

    def manage(self, method: str, path: str, json: Any = None, status: int = 200) -> Any:
        """What the management interface answers."""
        answer = requests.request(
            method,
            f"{self._root}{management.PREFIX}/cloudflare{path}",
            headers={"Authorization": f"Bearer {MANAGEMENT_TOKEN}"},
            json=json,
            timeout=30,
        )
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None


@contextmanager
def cloudflare_api(folder: Path) -> Iterator[CloudflareApi]:
    api = CloudflareApi(folder)
    try:
        yield api
    finally:
        api.close()
