"""The client: what it refuses to begin with, what it asks again, and what it says about errors."""

from __future__ import annotations

import json

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import zones
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.client import (
    Client,
    CloudflareError,
    RefusedError,
    UnansweredError,
    create_client,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.plan import settle
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import MAX_RETRIES, REPAIRS

from tests.unit.cloudflare.conftest import TOKEN, envelope, refusal
from tests.unit.object_storage.edge import Answer, Edge


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"api_token": None},
            "There is no API token for Cloudflare: set the environment variable CLOUDFLARE_API",
        ),
        ({"api_token": f"{TOKEN}\n"}, "holds characters no token has"),
        ({"api_endpoint": "api.cloudflare.com"}, "is no URL such as https://api.cloudflare.com/client/v4"),
        ({"api_endpoint": "https://me:pass@example.com"}, "is no URL such as"),
        ({"api_endpoint": "http://api.example"}, "would send the token in the clear: use https"),
    ],
)
def test_what_could_never_work_is_refused(options: dict[str, str | None], sentence: str) -> None:
    common = {"api_token": TOKEN, "api_endpoint": "https://api.cloudflare.com/client/v4", "zone": "example.com"}
    with pytest.raises(CloudflareError) as error:
        create_client(common | options)
    assert sentence in str(error.value)
    assert TOKEN not in str(error.value)


def test_a_request_carries_the_token_and_json(edge: Edge, client: Client) -> None:
    edge.answers = [envelope({"id": "1"})]
    assert client.request("POST", "/zones/1/dns_records", body={"name": "ä"}).result == {"id": "1"}
    [asked] = edge.asked
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(asked.body) == {"name": "ä"}


def test_every_page_is_read_until_there_are_as_many_as_told(edge: Edge, client: Client) -> None:
    edge.answers = [envelope([{"id": "1"}, {"id": "2"}], 3), envelope([{"id": "3"}], 3)]
    assert [item["id"] for item in client.list_all("/zones", 2)] == ["1", "2", "3"]
    assert [asked.path for asked in edge.asked] == ["/zones?page=1&per_page=2", "/zones?page=2&per_page=2"]


def test_where_no_total_is_told_a_page_without_anything_new_ends_it(edge: Edge, client: Client) -> None:
    edge.answers = [envelope([{"id": "1"}]), envelope([{"id": "1"}])]
    assert [item["id"] for item in client.list_all("/zones", 2)] == ["1"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(refusal(429, 971), id="rate limit"),
        pytest.param(refusal(500, 1000), id="server error"),
        pytest.param(Answer(502, b"<html>"), id="no envelope"),
        pytest.param(Answer(522, b"timed out"), id="Cloudflare's own status"),
        pytest.param(Answer(cut=True), id="cut"),
        pytest.param(Answer(200, b"half", {"Content-Length": "8"}), id="half an answer"),
        pytest.param(Answer(200, b"<html>please log in"), id="somebody else's answer"),
    ],
)
def test_what_passes_is_asked_again_after_growing_pauses(
    edge: Edge, client: Client, pauses: list[float], method: str, failure: Answer
) -> None:
    edge.answers = [failure, failure, envelope("done")]
    assert client.request(method, "/zones").result == "done"
    assert len(edge.asked) == 3
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("failure", [refusal(500, 1000), refusal(524, 0), Answer(cut=True)])
def test_a_creation_is_never_repeated_blindly(edge: Edge, client: Client, failure: Answer) -> None:
    edge.answers = [failure]
    with pytest.raises(CloudflareError) as error:
        client.request("POST", "/certificates", body={})
    assert error.value.unclear
    assert len(edge.asked) == 1


def test_a_creation_that_was_refused_for_now_is_repeated(edge: Edge, client: Client, pauses: list[float]) -> None:
    edge.answers = [refusal(429, 971, **{"Retry-After": "30"}), envelope("done")]
    assert client.request("POST", "/certificates", body={}).result == "done"
    assert 30 < pauses[0] < 32


def test_a_long_wait_ends_the_run_with_a_sentence(edge: Edge, client: Client) -> None:
    edge.answers = [refusal(429, 971, **{"Retry-After": "300"})]
    with pytest.raises(RefusedError, match="1200 requests in five minutes is used up: run again in five minutes"):
        client.request("GET", "/zones")


def test_patience_has_an_end(edge: Edge, client: Client) -> None:
    edge.store = lambda _asked: refusal(503, 1000)
    with pytest.raises(RefusedError, match=r"not available: run again later\. \(Cloudflare said: said so \(1000\)\.\)"):
        client.request("GET", "/zones")
    assert len(edge.asked) == MAX_RETRIES + 1


def test_an_api_that_is_not_there_is_named(pauses: list[float]) -> None:
    client = create_client({"api_token": TOKEN, "api_endpoint": "http://127.0.0.1:1", "zone": "example.com"})
    with pytest.raises(UnansweredError, match=r"does not answer at 127.0.0.1:1: check the network .*refused"):
        client.request("GET", "/zones")


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", "/zones", "Zone → Zone → Read"),
        ("GET", "/zones/1/dns_records", "Zone → DNS → Read"),
        ("POST", "/zones/1/dns_records/batch", "Zone → DNS → Edit"),
        ("GET", "/zones/1/settings/ssl", "Zone → Zone Settings → Read"),
        ("PATCH", "/zones/1/settings/ssl", "Zone → Zone Settings → Edit"),
        ("GET", "/certificates", "Zone → SSL and Certificates → Read"),
        ("DELETE", "/certificates/1", "Zone → SSL and Certificates → Edit"),
    ],
)
@pytest.mark.parametrize("code", [9109, 10000, 1016])
def test_a_missing_permission_is_named(
    edge: Edge, client: Client, pauses: list[float], method: str, path: str, permission: str, code: int
) -> None:
    edge.answers = [refusal(403, code, "Unauthorized to access requested resource")]
    with pytest.raises(RefusedError) as error:
        client.request(method, path)
    assert str(error.value) == (
        f"The token lacks the permission {permission} for the zone example.com: add it in the Cloudflare dashboard "
        f"under My Profile, API Tokens. (Cloudflare said: Unauthorized to access requested resource ({code}).)"
    )
    assert (len(edge.asked), pauses) == (1, [])


CHAIN = {"code": 6003, "message": "Invalid request headers", "error_chain": [{"code": 6111, "message": "format"}]}


@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, 1000, "Invalid API Token"),
        refusal(403, 9109, "Invalid access token"),
        Answer(400, json.dumps({"success": False, "errors": [CHAIN]}).encode()),
    ],
)
def test_a_token_that_is_none_is_told(edge: Edge, client: Client, answer: Answer) -> None:
    edge.answers = [answer]
    with pytest.raises(RefusedError, match="does not accept the API token: check CLOUDFLARE_API_TOKEN, and in"):
        client.request("GET", "/zones")


def test_a_token_that_is_for_other_addresses_is_told(edge: Edge, client: Client) -> None:
    edge.answers = [refusal(403, 9109, "Cannot use the access token from location: 192.0.2.1")]
    with pytest.raises(RefusedError, match="add it to the token's IP address filter"):
        client.request("GET", "/zones")


def test_what_there_is_nothing_to_say_about_is_quoted(edge: Edge, client: Client) -> None:
    edge.answers = [refusal(400, 9005, "Content for A record must be a valid IPv4 address.")]
    with pytest.raises(RefusedError) as error:
        client.request("GET", "/zones")
    assert str(error.value) == "Cloudflare refused: Content for A record must be a valid IPv4 address (9005)."


def test_success_false_is_none(edge: Edge, client: Client) -> None:
    edge.answers = [refusal(200, 7000)]
    with pytest.raises(RefusedError):
        client.request("GET", "/zones")


def test_a_zone_costs_one_request(edge: Edge, client: Client) -> None:
    edge.answers = [envelope([{"id": "z", "name": "example.com"}], 1)]
    assert zones.find(client) == "z"
    assert [asked.path for asked in edge.asked] == ["/zones?name=example.com"]


def test_of_zones_with_the_same_name_the_active_one_is_taken(edge: Edge, client: Client) -> None:
    states = {"y": "moved", "z": "active"}
    edge.answers = [envelope([{"id": key, "name": "example.com", "status": state} for key, state in states.items()])]
    assert zones.find(client) == "z"


@pytest.mark.parametrize(
    ("there", "sees"),
    [
        (["a.example", "b.example"], "a.example, b.example"),
        ([], "none, and may lack the permission Zone → Zone → Read"),
    ],
)
def test_an_unknown_zone_names_those_there_are(edge: Edge, client: Client, there: list[str], sees: str) -> None:
    edge.answers = [envelope([], 0), envelope([{"id": name, "name": name} for name in there], len(there))]
    with pytest.raises(CloudflareError, match=f"no zone example.com that the token may see; it sees {sees}: correct"):
        zones.find(client)


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("@", "example.com"),
        ("example.com", "example.com"),
        ("WWW", "www.example.com"),
        ("www.example.com.", "www.example.com"),
        ("*", "*.example.com"),
        ("_acme-challenge.www", "_acme-challenge.www.example.com"),
        ("bücher", "xn--bcher-kva.example.com"),
        ("www.other.org", "www.other.org.example.com"),
    ],
)
def test_names_are_whole(name: str, whole: str) -> None:
    assert zones.full_name(name, "example.com") == whole


@pytest.mark.parametrize("name", ["", "www.other.org.", "a b", "-a", "a..b", "a.*.b", "x" * 64, "notexample.com."])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(CloudflareError, match=r"is no name such as|does not lie in the zone example\.com"):
        zones.full_name(name, "example.com")


@pytest.mark.parametrize("name", ["straße", "\u200dwww"])
def test_names_that_could_be_two_are_refused(name: str) -> None:
    with pytest.raises(CloudflareError, match="can be written as a name of DNS in two ways: write it as xn--"):
        zones.full_name(name, "example.com")


def failure(unclear: bool = False, outdated: bool = False, text: str = "no") -> CloudflareError:
    error = CloudflareError(text)
    error.unclear, error.outdated = unclear, outdated
    return error


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ([], 1),
        ([failure(unclear=True)] * REPAIRS, REPAIRS + 1),
        ([failure(outdated=True, text="a"), failure(outdated=True, text="b")], 3),
    ],
)
def test_what_is_unclear_is_read_again(client: Client, failures: list[CloudflareError], tries: int) -> None:
    left = list(failures)
    done = []

    def step() -> None:
        done.append(len(left))
        if left:
            raise left.pop(0)

    settle(client, step)
    assert len(done) == tries


@pytest.mark.parametrize(
    ("failures", "tries"),
    [([failure()], 1), ([failure(outdated=True)] * 2, 2), ([failure(unclear=True)] * 99, REPAIRS + 1)],
)
def test_what_stays_a_failure_ends_the_run(client: Client, failures: list[CloudflareError], tries: int) -> None:
    left = list(failures)

    def step() -> None:
        raise left.pop(0)

    with pytest.raises(CloudflareError, match="no"):
        settle(client, step)
    assert len(failures) - len(left) == tries
