"""The client: who may use it, what it asks again, and what it says about errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import hcloud
import pytest
import requests
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import (
    APIException,
    Client,
    ClientError,
    create_client,
    explain,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import MAX_RETRIES, MAX_RETRIES_UNANSWERED
from requests.adapters import HTTPAdapter

URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("token", "endpoint", "sentence"),
    [
        (None, URL, "There is no API token: set the environment variable HCLOUD_TOKEN"),
        ("", URL, "There is no API token"),
        ("abc\n", URL, "holds characters no token has"),
        ("tökén", URL, "holds characters no token has"),
        ("abc", "api.hetzner.cloud", "is no URL such as https://api.hetzner.cloud/v1"),
        ("abc", "http://203.0.113.1/v1", "would send the token in the clear: use https"),
    ],
)
def test_what_cannot_be_used_is_refused_without_repeating_the_token(
    token: str | None, endpoint: str, sentence: str
) -> None:
    with pytest.raises(ClientError) as error:
        create_client(token, endpoint)
    assert sentence in str(error.value)
    assert not token or token not in str(error.value)


@pytest.mark.parametrize(
    "endpoint", [None, URL, "http://localhost:8787/v1/", "http://[::1]:8787/v1", "https://a.example/v1"]
)
def test_endpoints_that_may_be_used(endpoint: str | None) -> None:
    assert isinstance(create_client("abc", endpoint), hcloud.Client)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(Client, "sleep", staticmethod(slept.append))
    return slept


def _failing(monkeypatch: pytest.MonkeyPatch, times: int, code: str | int) -> list[str]:
    """Let the library's own request fail so many times; returns the list of what was asked."""
    asked: list[str] = []

    def request(_self: object, method: str, url: str, **_kwargs: Any) -> dict[str, Any]:
        asked.append(f"{method} {url}")
        if len(asked) <= times:
            raise APIException(code, "busy", None)
        return {}

    monkeypatch.setattr(hcloud.Client, "request", request)
    return asked


@pytest.mark.parametrize("code", ["locked", "unavailable", 503, "conflict", "rate_limit_exceeded"])
def test_what_passes_is_asked_again_after_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, pauses: list[float], code: str | int
) -> None:
    asked = _failing(monkeypatch, 3, code)
    assert create_client("abc", URL).request("POST", "/servers") == {}
    assert len(asked) == 4
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    asked = _failing(monkeypatch, 10**6, "locked")
    with pytest.raises(APIException):
        create_client("abc", URL).request("POST", "/servers")
    assert len(asked) == MAX_RETRIES + 1
    assert max(pauses) <= 16


def test_what_does_not_pass_is_not_asked_again(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    asked = _failing(monkeypatch, 1, "invalid_input")
    with pytest.raises(APIException):
        create_client("abc", URL).request("POST", "/servers")
    assert (len(asked), pauses) == (1, [])


def test_listings_are_read_to_the_last_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {1: (["a", "b"], 2), 2: (["c"], None)}

    def request(_self: object, _method: str, _url: str, params: dict[str, Any]) -> dict[str, Any]:
        names, following = pages[params["page"]]
        assert params["per_page"] == 50
        assert params["label_selector"] == "env=lab"
        return {"servers": [{"name": name} for name in names], "meta": {"pagination": {"next_page": following}}}

    monkeypatch.setattr(Client, "request", request)
    listed = create_client("abc", URL).list_all("/servers", label_selector="env=lab")
    assert [server["name"] for server in listed] == ["a", "b", "c"]


def test_errors_are_sentences_that_keep_what_the_vendor_said() -> None:
    details = {"fields": [{"name": "ip", "messages": ["is not in a subnet"]}]}
    error = APIException("invalid_input", "invalid input in field 'ip'", details, correlation_id="4711")
    assert explain(error) == (
        "The API refused: invalid input in field 'ip': ip: is not in a subnet (invalid_input, request 4711)."
    )
    unauthorized = explain(APIException("unauthorized", "the token you have provided is invalid", None))
    assert unauthorized.startswith("The API does not accept the token: check HCLOUD_TOKEN")
    assert "the token you have provided is invalid" in unauthorized


@pytest.mark.usefixtures("pauses")
def test_an_endpoint_that_does_not_answer_is_named() -> None:
    with pytest.raises(OSError, match="refused") as error:
        create_client("abc", URL).request("GET", "/servers")
    assert explain(error.value) == (
        "The API does not answer at 127.0.0.1:1: check the network and HCLOUD_ENDPOINT (ConnectionError)."
    )


class Edge(HTTPAdapter):
    """Answers in place of the network, from a list of status, headers and body; None cuts the connection."""

    def __init__(self, *answers: tuple[int, dict[str, str], dict[str, Any]] | None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any) -> requests.Response:
        self.asked.append(f"{request.method} {request.path_url}")
        answer = self.answers.pop(0)
        if answer is None:
            raise requests.ConnectionError("cut", request=request)
        response = requests.Response()
        response.status_code, headers, body = answer
        response.headers.update(headers)
        response._content = json.dumps(body).encode()
        return response


def error(code: str, **headers: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return 400, named, {"error": {"code": code, "message": "not now"}}


OK = (200, {"Date": "Mon, 23 Nov 2026 03:00:00 GMT"}, {"done": True})


def client_at(edge: Edge) -> Client:
    client = create_client("abc", URL)
    client._client._session.mount("http://", edge)
    return client


@pytest.mark.usefixtures("pauses")
def test_the_library_itself_repeats_nothing() -> None:
    """Else its retries multiply with ours: a private setting of the library, hence this test."""
    edge = Edge(*[error("timeout")] * 20)
    with pytest.raises(APIException):
        client_at(edge).request("POST", "/servers")
    assert len(edge.asked) == 1
    edge = Edge(*[None] * 20)
    with pytest.raises(OSError, match="cut"):
        client_at(edge).request("GET", "/servers")
    assert len(edge.asked) == 1 + MAX_RETRIES_UNANSWERED


@pytest.mark.parametrize("lost", [None, error("timeout"), error("bad_gateway")], ids=["cut", "timeout", "gateway"])
@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1)])
@pytest.mark.usefixtures("pauses")
def test_what_may_have_been_done_is_only_repeated_where_that_does_no_harm(
    method: str, times: int, lost: tuple[int, dict[str, str], dict[str, Any]] | None
) -> None:
    edge = Edge(lost, OK)
    client = client_at(edge)
    if times == 1:
        with pytest.raises((APIException, OSError)):
            client.request(method, "/servers")
    else:
        assert client.request(method, "/servers") == {"done": True}
    assert len(edge.asked) == times


def test_a_limit_is_waited_for_as_long_as_the_api_says(pauses: list[float]) -> None:
    client = client_at(Edge(error("rate_limit_exceeded", Retry_After="7"), OK))
    assert client.request("POST", "/servers") == {"done": True}
    assert max(pauses) >= 7
    assert client.retries.wait() > 6, "the other threads wait, too"


def test_the_times_of_the_api_are_known_from_its_answers() -> None:
    client = client_at(Edge(OK))
    client.request("GET", "/servers")
    assert abs(client.now() - datetime(2026, 11, 23, 3, 0, tzinfo=UTC)) < timedelta(minutes=1)
