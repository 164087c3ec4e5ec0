"""Objects as the API writes them (https://docs.hetzner.cloud/reference/cloud), and a small API that lists them."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.listing import Snapshot
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import network, server_record, volume

TOKEN = "t" * 64


def network_json(number: int = 1, name: str = "production-network", ip_range: str = "10.0.0.0/16") -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "ip_range": ip_range,
        "subnets": [{"type": "cloud", "ip_range": "10.0.0.0/24", "network_zone": "eu-central", "gateway": "10.0.0.1"}],
        "routes": [],
        "servers": [],
        "labels": {},
    }


def volume_json(number: int, name: str = "db-primary-data", size: int = 100) -> dict[str, Any]:
    device = f"/dev/disk/by-id/scsi-0HC_Volume_{number}"
    return {"id": number, "name": name, "size": size, "linux_device": device, "format": "xfs"}


def server_json(
    number: int,
    name: str,
    *,
    roles: tuple[str, ...] = (),
    env: str | None = "production",
    private: str | None = None,
    public: str | None = None,
    ipv6: str | None = None,
    network_id: int = 1,
    volumes: tuple[int, ...] = (),
    status: str = "running",
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    attached: dict[str, Any] = {
        "network": network_id,
        "ip": private,
        "alias_ips": [],
        "mac_address": f"86:00:00:00:00:{number % 256:02x}",
    }
    return {
        "id": number,
        "name": name,
        "status": status,
        "created": "2026-01-02T03:04:05+00:00",
        "public_net": {
            "ipv4": {"ip": public, "blocked": False, "dns_ptr": ""} if public else None,
            "ipv6": {"ip": ipv6, "blocked": False, "dns_ptr": []} if ipv6 else None,
            "floating_ips": [],
            "firewalls": [],
        },
        "private_net": [attached] if private else [],
        "server_type": {"name": "cax21", "cores": 4, "memory": 8.0, "disk": 80, "architecture": "arm"},
        "location": {"id": 1, "name": "fsn1"},
        "image": {"id": 1, "name": "ubuntu-24.04"},
        "labels": {
            **({"env": env} if env else {}),
            **{f"role-{role}": "true" for role in roles},
            "managed-by": "bulwark",
            **(labels or {}),
        },
        "volumes": list(volumes),
    }


def default_servers(env: str = "production", first_id: int = 1) -> list[dict[str, Any]]:
    """A bastion, an application server and a database with a volume, on one network."""
    return [
        server_json(
            first_id, "bastion-server", roles=("bastion",), env=env, private="10.0.0.2", public="198.51.100.100"
        ),
        server_json(first_id + 1, "app-01", roles=("app",), env=env, private="10.0.0.3"),
        server_json(first_id + 2, "db-primary", roles=("db",), env=env, private="10.0.0.6", volumes=(70,)),
    ]


def snapshot(
    servers: list[dict[str, Any]],
    networks: list[dict[str, Any]] | None = None,
    volumes: list[dict[str, Any]] | None = None,
) -> Snapshot:
    """What reading these objects gives."""
    by_id = {data["id"]: volume(data) for data in volumes or []}
    records = [server_record(data) for data in servers]
    for record in records:
        record["server"]["volumes"] = [by_id[number] for number in record["volume_ids"]]
    reduced = [network(data) for data in (networks if networks is not None else [network_json()])]
    return {"taken": 0, "servers": records, "networks": {str(net["id"]): net for net in reduced}}


class FakeApi:
    """Lists what it is given, in pages, to whoever shows the token, and keeps the queries it was asked."""

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self.objects = {"servers": [], "networks": [], "volumes": [], **objects}
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.endpoint = ""
        self.tokens = {TOKEN: self.objects}
        self.stop: Callable[[], None] = lambda: None  # set while it is served

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        objects = self.tokens.get(authorization.removeprefix("Bearer "))
        if objects is None:
            return 401, {"error": {"code": "unauthorized", "message": "the token you have provided is invalid"}}
        url = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        kind = url.path.removeprefix("/v1/")
        self.queries.append((kind, query))
        page, per_page = int(query["page"]), int(query["per_page"])
        items = objects[kind]
        last = max(1, math.ceil(len(items) / per_page))
        pagination = {
            "page": page,
            "per_page": per_page,
            "previous_page": page - 1 or None,
            "next_page": page + 1 if page < last else None,
            "last_page": last,
            "total_entries": len(items),
        }
        return 200, {kind: items[(page - 1) * per_page : page * per_page], "meta": {"pagination": pagination}}


@contextmanager
def serve(api: FakeApi) -> Iterator[FakeApi]:
    """The API on a port of loopback; ``api.endpoint`` is its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet per answer; otherwise Nagle's algorithm holds the second back for 40 ms
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status, body = api.answer(self.path, self.headers.get("Authorization", ""))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(60)

    try:
        api.endpoint, api.stop = f"http://127.0.0.1:{server.server_port}/v1", stop
        yield api
    finally:
        stop()
