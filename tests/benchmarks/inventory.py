#!/usr/bin/env python3
"""List 10,000 servers with our inventory plugin and with that of hetzner.hcloud, the same groups in both.

Prints how many times as fast ours is, by the clock and by processor time (which other programs on the machine disturb
less), and how many requests it takes. Servers are written as the embedded cloud writes them and served from memory by a
process of its own, after a delay that is 0 by default, which is in favour of the other plugin: it asks for one page
after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import ipaddress
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.catalog import load_catalog
from lab.state.resources import Attachment, Network, PrimaryIp, Server, Subnet
from lab.state.store import Store
from lab.wire import catalogue
from lab.wire import resources as wire
from tests.benchmarks.serving import SERVE, serve, served
from tests.checkout import ansible_environment, tool

SERVERS = 10_000
ROLES = ("app", "jobs", "db", "monitoring")
CACHE = Path.home() / ".cache" / "bulwark" / "benchmarks"
TOKEN = "t" * 64

OURS: dict[str, Any] = {"plugin": "bulwark.hetzner.servers", "environments": ["production"]}
THEIRS: dict[str, Any] = {
    "plugin": "hetzner.hcloud.hcloud",
    "label_selector": "env in (production),managed-by=bulwark",
    "group": "bulwark_servers",
    "network": "production-network",
    "connect_with": "private_ipv4",
    "groups": {"public_servers": "hcloud_ipv4 is defined", "private_servers": "hcloud_ipv4 is not defined"},
    "keyed_groups": [{"key": "hcloud_labels.role", "prefix": "role"}, {"key": "hcloud_labels.env", "prefix": "env"}],
}


def servers() -> Iterator[dict[str, Any]]:
    """A bastion and thousands of private servers, as the embedded cloud writes them."""
    store, catalog = Store(), load_catalog()
    image = next(item for item in catalog.images if item.name == "ubuntu-24.04" and item.architecture == "arm")
    created = "2026-01-02T03:04:05Z"
    subnet = Subnet("cloud", "10.0.0.0/8", "eu-central")
    store.networks[1] = Network(1, "production-network", created, "10.0.0.0/8", [subnet])
    server = Server(2, "app", created, "cax21", image.id, "fsn1", 80, "96:00:00:00:00:01", "", (), "running")
    server.attachments = [Attachment(1, "10.0.0.2", "86:00:00:00:00:01", connected=True)]
    store.servers[2] = server
    private: dict[str, Any] = json.loads(json.dumps(wire.server(store, catalog, server)))
    store.primary_ips[3] = PrimaryIp(3, "bastion-ip", created, "ipv4", "203.0.113.7", "fsn1", server_id=2)
    public: dict[str, Any] = json.loads(json.dumps(wire.server(store, catalog, server)))
    for number in range(SERVERS):
        role = ROLES[number % len(ROLES)] if number else "bastion"
        data = copy.deepcopy(private if number else public)
        data |= {"id": 100 + number, "name": f"{role}-{number:05}"}
        data["labels"] = {"env": "production", "managed-by": "bulwark", "role": role, f"role-{role}": "true"}
        data["private_net"][0]["ip"] = str(ipaddress.IPv4Address("10.0.0.2") + number)
        data["private_net"][0]["mac_address"] = "86:" + (100 + number).to_bytes(5, "big").hex(":")
        yield data


def application(delay: float) -> Starlette:
    """The few routes that the two plugins ask for; ``/requests`` tells how many were asked since it was asked last."""
    catalog = load_catalog()
    listed = list(servers())
    network = json.loads(json.dumps(wire.network(Store(networks={1: _network()}), _network())))
    kinds = {
        "servers": listed,
        "networks": [network],
        "volumes": [],
        "locations": [catalogue.location(location) for location in catalog.locations],
    }
    pages: dict[tuple[str, int, int], bytes] = {}
    asked = 0

    async def listing(request: Request) -> Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(delay)
        kind = request.path_params["kind"]
        page, per_page = (
            int(request.query_params.get(name, default)) for name, default in (("page", 1), ("per_page", 25))
        )
        key = (kind, page, per_page)
        if key not in pages:
            pages[key] = _page(kind, kinds[kind], page, per_page)
        return Response(pages[key], media_type="application/json")

    async def one_network(_request: Request) -> Response:
        nonlocal asked
        asked += 1
        await asyncio.sleep(delay)
        return JSONResponse({"network": network})

    async def requests(_request: Request) -> Response:
        nonlocal asked
        told, asked = asked, 0
        return JSONResponse(told)

    return Starlette(
        routes=[
            Route("/v1/requests", requests),
            Route("/v1/networks/1", one_network),
            Route("/v1/{kind}", listing),
        ]
    )


def _network() -> Network:
    return Network(
        1, "production-network", "2026-01-02T03:04:05Z", "10.0.0.0/8", [Subnet("cloud", "10.0.0.0/8", "eu-central")]
    )


def _page(kind: str, items: list[Any], page: int, per_page: int) -> bytes:
    last = max(1, -(-len(items) // per_page))
    pagination = {
        "page": page,
        "per_page": per_page,
        "previous_page": page - 1 or None,
        "next_page": page + 1 if page < last else None,
        "last_page": last,
        "total_entries": len(items),
    }
    shown = items[(page - 1) * per_page : page * per_page]
    return json.dumps({kind: shown, "meta": {"pagination": pagination}}, separators=(",", ":")).encode()


def other_collection() -> Path:
    """Where hetzner.hcloud lies: taken, once, out of the pinned ``ansible`` wheel."""
    target = CACHE / "collections"
    folder = "ansible_collections/hetzner/hcloud/"
    if not (target / folder / "MANIFEST.json").exists():
        with tempfile.TemporaryDirectory() as wheels:
            pins = ROOT / "requirements" / "collections.txt"
            words = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "-r",
                str(pins),
            ]
            subprocess.run([*words, "-d", wheels], check=True)
            (wheel,) = Path(wheels).glob("ansible-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.startswith(folder) and "/tests/" not in name]
                names.sort(key=lambda name: name.endswith("MANIFEST.json"))  # last, so that it stands for all
                archive.extractall(target, names)
    return target


@dataclass(frozen=True)
class Outcome:
    seconds: float
    processor_seconds: float
    printed: str

    def compare(self, title: str, other: Outcome) -> None:
        print(
            f"{title}: {other.seconds:.1f} s / {self.seconds:.1f} s = {other.seconds / self.seconds:.1f} times, "
            f"processor time {other.processor_seconds:.1f} s / {self.processor_seconds:.1f} s = "
            f"{other.processor_seconds / self.processor_seconds:.1f} times"
        )


def _processor_seconds() -> float:
    """What all programs that we have run took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Contest:
    """Both plugins on the same servers."""

    def __init__(self, url: str, home: Path) -> None:
        self._url = url
        self._home = home
        self._playbook = home / "nothing.yml"
        self._playbook.write_text("- hosts: role_app\n  gather_facts: false\n  tasks: []\n")

    def inventory(self, name: str, config: dict[str, Any], cached: bool) -> Path:
        folder = self._home / f"{name}{'-cached' if cached else ''}"
        folder.mkdir()
        if cached:
            config = config | {
                "cache": True,
                "cache_plugin": "ansible.builtin.jsonfile",
                "cache_connection": str(folder / "cache"),
                "cache_timeout": 36000,
            }
        path = folder / "hcloud.yml"
        path.write_text(json.dumps(config))
        return path

    def run(self, inventory: Path, program: str, *arguments: str) -> Outcome:
        environment = ansible_environment(
            HOME=str(self._home),
            HCLOUD_TOKEN=TOKEN,
            HCLOUD_ENDPOINT=self._url,
            ANSIBLE_COLLECTIONS_PATH=f"{ROOT / '.collections'}:{CACHE / 'collections'}",
            ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true",
        )
        begin, processor = time.monotonic(), _processor_seconds()
        done = subprocess.run(
            [tool(program), "-i", str(inventory), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        outcome = Outcome(time.monotonic() - begin, _processor_seconds() - processor, done.stdout)
        if done.returncode != 0:
            sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
        return outcome

    def requests(self) -> int:
        return int(httpx.get(f"{self._url}/requests").json())

    def list(self, inventory: Path) -> Outcome:
        return self.run(inventory, "ansible-inventory", "--list")

    def list_hosts(self, inventory: Path) -> Outcome:
        return self.run(inventory, "ansible-playbook", str(self._playbook), "--list-hosts")


@contextmanager
def contest(delay: float) -> Iterator[Contest]:
    with served(__file__, "--delay", str(delay)) as url, tempfile.TemporaryDirectory() as home:
        yield Contest(url, Path(home))


def groups(listing: str) -> dict[str, int]:
    """Groups and how many hosts they have, without what each plugin's own top adds."""
    return {
        name: len(group["hosts"]) for name, group in json.loads(listing).items() if name != "_meta" and "hosts" in group
    }


def measure(contest: Contest) -> None:
    ours, theirs = contest.inventory("ours", OURS, False), contest.inventory("theirs", THEIRS, False)
    contest.requests()
    our_list = contest.list(ours)
    our_requests = contest.requests()
    their_list = contest.list(theirs)
    print(f"requests: {our_requests}, hetzner.hcloud {contest.requests()}")
    if groups(our_list.printed) != groups(their_list.printed):
        sys.exit("the groups differ, so that the figures cannot be compared")
    our_list.compare("ansible-inventory --list", their_list)

    their_hosts = contest.list_hosts(theirs)
    contest.list_hosts(ours).compare("ansible-playbook --list-hosts", their_hosts)
    cached = contest.inventory("ours", OURS, True)
    contest.list_hosts(cached)  # fills the cache
    contest.requests()
    contest.list_hosts(cached).compare("ansible-playbook --list-hosts, ours cached", their_hosts)
    print(f"requests, ours cached: {contest.requests()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds until the API answers")
    parser.add_argument(SERVE, action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(application(arguments.delay))
        return
    other_collection()
    print(f"{SERVERS} servers, {os.cpu_count()} cores, answers after {arguments.delay * 1000:.0f} ms")
    with contest(arguments.delay) as both:
        measure(both)


if __name__ == "__main__":
    main()
