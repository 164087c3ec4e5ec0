"""The console served for tests: its page, and the clouds it shows, all at one address on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.cloudflare.account import Cloudflare
from lab.cloudflare.state import HeaderRule, Record, Ruleset, Zone
from lab.drivers.null import NullDriver
from lab.management.app import create_management_app
from lab.object_storage.availability import Availability
from lab.operations.cloud import Cloud
from tests.lab.cloud_api import TOKEN, CloudApi, Host

EDGE_SECRET = "value-that-only-the-edge-adds"
DATA = "/_lab/console"
CHANGE = {"X-Bulwark-Console": "1"}


class ConsoleHost(Host):
    """What is no path of the vendor's API goes to the management interface, whose root is the console's page."""

    console: ASGIApp

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/v1/"):
            await super()._dispatch(scope, receive, send)
        else:
            await self.console(scope, receive, send)


class ConsoleApi:
    """A fresh cloud with its console, asked as a browser asks."""

    def __init__(self, host: ConsoleHost, cloud: Cloud, cloudflare: Cloudflare, availability: Availability) -> None:
        self.api = CloudApi(host, cloud)
        self.cloud = cloud
        self.cloudflare = cloudflare
        self.availability = availability
        self.root = host.root
        self.browser = requests.Session()

    @property
    def zone(self) -> Zone:
        [zone] = self.cloudflare.store.zones.values()
        return zone

    def fill_zone(self) -> None:
        """A proxied record, and a header whose value is a secret."""
        self.zone.records["1"] = Record("1", self.zone.name, "A", "198.51.100.150", proxied=True)
        rule = HeaderRule("1", (self.zone.name,), {"X-Edge-Secret": EDGE_SECRET}, "true")
        self.zone.header_rules = Ruleset("1", 1, self.zone.created_on, [rule])

    def link(self) -> str:
        """Where a session begins, as the launcher prints it."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.post(f"{self.root}{DATA}/invitations", headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text
        return self.root + str(answer.json()["path"])

    def log_in(self) -> None:
        assert self.browser.get(self.link(), timeout=60).status_code == 200

    def ask(self, method: str, path: str = "", **options: Any) -> requests.Response:
        """A request of the page; changes have the header that the page sends."""
        headers = {**({} if method == "GET" else CHANGE), **options.pop("headers", {})}
        return self.browser.request(method, f"{self.root}{DATA}{path}", headers=headers, timeout=60, **options)

    def seen(self) -> dict[str, Any]:
        answer = self.ask("GET")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextmanager
def console_api(host: ConsoleHost, folder: Path) -> Iterator[ConsoleApi]:
    cloud = Cloud(NullDriver(), TOKEN)
    cloudflare = Cloudflare(folder)
    availability = Availability()
    with host.serving(cloud, None):
        host.console = create_management_app(cloud, availability, cloudflare)
        yield ConsoleApi(host, cloud, cloudflare, availability)
    cloud.close()
