"""The console over the running lab: what it shows is what there is, and what is switched on it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from lab import settings
from tests.browser.chromium import Page, browser, program
from tests.launcher import on, status, succeed
from tests.real import users
from tests.real.test_1_first_run import BASTION, status_of
from tests.real.test_2_reboots import act, api, eventually, finish, server_id

__all__ = ["api"]
pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium: apt-get install chromium")  # because optional

HOST = "jobs-01"  # no user waits for it


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser that has opened the link, as a person would, on a wide screen."""
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        page.resize(1280)
        page.open(succeed("open", "console").split()[0])
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    chromium.wait("document.querySelector('#servers td') !== null")
    chromium.complaints.clear()
    yield chromium
    assert chromium.complaints == []


@pytest.fixture
def _nothing_goes_wrong() -> Iterator[None]:
    yield
    users.lab("/faults", "DELETE")
    users.lab("/object_storage", "PUT", {"mode": "ok"})


@pytest.fixture(scope="module")
def _powered() -> Iterator[None]:
    """The server works afterwards, whatever became of it."""
    yield
    if status_of(HOST)["status"] != "running":
        succeed("shell", feed=f"hcloud server poweron {HOST}")
    eventually(HOST, status_of(BASTION)["public_ip"])


def cells(page: Page, table: str, column: int) -> dict[str, str]:
    """One column of a table, by the names in its first."""
    found: dict[str, str] = page.run(
        f"Object.fromEntries([...document.querySelectorAll('{table} tbody tr')]"
        f".map((row) => [row.cells[0].textContent, row.cells[{column}].textContent]))"
    )
    return found


def shown(name: str) -> str:
    """An expression: what is shown of a server."""
    return (
        "[...document.querySelectorAll('#servers tbody tr')]"
        f".find((row) => row.cells[0].textContent === '{name}').cells[1].textContent"
    )


def test_it_shows_the_lab_as_it_is(page: Page) -> None:
    servers = status()["servers"]
    assert {name: text.split()[-1] for name, text in cells(page, "#servers table", 1).items()} == {
        server["name"]: server["status"] for server in servers
    }
    ours = (
        "[...document.querySelectorAll('#networks svg')].find((one) => one.textContent.includes('production-network'))"
    )
    picture = page.run(f"{ours}.textContent")
    assert [one["name"] for one in servers if one["labels"].get("env") == "lab" and one["name"] not in picture] == []
    assert f"route 0.0.0.0/0 by {BASTION}" in page.run(f"{ours}.getAttribute('aria-label')")
    told = cells(page, f'[aria-label="Targets of {users.BALANCER}"]', 2)
    assert {name: text.split()[-1] for name, text in told.items()} == users.health()
    assert users.NAME in page.run("document.body.innerText")
    assert (settings.STATE / "token").read_text().strip() not in page.run("document.documentElement.outerHTML")


@pytest.mark.usefixtures("_powered")
def test_actions_are_seen_while_they_run(page: Page, api: httpx.Client) -> None:
    booted = on(HOST, "cat", "/proc/1/stat").split()[21]
    number = server_id(api, HOST)
    # For the reboot to last longer than the page takes to look again.
    stubborn = "trap '' TERM; while :; do sleep 1; done"
    on(HOST, "systemd-run", "--quiet", "--unit=stubborn", "--property=TimeoutStopSec=10", "sh", "-c", stubborn)
    action = act(api, number, "reboot")
    first = "document.querySelector('#actions li').innerText"
    page.wait(f"document.querySelector('#actions li progress') !== null && {first}.includes('{HOST}')")
    assert "reboot server" in page.run(first)
    finish(api, action)  # a shutdown may take longer than a page has to answer
    page.wait(f"document.querySelector('#actions li progress') === null && {first}.includes('success')")
    assert on(HOST, "cat", "/proc/1/stat").split()[21] != booted


@pytest.mark.usefixtures("_powered")
def test_a_server_loses_its_power_and_gets_it_again(page: Page, api: httpx.Client) -> None:
    number = server_id(api, HOST)
    switch = f'[data-key="power-{number}"]'
    page.wait(f"!document.querySelector('{switch}').disabled")
    page.click(switch)
    page.wait("document.getElementById('confirm').open")
    page.click("#confirm .danger")
    page.wait(f"{shown(HOST)} === '○ off'")
    assert api.get(f"/servers/{number}").json()["server"]["status"] == "off"
    page.click(switch)
    page.wait(f"{shown(HOST)} === '✓ running'")
    assert api.get(f"/servers/{number}").json()["server"]["status"] == "running"


@pytest.mark.usefixtures("_nothing_goes_wrong")
def test_faults_strike_while_they_are_on(page: Page, api: httpx.Client) -> None:
    page.click('[data-key="fault-hetzner-away"]')
    page.wait("document.getElementById('going-wrong').innerText.includes('Hetzner is away')")
    with pytest.raises(httpx.TransportError):
        api.get("/servers")
    page.wait("/struck [1-9]/.test(document.getElementById('going-wrong').innerText)")
    assert users.code("/up") == "200"
    page.click('[data-key="fault-object-storage-away"]')
    page.wait("document.getElementById('going-wrong').innerText.includes('object storage')")
    storage = ("https://objects.bulwark.example/", "-o", "/dev/null", "-w", "%{http_code}")
    assert users.get(*storage) == "503"

    page.click('[data-key="clear"]')
    page.wait("document.getElementById('going-wrong').hidden")
    with suppress(httpx.TransportError):  # the connection that was cut may be what it tries first
        api.get("/servers")
    assert api.get("/servers").status_code == httpx.codes.OK
    assert users.get(*storage) != "503"
