"""Users come in by name over HTTPS and go on being answered while certificates, versions and servers change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.launcher import launcher, recap, succeed
from tests.real import users
from tests.real.users import BALANCER, NAME, asking, edge, get, lab, shell

APPS = ("app-01", "app-02")


@pytest.fixture
def _both_answer() -> Iterator[None]:
    """Both servers take traffic before and after, whatever a test that failed left behind."""
    users.until(lambda: users.healthy(*APPS), "both servers take traffic")
    yield
    if not users.healthy(*APPS):
        succeed("run", "playbooks/provision.yml")
        succeed("run", "lab/application/drain.yml", "-e", json.dumps({"application_drain": False}))
        edge()


def test_a_user_is_answered_by_every_server_from_the_database(first_up: str) -> None:
    assert f"Path of https://{NAME}/up: edge " in first_up
    answers = [json.loads(get(f"https://{NAME}/")) for _ in range(8)]
    assert {answer["server"] for answer in answers} == set(APPS)
    assert all(answer["written"]["id"] == answer["read"]["row"]["id"] for answer in answers)
    assert all(answer["read"]["replica"] and not answer["written"]["replica"] for answer in answers)


def test_http_leads_to_https_which_browsers_are_told_to_remember() -> None:
    assert get(f"http://{NAME}/page?x=1", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}") == (
        f"301 https://{NAME}/page?x=1"
    )
    assert "strict-transport-security: max-age=15552000" in get(f"https://{NAME}/up", "-I").lower()


def test_whoever_comes_past_the_edge_is_refused() -> None:
    address = users.balancer()["public_net"]["ipv4"]["ip"]
    straight = ("-k", "--resolve", f"{NAME}:443:{address}", "-o", "/dev/null", "-w", "%{http_code}")
    assert get(f"https://{NAME}/", *straight) == "403"
    assert get(f"https://{NAME}/", "-H", "X-Edge-Secret: guessed", *straight) == "403"
    # What a user claims is replaced by what the edge says.
    assert get(f"https://{NAME}/", "-H", "X-Edge-Secret: guessed", "-o", "/dev/null", "-w", "%{http_code}") == "200"


def test_the_second_run_asks_little_and_changes_nothing() -> None:
    """At most as many reads as there are kinds of objects and one more, for each module, and nothing but reads."""
    hetzner = max(entry["number"] for entry in lab("/requests")["requests"])
    cloudflare = max(entry["number"] for entry in lab("/cloudflare/requests")["requests"])
    assert sum(counts.changed for counts in recap(edge()).values()) == 0
    asked = lab(f"/requests?after={hetzner}")["requests"]
    asked += lab(f"/cloudflare/requests?after={cloudflare}")["requests"]
    assert {entry["method"] for entry in asked} == {"GET"}
    # Kinds of objects. The certificate's module, which runs twice: zones, certificates there and here. The load
    # balancer's: load balancers, certificates, networks. Settings: zones and four settings. Headers and records: zones
    # and rules or records.
    assert len(asked) <= 2 * (3 + 1) + (3 + 1) + (5 + 1) + 2 * (2 + 1), [entry["path"] for entry in asked]


@pytest.mark.usefixtures("_both_answer")
def test_no_request_fails_while_versions_roll() -> None:
    with asking() as requests:
        users.deploy("2")
    assert requests.failed() == []
    assert {"1", "2"} <= requests.seen("version")
    users.deploy("1")


@pytest.mark.usefixtures("_both_answer")
def test_no_request_fails_while_the_certificate_is_rotated() -> None:
    with asking() as requests:
        users.rotate_certificate()
    assert requests.failed() == []
    ours = [item["name"] for item in json.loads(shell("hcloud certificate list -o json"))]
    assert len(ours) == 1, "the replaced certificate is gone"


@pytest.mark.usefixtures("_both_answer")
def test_no_request_fails_while_settings_change() -> None:
    with asking() as requests:
        users.change_settings()
    assert requests.failed() == []


@pytest.mark.usefixtures("_both_answer")
def test_no_request_fails_while_a_server_is_taken_out_as_planned() -> None:
    with asking() as requests:
        users.remove_as_planned("app-02")
        users.take_back("app-02")
    assert requests.failed() == []
    assert requests.seen("server") == set(APPS)


@pytest.mark.usefixtures("_both_answer")
def test_a_server_that_dies_fails_no_request_once_its_health_checks_have_taken_it_out() -> None:
    with asking() as requests:
        kill = users.kill("app-02")
        requests.goes_on()
    assert requests.failed(after=kill.out) == []
    users.revive("app-02")


@pytest.mark.usefixtures("_both_answer")
def test_a_certificate_of_somebody_else_is_noticed_by_the_edge_and_repaired_by_the_next_run() -> None:
    shell(
        f"cd $(mktemp -d) && openssl req -x509 -newkey rsa:2048 -noenc -days 30 -subj /CN={NAME}"
        f" -addext subjectAltName=DNS:{NAME} -keyout key -out cert 2>/dev/null"
        " && hcloud certificate create --name foreign --cert-file cert --key-file key"
        " && id=$(hcloud certificate describe foreign -o format={{.ID}})"
        f" && hcloud load-balancer update-service {BALANCER} --listen-port 443 --http-certificates $id"
    )
    try:
        # Connections that the edge has kept, to each of which it may come back, are used up first.
        users.until(lambda: [users.code("/up") for _ in range(5)] == ["526"] * 5, "error 526")
        told = launcher("run", "playbooks/verify.yml", "--limit", "bastion-server,localhost")
        assert told.code != 0
        assert re.search(r"https://bulwark.example/up:\s+526", told.text), told.text[-3000:]
    finally:
        edge()
        shell("hcloud certificate delete foreign")
    assert users.code("/up") == "200"
