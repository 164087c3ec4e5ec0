"""A project to try the vendor's behaviour in: on the embedded cloud, and on the real one for who has a token.

The real one is only used when its token is in BULWARK_REAL_HCLOUD_TOKEN; servers and load balancers, which cost money,
only when BULWARK_REAL_HCLOUD_SERVERS is set as well. Everything made there carries a label of its own and is deleted
afterwards.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hcloud
import requests

REAL_TOKEN = os.environ.get("BULWARK_REAL_HCLOUD_TOKEN", "")
REAL_SERVERS = bool(os.environ.get("BULWARK_REAL_HCLOUD_SERVERS"))
REAL_ENDPOINT = "https://api.hetzner.cloud/v1"
PLACES = ("embedded", "real") if REAL_TOKEN else ("embedded",)

_LABEL = "bulwark-conformance"


class Project:
    """Names are made unique, so that nothing of anybody else is met."""

    def __init__(self, client: hcloud.Client, url: str, token: str) -> None:
        self.client = client
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._mark = secrets.token_hex(4)
        self.labels = {_LABEL: self._mark}

    def name(self, text: str) -> str:
        return f"{text}-{self._mark}"

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> requests.Response:
        """A bare request, with the project's token unless ``headers`` are given."""
        chosen = self._headers if headers is None else headers
        return requests.request(method, self._url + path, headers=chosen, json=body or None, timeout=60)

    def error(self, method: str, path: str, **body: Any) -> tuple[int, str]:
        """Status and code of a request that must be refused."""
        response = self.request(method, path, **body)
        assert response.status_code >= 400, response.text
        return response.status_code, response.json()["error"]["code"]

    def clean(self) -> None:
        """Delete what was made, users before what they use."""
        selector = f"{_LABEL}={self._mark}"
        for server in self.client.servers.get_all(label_selector=selector):
            server.delete().wait_until_finished()
        for firewall in self.client.firewalls.get_all(label_selector=selector):
            if firewall.applied_to:
                for action in firewall.remove_from_resources(firewall.applied_to):
                    action.wait_until_finished()
            firewall.delete()
        for balancer in self.client.load_balancers.get_all(label_selector=selector):
            balancer.delete().action.wait_until_finished()
        for kind in (
            self.client.certificates,
            self.client.networks,
            self.client.placement_groups,
            self.client.ssh_keys,
        ):
            for resource in kind.get_all(label_selector=selector):
                resource.delete()


@contextmanager
def real_project() -> Iterator[Project]:
    project = Project(hcloud.Client(REAL_TOKEN), REAL_ENDPOINT, REAL_TOKEN)
    try:
        yield project
    finally:
        project.clean()
