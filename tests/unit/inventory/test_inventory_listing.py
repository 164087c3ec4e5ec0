"""How a project is read: few requests, every page, and no server lost between two of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.listing import (
    Snapshot,
    label_selector,
    read_snapshot,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import InventoryError

from tests.unit.inventory.builders import TOKEN, FakeApi, default_servers, network_json, server_json, volume_json


class DirectClient:
    """The API's answers without HTTP. ``before`` is called with each query, to change the world between two pages."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.lock = threading.Lock()

    def before(self, url: str, page: int) -> None:
        """Nothing changes, unless a test says otherwise."""

    def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
        params = kwargs["params"]
        with self.lock:
            self.before(url, params["page"])
            query = "&".join(f"{key}={value}" for key, value in params.items())
            return self.api.answer(f"/v1{url}?{query}", f"Bearer {TOKEN}")[1]

    def list_all(self, url: str, **params: Any) -> list[dict[str, Any]]:
        return list(self.request("GET", url, params={**params, "page": 1, "per_page": 50})[url[1:]])


def many(count: int) -> list[dict[str, Any]]:
    return [
        server_json(number, f"app-{number:05}", private=f"10.0.{number // 250}.{number % 250 + 1}")
        for number in range(1, count + 1)
    ]


def names(snapshot: Snapshot) -> list[str]:
    return [record["server"]["name"] for record in snapshot["servers"]]


def test_ten_thousand_servers_take_201_requests() -> None:
    api = FakeApi(servers=many(10_000), networks=[network_json()])
    assert len(read_snapshot(DirectClient(api), "")["servers"]) == 10_000
    assert len(api.queries) == 201


def test_small_environment_takes_three_requests() -> None:
    api = FakeApi(servers=default_servers(), networks=[network_json()], volumes=[volume_json(70)])
    read_snapshot(DirectClient(api), "managed-by=bulwark")
    assert sorted(kind for kind, _ in api.queries) == ["networks", "servers", "volumes"]


def test_volumes_are_read_only_where_a_server_has_one() -> None:
    api = FakeApi(servers=many(3), networks=[network_json()])
    read_snapshot(DirectClient(api), "")
    assert sorted(kind for kind, _ in api.queries) == ["networks", "servers"]


def test_selector_restricts_servers_only() -> None:
    api = FakeApi(servers=default_servers(), networks=[network_json()], volumes=[volume_json(70)])
    read_snapshot(DirectClient(api), "env in (lab)")
    assert {kind: query.get("label_selector") for kind, query in api.queries} == {
        "servers": "env in (lab)",
        "networks": None,
        "volumes": None,
    }


def test_volumes_go_to_their_servers_and_vanished_ones_nowhere() -> None:
    servers = default_servers()
    servers[2]["volumes"] = [70, 71]
    api = FakeApi(servers=servers, networks=[network_json()], volumes=[volume_json(70), volume_json(99)])
    snapshot = read_snapshot(DirectClient(api), "")
    volumes = {record["server"]["name"]: record["server"]["volumes"] for record in snapshot["servers"]}
    assert [volume["id"] for volume in volumes["db-primary"]] == [70]
    assert volumes["app-01"] == []


def test_servers_come_by_name() -> None:
    api = FakeApi(servers=list(reversed(many(3))))
    assert names(read_snapshot(DirectClient(api), "")) == ["app-00001", "app-00002", "app-00003"]


def test_no_server_at_all_is_an_empty_inventory() -> None:
    empty = read_snapshot(DirectClient(FakeApi()), "")
    assert (empty["servers"], empty["networks"]) == ([], {})


def test_server_deleted_between_two_pages_hides_no_other() -> None:
    class Shrinking(DirectClient):
        def before(self, url: str, page: int) -> None:
            if url == "/servers" and page == 2 and len(self.api.objects["servers"]) == 120:
                del self.api.objects["servers"][0]  # so app-00051 moves from page 2 to page 1, which was read already

    snapshot = read_snapshot(Shrinking(FakeApi(servers=many(120))), "")
    assert names(snapshot) == [f"app-{number:05}" for number in range(2, 121)]


def test_listing_that_never_holds_still_is_an_error() -> None:
    class Restless(DirectClient):
        def before(self, url: str, page: int) -> None:
            if url == "/servers" and page == 2:
                del self.api.objects["servers"][0]

    with pytest.raises(InventoryError, match="kept changing"):
        read_snapshot(Restless(FakeApi(servers=many(120))), "")


def test_pages_are_followed_where_the_api_does_not_know_how_many() -> None:
    class Uncounted(DirectClient):
        def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
            answer = super().request(method, url, **kwargs)
            answer["meta"]["pagination"] |= {"last_page": None, "total_entries": None}
            return answer

    assert len(read_snapshot(Uncounted(FakeApi(servers=many(120))), "")["servers"]) == 120


def test_answer_that_makes_no_sense_is_a_sentence() -> None:
    server = server_json(1, "app-01")
    del server["server_type"]
    with pytest.raises(InventoryError, match=r"documentation promises.*server_type"):
        read_snapshot(DirectClient(FakeApi(servers=[server])), "")


@pytest.mark.parametrize(
    ("environments", "selector", "expected"),
    [
        ([], "", ""),
        (["production"], "", "env in (production)"),
        (["production", "staging"], "managed-by=bulwark", "env in (production,staging),managed-by=bulwark"),
        ([], "!k8s", "!k8s"),
    ],
)
def test_label_selector(environments: list[str], selector: str, expected: str) -> None:
    assert label_selector(environments, selector) == expected


@pytest.mark.parametrize("environment", ["", "a,b", "a)", "-a", "a" * 64, "a b"])
def test_environment_that_cannot_be_a_label_is_refused(environment: str) -> None:
    with pytest.raises(InventoryError, match="cannot be the value of a label"):
        label_selector([environment], "")
