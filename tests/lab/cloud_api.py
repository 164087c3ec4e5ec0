"""The embedded cloud served for tests: real HTTP on loopback, every answer checked against the vendor's document."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import hcloud
import requests
import uvicorn
from hcloud.actions import BoundAction
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.actions import Profile
from lab.api.app import create_app
from lab.api.limit import RateLimit
from lab.api.middleware import CuttableProtocol
from lab.drivers.base import Driver
from lab.drivers.null import NullDriver
from lab.management import app as management
from lab.operations.cloud import Cloud
from lab.state.storage import StateFile
from tests.lab.answers import Answers
from tests.lab.real_driver import docker_driver

TOKEN = "token-of-the-tests"
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV tests"
OTHER_SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOuOdRbYVVj9FbbYFR3rIIVXcHW3a7Jm7xIWzUf3ZnXh other"

#: Drivers the conformance tests can run with. What each makes is gone when its context ends.
DRIVERS: dict[str, Callable[[], AbstractContextManager[Driver]]] = {
    "null": lambda: nullcontext(NullDriver()),
    "docker": docker_driver,
}
CHOSEN_DRIVER = os.environ.get("BULWARK_TEST_DRIVER", "null")
#: The vendor's library gives up after 120 of these.
POLL_SECONDS = 0.01 if CHOSEN_DRIVER == "null" else 0.15


def make_driver() -> AbstractContextManager[Driver]:
    return DRIVERS[CHOSEN_DRIVER]()


class Host:
    """One web server for all tests; which application it serves changes from test to test."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._management: ASGIApp | None = None
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for an ACK
        self.root = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.url = self.root + "/v1"
        config = uvicorn.Config(
            self._dispatch,
            interface="asgi3",
            http=CuttableProtocol,
            log_level="warning",
            lifespan="off",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)
        self._thread.start()

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        assert self._management is not None
        app = self._management if scope["path"].startswith(management.PREFIX) else self._app
        await app(scope, receive, send)

    def _serve(self, listener: socket.socket) -> None:
        self._loop.run_until_complete(self._server.serve([listener]))

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the event loop that serves the API."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    @contextmanager
    def serving(self, cloud: Cloud, limit: RateLimit | None) -> Iterator[None]:
        """Fails at the end when an answer was none of the vendor's."""
        app = create_app(cloud, limit)
        lifespan = app.router.lifespan_context(app)
        self.run(lifespan.__aenter__())
        self._app = answers = Answers(app, cloud)
        self._management = management.create_management_app(cloud)
        try:
            yield
        finally:
            self._app = None
            self.run(lifespan.__aexit__(None, None, None))
        answers.check()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class CloudApi:
    """A fresh cloud, and two ways to talk to it: the vendor's library and bare requests."""

    def __init__(self, host: Host, cloud: Cloud) -> None:
        self._host = host
        self.cloud = cloud
        self.url = host.url
        self.client = hcloud.Client(TOKEN, api_endpoint=host.url, poll_interval=POLL_SECONDS)
        self.client._client._retry_interval_func = lambda _attempt: 0.0
        self.session = self.client._client._session

    @property
    def driver(self) -> NullDriver:
        assert isinstance(self.cloud.driver, NullDriver), "this test looks into the driver that makes nothing"
        return self.cloud.driver

    def request(self, method: str, path: str, token: str | None = TOKEN, **kwargs: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers |= kwargs.pop("headers", {})
        return self.session.request(method, self.url + path, headers=headers, timeout=60, **kwargs)

    def get(self, path: str, **params: Any) -> Any:
        """What a GET answers, which must be success."""
        response = self.request("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, **body: Any) -> Any:
        response = self.request("POST", path, json=body)
        assert response.status_code == 201, response.text
        return response.json()

    def refused(self, method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Status and error of a request that must not succeed."""
        response = self.request(method, path, json=body)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json()["error"]

    def manage(self, method: str, path: str, json: Any = None, status: int = 200, **params: Any) -> Any:
        """What the management interface answers."""
        url = self._host.root + management.PREFIX + path
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = requests.request(method, url, headers=headers, json=json, params=params, timeout=60)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def order_fault(self, effect: str, **rule: Any) -> int:
        return int(self.manage("POST", "/faults", {"effect": effect, **rule}, status=201)["fault"]["id"])

    def settle(self) -> None:
        """Wait until nothing is under way any more."""
        self._host.run(self.cloud.actions.idle())


@contextmanager
def cloud_api(
    host: Host,
    driver: Driver,
    profile: Profile = "fast",
    limit: RateLimit | None = None,
    state_file: StateFile | None = None,
) -> Iterator[CloudApi]:
    cloud = Cloud(driver, TOKEN, profile, state_file)
    with host.serving(cloud, limit):
        yield CloudApi(host, cloud)
    cloud.close()


def wait(*actions: BoundAction | None) -> None:
    for action in actions:
        if action is not None:
            action.wait_until_finished()
