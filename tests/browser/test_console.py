"""The console in a browser: what a person sees and does, with the mouse and without, on wide and on narrow screens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hcloud.load_balancers import LoadBalancerHealthCheck, LoadBalancerService, LoadBalancerServiceHttp

from lab.drivers.base import Health
from tests.browser.chromium import Page, browser, program
from tests.lab import builders
from tests.lab.console_api import ConsoleApi, ConsoleHost, console_api

pytestmark = pytest.mark.skipif(program() is None, reason="no Chromium: apt-get install chromium")  # because optional

_MARKUP = "<b>bold</b>"


@pytest.fixture(scope="module")
def console_host() -> Iterator[ConsoleHost]:
    host = ConsoleHost()
    yield host
    host.close()


@pytest.fixture
def console(console_host: ConsoleHost, tmp_path: Path) -> Iterator[ConsoleApi]:
    """As production is, on a small scale."""
    with console_api(console_host, tmp_path / "cloudflare") as console:
        api = console.api
        network = builders.network(api, "production-network")
        for name, role in (("bastion-server", "bastion"), ("app-01", "app"), ("app-02", "app"), ("db-primary", "db")):
            options = {} if role == "bastion" else {"public_net": builders.PRIVATE_ONLY}
            builders.server(api, name, networks=[network], labels={"env": "lab", "role": role}, **options)
        api.client.networks.add_route(network, builders.default_route()).wait_until_finished()
        builders.volume(api, "db-primary-data", server=api.client.servers.get_by_name("db-primary"))
        service = LoadBalancerService(
            protocol="https",
            listen_port=443,
            destination_port=80,
            proxyprotocol=False,
            http=LoadBalancerServiceHttp(certificates=[builders.certificate(api, "edge")], redirect_http=True),
            health_check=LoadBalancerHealthCheck(protocol="tcp", port=80, interval=15, timeout=5, retries=3),
        )
        builders.load_balancer(api, "rails-lb", network=network, services=[service], targets=[builders.of_labels()])
        api.driver.health = {("10.0.0.3", 443): Health.HEALTHY, ("10.0.0.4", 443): Health.UNHEALTHY}
        rules = [builders.ssh_rule(description="admin-ssh")]
        api.post("/firewalls", name="bastion-firewall", rules=rules, apply_to=[])
        console.fill_zone()
        yield console


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(chromium: Page, console: ConsoleApi) -> Iterator[Page]:
    """The console on a wide screen, logged in."""
    chromium.command("Network.clearBrowserCookies")
    chromium.resize(1280)
    chromium.open(console.link())
    chromium.wait("document.querySelector('#servers td') !== null")
    chromium.complaints.clear()
    yield chromium
    assert chromium.complaints == []


def _key(name: str) -> str:
    return f'[data-key="{name}"]'


def _status(name: str) -> str:
    """An expression: what is shown of a server."""
    return (
        "[...document.querySelectorAll('#servers tbody tr')]"
        f".find((row) => row.cells[0].textContent === '{name}').cells[1].textContent"
    )


def _server_id(console: ConsoleApi, name: str) -> int:
    return next(server.id for server in console.cloud.store.servers.values() if server.name == name)


def test_it_shows_what_there_is(page: Page) -> None:
    text = page.text()
    for wanted in (
        "4 of 4",
        "1 of 2",
        "db-primary-data",
        "bastion-firewall",
        "admin-ssh",
        "bulwark.example",
        "proxied",
    ):
        assert wanted in text
    assert page.run(_status("app-01")) == "✓ running"
    targets = page.run("document.querySelector('[aria-label=\"Targets of rails-lb\"]').innerText")
    assert "✓ healthy" in targets
    assert "✗ unhealthy" in targets
    picture = page.run("document.querySelector('#networks svg').getAttribute('aria-label')")
    assert picture == (
        "production-network: 2 members with a public address, 3 without; route 0.0.0.0/0 by bastion-server"
    )


def test_the_link_is_gone_from_the_address_and_no_script_reads_the_cookie(page: Page, console: ConsoleApi) -> None:
    assert page.run("location.href") == f"{console.root}/"
    assert page.run("document.cookie") == ""


def test_without_a_session_it_says_what_to_do(chromium: Page, console: ConsoleApi) -> None:
    chromium.command("Network.clearBrowserCookies")
    chromium.open(f"{console.root}/_lab/console/login?once=old")
    chromium.wait("document.body.innerText.includes('./bulwark open console')")
    assert "That link has been used or is too old." in chromium.text()
    assert chromium.run("document.getElementById('main').hidden")


def test_names_are_text_and_never_markup(page: Page, console: ConsoleApi) -> None:
    console.cloud.store.servers[_server_id(console, "app-01")].name = _MARKUP
    page.wait(f"document.body.innerText.includes('{_MARKUP}')")
    assert page.run("document.querySelector('main b')") is None


def test_a_server_is_switched_off_after_asking_and_on_again(page: Page, console: ConsoleApi) -> None:
    number = _server_id(console, "app-01")
    page.click(_key(f"power-{number}"))
    page.wait("document.getElementById('confirm').open")
    assert "app-01" in page.run("document.getElementById('confirm-title').textContent")
    page.press("Escape")
    page.wait("!document.getElementById('confirm').open")
    page.click(_key(f"power-{number}"))
    page.wait("document.getElementById('confirm').open")
    page.press("Enter")  # what has the focus leaves it on
    page.wait("!document.getElementById('confirm').open")
    assert console.cloud.store.servers[number].status == "running"
    page.click(_key(f"power-{number}"))
    page.click("#confirm .danger")
    page.wait(f"{_status('app-01')} === '○ off'")
    assert console.cloud.store.servers[number].status == "off"
    page.wait("document.getElementById('actions').innerText.includes('stop server')")
    page.click(_key(f"power-{number}"))
    page.wait(f"{_status('app-01')} === '✓ running'")


def test_faults_are_switched_without_a_mouse(page: Page, console: ConsoleApi) -> None:
    switch = f"document.querySelector('{_key('fault-hetzner-slow')}')"
    page.run(f"{switch}.focus()")
    page.press(" ")
    page.wait(f"{switch}.getAttribute('aria-checked') === 'true'")
    assert page.run(f"document.activeElement === {switch}")  # also after it was drawn anew
    assert [fault.delay for fault in console.cloud.faults.rules.values()] == [2.0]
    page.wait("document.getElementById('going-wrong').innerText.includes('Hetzner answers slowly')")
    page.click(_key("clear"))
    page.wait("document.getElementById('going-wrong').hidden")
    assert not console.cloud.faults.rules


def test_actions_show_how_far_they_are(page: Page, console: ConsoleApi) -> None:
    newest = max(console.cloud.store.actions.values(), key=lambda action: action.id)
    newest.status, newest.progress = "running", 40
    page.wait("document.querySelector('#actions progress')?.value === 40")
    newest.status, newest.progress = "success", 100
    page.wait("document.querySelector('#actions progress') === null")


def test_a_refusal_is_told(page: Page, console: ConsoleApi) -> None:
    number = _server_id(console, "app-01")
    server = console.cloud.store.servers.pop(number)
    page.run(f"change('POST', '/servers/{number}/poweron')")
    page.wait("document.getElementById('message').innerText.includes('That was refused')")
    console.cloud.store.servers[number] = server
    page.complaints.clear()  # the browser notes answers that are errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 800, 400, 320])
def test_it_fits_the_screen_and_everything_has_a_name(page: Page, width: int, scheme: str) -> None:
    page.resize(width, scheme=scheme)
    page.wait(f"document.documentElement.clientWidth === {width}")
    too_wide = page.run(
        "[...document.querySelectorAll('main *')].filter((item) => !item.closest('svg, thead'))"
        ".filter((item) => item.getBoundingClientRect().right > innerWidth + 1)"
        ".map((item) => item.outerHTML.slice(0, 90))"
    )
    assert too_wide == []
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.unnamed() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(page: Page, console: ConsoleApi, scheme: str) -> None:
    """Contrast of at least 4.5, as WCAG 2 wants of text: https://www.w3.org/TR/WCAG22/#contrast-minimum."""
    console.ask("PUT", "/faults/hetzner-slow")
    page.resize(1280, scheme=scheme)
    assert page.run(_CONTRAST) == []


_CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.slice(0, 3).map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (item) => {
    for (let at = item; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const item of document.querySelectorAll('body *')) {
    const own = [...item.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || item.closest('svg, noscript, script, dialog, [hidden], :disabled') || !item.offsetParent) continue;
    const [a, b] = [light(parse(getComputedStyle(item).color)), light(behind(item))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${item.className} ${item.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return found;
})()
"""
