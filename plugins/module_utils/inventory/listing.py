# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads servers, networks and volumes of a project in as few requests, and as little time, as the API allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Protocol, TypedDict, TypeVar

from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import PER_PAGE
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import (
    LABEL_VALUE,
    InventoryError,
    Network,
    ServerRecord,
    Volume,
    network,
    server_record,
    volume,
)

#: Pages asked for at a time. More than the HTTP library keeps connections for (10) would gain nothing.
CONCURRENT_REQUESTS = 8
#: Times that a listing is read when servers come and go between its pages.
ATTEMPTS = 3
#: To be raised with every change to what a snapshot holds, so that no cached one of another form is taken for it.
SNAPSHOT_VERSION = 2

_Item = TypeVar("_Item", ServerRecord, Volume)


class Snapshot(TypedDict):
    """What the API said at one moment; JSON, so that it can be cached. Networks go by their id in decimal.

    ``taken`` is that moment, in seconds since 1970.
    """

    taken: int
    servers: list[ServerRecord]
    networks: dict[str, Network]


class Client(Protocol):
    """The part of the API client that is used here."""

    def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]: ...

    def list_all(self, url: str, **params: object) -> Iterable[dict[str, Any]]: ...


def label_selector(environments: list[str], selector: str) -> str:
    """The API's selector for servers of one of these environments (of any, when none is named) that ``selector`` fits.

    Grammar: https://docs.hetzner.cloud/reference/cloud#label-selector
    """
    for environment in environments:
        if not LABEL_VALUE.fullmatch(environment):
            raise InventoryError(f"{environment!r} in the option environments cannot be the value of a label.")
    parts = [f"env in ({','.join(environments)})"] if environments else []
    return ",".join([*parts, *([selector] if selector else [])])


def read_snapshot(client: Client, selector: str) -> Snapshot:
    """Read servers that the selector fits, all networks, and volumes if a server has one.

    Raises what ``client`` raises, and InventoryError where its answers make no sense.
    """
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        try:
            networks = pool.submit(lambda: [network(data) for data in client.list_all("/networks")])
            servers = _read(client, pool, "servers", server_record, {"label_selector": selector} if selector else {})
            if any(record["volume_ids"] for record in servers.values()):
                _fill_in_volumes(servers, _read(client, pool, "volumes", volume, {}))
            return {
                "taken": int(time.time()),
                "servers": sorted(servers.values(), key=lambda record: record["server"]["name"]),
                "networks": {str(net["id"]): net for net in networks.result()},
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InventoryError(
                "The API's answer is not what its documentation promises: check that HCLOUD_ENDPOINT is a "
                f"Hetzner Cloud API ({type(error).__name__}: {error})."
            ) from error


def _fill_in_volumes(servers: dict[int, ServerRecord], volumes: dict[int, Volume]) -> None:
    for record in servers.values():
        # A volume may have gone between the two listings.
        record["server"]["volumes"] = [volumes[id_] for id_ in record["volume_ids"] if id_ in volumes]


def _read(
    client: Client, pool: Executor, kind: str, convert: Callable[[dict[str, Any]], _Item], query: dict[str, str]
) -> dict[int, _Item]:
    """Every object of a kind by its id: the first page tells how many there are, the others are read side by side."""

    def read_page(number: int) -> tuple[dict[int, _Item], dict[str, Any]]:
        params = {**query, "sort": "id:asc", "page": number, "per_page": PER_PAGE}
        answer = client.request("GET", f"/{kind}", params=params)
        # Converted here, page by page, because ten thousand servers as the API writes them are 60 MB.
        return {int(data["id"]): convert(data) for data in answer[kind]}, answer["meta"]["pagination"]

    for _attempt in range(ATTEMPTS):
        pages = [read_page(1)]
        pages += pool.map(read_page, range(2, (pages[0][1]["last_page"] or 1) + 1))
        while (following := pages[-1][1]["next_page"]) is not None:
            pages.append(read_page(following))
        # What is deleted meanwhile moves later pages up, and one object then stands on no page that was read.
        if len({pagination["total_entries"] for _, pagination in pages}) == 1:
            return {id_: item for items, _ in pages for id_, item in items.items()}
    raise InventoryError(f"The {kind} kept changing while they were listed: run again, or narrow the inventory down.")
