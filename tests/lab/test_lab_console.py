"""The console: who may look and who may change something, what it shows, and that no secret is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hcloud.load_balancers import LoadBalancerHealthCheck, LoadBalancerService, LoadBalancerServiceHttp

from lab import cli, lifecycle, settings
from lab.console.overview import MOST_ACTIONS
from lab.console.presets import CLOUDFLARE, HETZNER, PRESETS
from lab.console.sessions import LINK_SECONDS, SESSION_SECONDS, Sessions
from lab.drivers.base import Health
from lab.faults import Fault
from tests.lab import builders
from tests.lab.cloud_api import TOKEN
from tests.lab.console_api import CHANGE, DATA, EDGE_SECRET, ConsoleApi, ConsoleHost, console_api
from tests.lab.pairs import issue


@pytest.fixture(scope="module")
def console_host() -> Iterator[ConsoleHost]:
    host = ConsoleHost()
    yield host
    host.close()


@pytest.fixture
def stranger(console_host: ConsoleHost, tmp_path: Path) -> Iterator[ConsoleApi]:
    """A console that nobody has logged in to."""
    with console_api(console_host, tmp_path / "cloudflare") as api:
        yield api


@pytest.fixture
def console(stranger: ConsoleApi) -> ConsoleApi:
    stranger.log_in()
    return stranger


# Who may look


def test_the_page_holds_no_data_and_loads_nothing_from_elsewhere(stranger: ConsoleApi) -> None:
    for path, kind in (("/", "text/html"), ("/console.css", "text/css"), ("/console.js", "text/javascript")):
        answer = requests.get(stranger.root + path, timeout=60)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith(kind)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert TOKEN not in answer.text
        assert "https://" not in answer.text


def test_data_needs_a_session_and_the_token_is_none(stranger: ConsoleApi) -> None:
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"bulwark_console={TOKEN}"}):
        answer = requests.get(stranger.root + DATA, headers=headers, timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        assert "./bulwark open console" in answer.json()["error"]["message"]


def test_a_link_is_only_for_who_has_the_token(stranger: ConsoleApi) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = requests.post(f"{stranger.root}{DATA}/invitations", headers=headers, timeout=60)
        assert answer.status_code == 401


def test_a_link_works_once(stranger: ConsoleApi) -> None:
    link = stranger.link()
    first = requests.get(link, allow_redirects=False, timeout=60)
    assert (first.status_code, first.headers["Location"]) == (303, "/")
    cookie = first.headers["Set-Cookie"]
    assert {"HttpOnly", f"Path={DATA}", "SameSite=strict"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert link.partition("once=")[2] not in cookie
    second = requests.get(link, allow_redirects=False, timeout=60)
    assert "Set-Cookie" not in second.headers
    assert second.headers["Location"] == "/#used"


def test_the_command_prints_a_link(
    stranger: ConsoleApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setattr(lifecycle, "_TOKEN", tmp_path / "token")
    monkeypatch.setattr(settings, "MANAGEMENT_URL", stranger.root)
    cli.console()
    link = capsys.readouterr().out.strip()
    assert stranger.browser.get(link, timeout=60).url == f"{stranger.root}/"
    assert stranger.seen()["servers"] == []


def test_links_and_sessions_come_to_an_end() -> None:
    now = 0.0
    sessions = Sessions(lambda: now)
    late, timely = sessions.invite(), sessions.invite()
    session = sessions.open(timely)
    assert session is not None
    now = LINK_SECONDS + 1
    assert sessions.open(late) is None
    assert sessions.knows(session)
    assert not sessions.knows(late)
    now += SESSION_SECONDS
    assert not sessions.knows(session)


def test_a_session_opens_nothing_else_of_the_management_interface(console: ConsoleApi) -> None:
    session = console.browser.cookies["bulwark_console"]
    headers = {"Cookie": f"bulwark_console={session}", "Authorization": f"Bearer {session}", **CHANGE}
    assert requests.get(f"{console.root}/_lab/state", headers=headers, timeout=60).status_code == 401
    assert requests.post(f"{console.root}/_lab/reset", headers=headers, timeout=60).status_code == 401


@pytest.mark.parametrize("path", ["/", DATA, "/_lab/state"])
def test_a_foreign_name_that_leads_here_is_not_answered(console: ConsoleApi, path: str) -> None:
    headers = {"Host": "attacker.example:8788", "Authorization": f"Bearer {TOKEN}"}
    assert console.browser.get(console.root + path, headers=headers, timeout=60).status_code == 400


def test_changes_need_the_header_and_come_from_the_page_itself(console: ConsoleApi) -> None:
    path = "/faults/hetzner-slow"
    bare = console.browser.put(f"{console.root}{DATA}{path}", timeout=60)
    elsewhere = console.ask("PUT", path, headers={"Origin": "http://127.0.0.1:9090"})
    sandboxed = console.ask("PUT", path, headers={"Origin": "null"})
    assert [answer.status_code for answer in (bare, elsewhere, sandboxed)] == [403, 403, 403]
    assert not console.cloud.faults.rules
    assert console.ask("PUT", path, headers={"Origin": console.root}).status_code == 204
    assert len(console.cloud.faults.rules) == 1


def test_changes_need_a_session(stranger: ConsoleApi) -> None:
    server = builders.server(stranger.api)
    for method, path in (
        ("PUT", "/faults/hetzner-slow"),
        ("DELETE", "/faults/hetzner-slow"),
        ("DELETE", "/faults"),
        ("POST", f"/servers/{server.id}/poweroff"),
    ):
        assert stranger.ask(method, path).status_code == 401
    stranger.api.settle()
    assert not stranger.cloud.faults.rules
    assert stranger.cloud.store.servers[server.id].status == "running"


def test_no_other_site_is_let_in(console: ConsoleApi) -> None:
    """A browser asks first before it sends the header from another site's page; nothing says yes."""
    asked = {"Origin": "http://127.0.0.1:9090", "Access-Control-Request-Method": "PUT"}
    answers = [
        console.ask("OPTIONS", "/faults/hetzner-slow", headers=asked),
        console.ask("GET", headers={"Origin": "http://127.0.0.1:9090"}),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


# What it shows


def _everything(console: ConsoleApi) -> str:
    """One of each; returns the private key."""
    pair = issue()
    api = console.api
    network = builders.network(api, "production-network")
    server = builders.server(
        api, "app-01", networks=[network], labels={"role": "app"}, user_data="#cloud-config user data"
    )
    builders.volume(api, "app-data", server=server)
    certificate = builders.certificate(api, "web", pair)
    api.client.networks.add_route(network, builders.default_route("10.0.0.2")).wait_until_finished()
    service = LoadBalancerService(
        protocol="https",
        listen_port=443,
        destination_port=80,
        proxyprotocol=False,
        http=LoadBalancerServiceHttp(certificates=[certificate], redirect_http=True),
        health_check=LoadBalancerHealthCheck(protocol="tcp", port=80, interval=15, timeout=5, retries=3),
    )
    builders.load_balancer(api, "rails-lb", network=network, services=[service], targets=[builders.of_labels()])
    api.post("/firewalls", name="bastion-firewall", rules=[builders.ssh_rule(description="admin-ssh")])
    console.fill_zone()
    return str(pair.private_key)


def test_it_shows_everything_there_is(console: ConsoleApi) -> None:
    _everything(console)
    seen = console.seen()
    [server] = seen["servers"]
    assert (server["name"], server["status"], server["type"], server["labels"]) == (
        *("app-01", "running", "cax11"),
        {"role": "app"},
    )
    assert server["private_ips"] == ["10.0.0.2"]
    assert server["volumes"] == ["app-data"]
    [network] = seen["networks"]
    assert network["routes"] == [{"destination": "0.0.0.0/0", "gateway": "10.0.0.2"}]
    assert [(member["name"], member["kind"]) for member in network["members"]] == [
        ("app-01", "server"),
        ("rails-lb", "load balancer"),
    ]
    [balancer] = seen["load_balancers"]
    assert balancer["services"][0]["certificates"] == ["web"]
    [target] = balancer["targets"]
    assert (target["name"], target["by"]) == ("app-01", "role=app")
    assert target["health"] == [{"listen_port": 443, "status": Health.UNKNOWN.value}]
    assert [volume["server"] for volume in seen["volumes"]] == ["app-01"]
    assert seen["firewalls"][0]["rules"][0]["description"] == "admin-ssh"
    assert seen["certificates"][0]["used_by"] == ["rails-lb"]
    [zone] = seen["zones"]
    assert zone["records"][0]["proxied"] is True
    assert zone["settings"]["SSL"] == "flexible"
    assert zone["added_headers"] == ["X-Edge-Secret"]
    assert {action["command"] for action in seen["actions"]} >= {"create_server", "create_load_balancer"}
    assert all(action["progress"] == 100 for action in seen["actions"])


def test_no_secret_is_in_it(console: ConsoleApi) -> None:
    private_key = _everything(console)
    text = console.ask("GET").text
    tokens = console.cloudflare.store.tokens.values()
    secrets = [TOKEN, EDGE_SECRET, "user data", "PRIVATE KEY", private_key.splitlines()[1]]
    secrets += [token.digest for token in tokens]
    secrets += [console.browser.cookies["bulwark_console"]]
    assert len(secrets) == 7
    assert [secret for secret in secrets if secret in text] == []


def test_health_is_that_of_the_moment(console: ConsoleApi) -> None:
    _everything(console)
    console.api.driver.health = {("10.0.0.2", 443): Health.HEALTHY}
    [target] = console.seen()["load_balancers"][0]["targets"]
    assert target["health"] == [{"listen_port": 443, "status": "healthy"}]


def test_it_is_sent_again_only_when_something_changed(console: ConsoleApi) -> None:
    builders.server(console.api)
    first = console.ask("GET")
    tag = {"If-None-Match": first.headers["ETag"]}
    same = console.ask("GET", headers=tag)
    assert (same.status_code, same.content) == (304, b"")
    console.ask("PUT", "/faults/hetzner-slow")
    other = console.ask("GET", headers=tag)
    assert other.status_code == 200
    assert other.headers["ETag"] != first.headers["ETag"]


def test_actions_that_run_come_first_and_old_ones_are_left_out(console: ConsoleApi) -> None:
    for number in range(MOST_ACTIONS + 5):
        builders.network(console.api, f"net-{number}")
        console.api.client.networks.change_protection(console.api.client.networks.get_all()[0], delete=bool(number % 2))
    console.api.settle()
    first = next(iter(console.cloud.store.actions.values()))
    first.status, first.progress, first.finished = "running", 40, None
    actions = console.seen()["actions"]
    assert len(actions) == MOST_ACTIONS + 1
    assert (actions[0]["id"], actions[0]["progress"]) == (first.id, 40)
    assert [action["id"] for action in actions[1:]] == sorted((action["id"] for action in actions[1:]), reverse=True)
    first.status = "error"


def test_requests_are_counted(console: ConsoleApi) -> None:
    console.api.get("/servers")
    console.api.request("GET", "/servers", token="wrong")
    console.cloud.faults.add(Fault("error", status=503, times=1))
    assert console.api.session.get(f"{console.root}/v1/x", timeout=60).status_code == 503
    hetzner, cloudflare = console.seen()["requests"]
    assert (hetzner["service"], cloudflare["service"], cloudflare["kept"]) == (HETZNER, CLOUDFLARE, 0)
    assert [hetzner[key] for key in ("kept", "refused", "failed", "lost", "struck")] == [3, 1, 1, 0, 1]


# What a person may do


def test_servers_are_switched_off_and_on(console: ConsoleApi) -> None:
    server = builders.server(console.api)
    for switch, status in (("poweroff", "off"), ("poweron", "running")):
        assert console.ask("POST", f"/servers/{server.id}/{switch}").status_code == 201
        console.api.settle()
        assert console.seen()["servers"][0]["status"] == status
    assert [action["command"] for action in console.seen()["actions"][:2]] == ["start_server", "stop_server"]


def test_nothing_else_is_done_to_servers(console: ConsoleApi) -> None:
    server = builders.server(console.api)
    assert console.ask("POST", f"/servers/{server.id}/rebuild").status_code == 404
    assert console.ask("POST", "/servers/7/poweroff").status_code == 404
    assert console.ask("DELETE", f"/servers/{server.id}").status_code == 404


def test_a_server_that_is_busy_is_left_alone(console: ConsoleApi) -> None:
    server = builders.server(console.api)
    newest = max(console.cloud.store.actions.values(), key=lambda action: action.id)
    newest.status = "running"
    answer = console.ask("POST", f"/servers/{server.id}/poweroff")
    assert (answer.status_code, answer.json()["error"]["code"]) == (423, "locked")
    newest.status = "success"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.id)
def test_a_fault_is_switched_on_and_off_however_often(console: ConsoleApi, preset) -> None:
    def state() -> tuple[bool, int]:
        seen = console.seen()
        [on] = [item["on"] for item in seen["presets"] if item["id"] == preset.id]
        return on, len(seen["faults"])

    assert preset.fault is None or preset.fault.problem() is None
    assert state() == (False, 0)
    for method, after in (("PUT", (True, 1)), ("PUT", (True, 1)), ("DELETE", (False, 0)), ("DELETE", (False, 0))):
        assert console.ask(method, f"/faults/{preset.id}").status_code == 204
        assert state() == after


def test_faults_are_felt(console: ConsoleApi) -> None:
    console.ask("PUT", "/faults/hetzner-away")
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{console.root}/v1/servers", timeout=60)
    [fault] = console.seen()["faults"]
    assert (fault["words"], fault["struck"]) == ("Hetzner is away", 1)
    console.ask("PUT", "/faults/object-storage-refusing")
    assert console.availability.mode == "refusing"


def test_clearing_ends_every_fault_whoever_ordered_it(console: ConsoleApi) -> None:
    console.cloud.faults.add(Fault("error", method="POST", path="/servers", status=500, times=2))
    for preset in ("hetzner-slow", "cloudflare-away", "object-storage-away"):
        console.ask("PUT", f"/faults/{preset}")
    assert console.seen()["faults"][0]["words"] == "error: POST /servers, at most 2"
    assert len(console.seen()["faults"]) == 4
    assert console.ask("DELETE", "/faults").status_code == 204
    assert console.seen()["faults"] == []
    assert console.availability.mode == "ok"


def test_a_fault_that_is_none_is_refused(console: ConsoleApi) -> None:
    assert console.ask("PUT", "/faults/everything").status_code == 404
