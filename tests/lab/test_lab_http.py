"""What holds for every route: who may call, how lists are paged, what errors look like."""

from __future__ import annotations

import re

import pytest
import requests
from hcloud import APIException, Client

from lab.api.app import ROUTES
from lab.api.http import Answer, Call
from lab.api.limit import RateLimit
from lab.api.unimplemented import ROUTES as UNIMPLEMENTED
from lab.drivers.null import NullDriver
from tests.lab import builders
from tests.lab.cloud_api import TOKEN, CloudApi, Host
from tests.lab.cloud_api import cloud_api as serve
from tests.lab.spec import SPEC_PATH, load_spec

#: What the vendor's library asks for and the document of June 2026 does not have.
NEWER_THAN_THE_DOCUMENT = {("GET", "/networks/{id}/members")}


def test_answers_are_checked_against_the_vendors_document() -> None:
    spec = load_spec()
    if spec is None:
        pytest.skip(f"{SPEC_PATH} is not there: answers were not checked against the vendor's document")
    with pytest.raises(AssertionError, match="surprise"):
        spec.check("GET", "/locations", 200, b'{"locations": [], "surprise": 1}')
    with pytest.raises(AssertionError, match="'meta' is a required property"):
        spec.check("GET", "/locations", 200, b'{"locations": []}')
    with pytest.raises(AssertionError, match="does not answer"):
        spec.check("GET", "/pricing", 302, b"")
    with pytest.raises(AssertionError, match="is not JSON"):
        spec.check("GET", "/locations", 502, b"Bad Gateway")


@pytest.mark.parametrize(
    ("status", "payload", "text"),
    [(200, {"locations": [], "surprise": 1}, "surprise"), (302, None, "does not answer 302")],
)
def test_a_wrong_answer_fails_its_test_whoever_asked(
    host: Host, monkeypatch: pytest.MonkeyPatch, status: int, payload: dict[str, object] | None, text: str
) -> None:
    if load_spec() is None:
        pytest.skip(f"{SPEC_PATH} is not there")

    async def answer(_call: Call) -> Answer:
        return Answer(payload, status)

    monkeypatch.setitem(ROUTES, ("GET", "/locations"), answer)
    with pytest.raises(AssertionError, match=text), serve(host, NullDriver()) as api:
        requests.get(f"{api.url}/locations", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)


def test_every_route_of_the_vendor_is_served_and_no_other() -> None:
    spec = load_spec()
    if spec is None:
        pytest.skip(f"{SPEC_PATH} is not there")
    served = {(method, re.sub(r"\{(\w+):int\}", r"{\1}", path)) for method, path in ROUTES}
    assert served == spec.operations() | NEWER_THAN_THE_DOCUMENT


@pytest.mark.parametrize(("method", "path"), sorted(UNIMPLEMENTED))
def test_what_is_not_implemented_says_so(cloud_api: CloudApi, method: str, path: str) -> None:
    response = cloud_api.request(method, re.sub(r"\{[^}]+\}", "1", path))
    assert response.status_code == 501
    assert response.json()["error"]["code"] == "not_implemented"
    assert "does not implement" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/datacenters", "/datacenters/1"])
def test_datacenters_are_gone(cloud_api: CloudApi, path: str) -> None:
    status, error = cloud_api.refused("GET", path)
    assert (status, error["code"]) == (410, "deprecated_api_endpoint")
    assert error["details"]["announcement"].startswith("https://docs.hetzner.cloud/changelog#")


@pytest.mark.parametrize(
    ("token", "message"), [(None, "token is required"), ("wrong", "the token you have provided is invalid")]
)
def test_a_token_is_required(cloud_api: CloudApi, token: str | None, message: str) -> None:
    response = cloud_api.request("GET", "/servers", token=token)
    assert response.status_code == 401
    assert response.json()["error"] == {"code": "unauthorized", "message": message, "details": None}


def test_other_schemes_of_authorisation_do_not_count(cloud_api: CloudApi) -> None:
    response = cloud_api.request("GET", "/servers", token=None, headers={"Authorization": "Basic dG9rZW4="})
    assert response.json()["error"]["message"] == "token is required"


@pytest.mark.parametrize("path", ["/nothing", "/servers/abc", "/servers/1/actions/fly", "/servers/"])
def test_an_unknown_route_is_not_found_before_the_token_is_looked_at(cloud_api: CloudApi, path: str) -> None:
    response = cloud_api.request("GET", path, token=None)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_a_wrong_method_is_not_allowed(cloud_api: CloudApi) -> None:
    response = cloud_api.request("PATCH", "/servers")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/servers", "/nothing", "/images"])
def test_every_answer_carries_rate_limit_and_correlation_id(cloud_api: CloudApi, path: str) -> None:
    headers = cloud_api.request("GET", path).headers
    assert headers["RateLimit-Limit"] == "3600"
    assert 0 < int(headers["RateLimit-Remaining"]) < 3600
    assert int(headers["RateLimit-Reset"]) > 0
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Correlation-Id"])
    assert headers["Content-Type"] == "application/json"


def test_the_rate_limit_is_kept(host: Host) -> None:
    limit = RateLimit(capacity=2, clock=lambda: 1000.0)
    with serve(host, NullDriver(), limit=limit) as api:
        remaining = [api.request("GET", "/locations").headers["RateLimit-Remaining"] for _ in range(2)]
        assert remaining == ["1", "0"]
        refused = api.request("GET", "/locations")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.headers["RateLimit-Reset"] == "4600"  # two an hour: the bucket is full an hour later


def test_the_rate_limit_fills_up_evenly() -> None:
    time = [0.0]
    limit = RateLimit(capacity=3600, clock=lambda: time[0])
    assert all(limit.take() for _ in range(3600))
    assert not limit.take()
    time[0] = 2.5
    assert [limit.take() for _ in range(3)] == [True, True, False]
    time[0] = 1e9
    assert limit.headers()["RateLimit-Remaining"] == "3600"


@pytest.mark.parametrize("text", ["{", "[]", "nonsense"])
def test_broken_json_is_refused(cloud_api: CloudApi, text: str) -> None:
    response = cloud_api.request("POST", "/ssh_keys", data=text)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "json_error")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": 1}, "name"),
        ({"name": "a"}, "public_key"),
        ({"name": "a", "public_key": []}, "public_key"),
        ({"name": "a", "public_key": "b", "labels": []}, "labels"),
        ({"name": "a", "public_key": "b", "labels": {"a": 1}}, "labels"),
    ],
)
def test_a_wrong_field_is_named(cloud_api: CloudApi, body: dict[str, object], field: str) -> None:
    status, error = cloud_api.refused("POST", "/ssh_keys", **body)
    assert (status, error["code"]) == (422, "invalid_input")
    assert error["message"].startswith(f"invalid input in field '{field}': ")
    assert [entry["name"] for entry in error["details"]["fields"]] == [field]


def test_the_vendors_library_shows_code_details_and_correlation_id(cloud_api: CloudApi) -> None:
    with pytest.raises(APIException) as caught:
        cloud_api.client.servers.get_by_id(7)
    assert caught.value.code == "not_found"
    assert caught.value.message == "server with ID '7' not found"
    assert caught.value.correlation_id


def test_the_vendors_library_sees_a_wrong_token(cloud_api: CloudApi) -> None:
    with pytest.raises(APIException, match="the token you have provided is invalid"):
        Client("wrong", api_endpoint=cloud_api.url).locations.get_all()


# Lists


@pytest.fixture
def five_groups(cloud_api: CloudApi) -> CloudApi:
    for name in ("c", "a", "e", "b", "d"):
        cloud_api.client.placement_groups.create(name=name, type="spread", labels={"name": name, name: ""})
    return cloud_api


def names(api: CloudApi, **params: object) -> str:
    return "".join(item["name"] for item in api.get("/placement_groups", **params)["placement_groups"])


def test_lists_come_in_the_order_of_creation(five_groups: CloudApi) -> None:
    assert names(five_groups) == "caebd"


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", "abcde"),
        ("name:asc", "abcde"),
        ("name:desc", "edcba"),
        ("id:desc", "dbeac"),
        (["created", "name"], "abcde"),
    ],
)
def test_lists_are_sorted(five_groups: CloudApi, sort: object, order: str) -> None:
    if sort == ["created", "name"]:
        for group in five_groups.cloud.store.placement_groups.values():
            group.created = "2026-01-01T00:00:00Z"
    assert names(five_groups, sort=sort) == order


@pytest.mark.parametrize("sort", ["labels", "name:up", ""])
def test_an_unknown_order_is_refused(cloud_api: CloudApi, sort: str) -> None:
    response = cloud_api.request("GET", "/placement_groups", params={"sort": sort})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_input")


def test_lists_are_filtered_by_name(five_groups: CloudApi) -> None:
    assert names(five_groups, name="b") == "b"
    assert names(five_groups, name="nobody") == ""


def test_lists_are_filtered_by_labels(five_groups: CloudApi) -> None:
    assert names(five_groups, label_selector="name in (a,c),!c") == "a"
    response = five_groups.request("GET", "/placement_groups", params={"label_selector": "a=b=c"})
    assert response.json()["error"]["details"]["fields"][0]["name"] == "label_selector"


def test_lists_come_in_pages(five_groups: CloudApi) -> None:
    first = five_groups.request("GET", "/placement_groups", params={"per_page": 2, "sort": "name"})
    assert first.json()["meta"]["pagination"] == {
        "page": 1,
        "per_page": 2,
        "previous_page": None,
        "next_page": 2,
        "last_page": 3,
        "total_entries": 5,
    }
    assert set(first.links) == {"next", "last"}
    second = five_groups.session.get(first.links["next"]["url"], headers=first.request.headers)
    assert [item["name"] for item in second.json()["placement_groups"]] == ["c", "d"]
    assert second.json()["meta"]["pagination"]["previous_page"] == 1
    assert names(five_groups, per_page=2, page=3, sort="name") == "e"


def test_a_page_past_the_end_is_empty(five_groups: CloudApi) -> None:
    answer = five_groups.get("/placement_groups", page=9)
    assert answer["placement_groups"] == []
    assert answer["meta"]["pagination"]["next_page"] is None


def test_an_empty_list_has_one_page(cloud_api: CloudApi) -> None:
    assert cloud_api.get("/servers")["meta"]["pagination"] == {
        "page": 1,
        "per_page": 25,
        "previous_page": None,
        "next_page": None,
        "last_page": 1,
        "total_entries": 0,
    }


@pytest.mark.parametrize("params", [{"per_page": 51}, {"per_page": 0}, {"page": 0}, {"page": "x"}, {"page": -1}])
def test_impossible_pages_are_refused(cloud_api: CloudApi, params: dict[str, object]) -> None:
    response = cloud_api.request("GET", "/servers", params=params)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_input")


def test_the_vendors_library_reads_all_pages(cloud_api: CloudApi) -> None:
    for number in range(60):
        cloud_api.client.placement_groups.create(name=f"group-{number}", type="spread")
    assert len(cloud_api.client.placement_groups.get_all()) == 60


def test_ids_are_unique_over_all_kinds(cloud_api: CloudApi) -> None:
    builders.server(cloud_api)
    group = cloud_api.client.placement_groups.create(name="g", type="spread").placement_group
    store = cloud_api.cloud.store
    everything = [*store.servers, *store.primary_ips, *store.actions, group.id]
    assert len(set(everything)) == len(everything)
