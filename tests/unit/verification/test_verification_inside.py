"""What a server finds out about itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import inside
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.inside import (
    Expectations,
    check_internet_address,
    check_names,
    check_sshd,
    examine,
    judge_default_route,
    judge_sshd,
)

ROUTES_HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#: As a private server's kernel writes them: the default, the gateway itself on the link, and the network by way of it.
VIA_GATEWAY = "enp7s0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
NETWORK = (
    "enp7s0\t0100000A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
    "enp7s0\t0000000A\t0100000A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)
VIA_PUBLIC = "eth0\t00000000\t01011FAC\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"


def test_default_route_by_the_gateway_holds() -> None:
    assert judge_default_route(ROUTES_HEAD + NETWORK + VIA_GATEWAY, "10.0.0.1") == (
        True,
        "default via 10.0.0.1 dev enp7s0",
    )


@pytest.mark.parametrize(
    ("table", "detail"),
    [
        (NETWORK, "no default route, should be via 10.0.0.1"),
        (VIA_PUBLIC, "default via 172.31.1.1 dev eth0, should be via 10.0.0.1"),
        (
            "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n",
            "default via no gateway dev eth0, should be via 10.0.0.1",
        ),
        (VIA_GATEWAY.replace("0003", "0002"), "no default route, should be via 10.0.0.1"),  # the route is down
    ],
)
def test_default_route_elsewhere_does_not_hold(table: str, detail: str) -> None:
    assert judge_default_route(ROUTES_HEAD + table, "10.0.0.1") == (False, detail)


def test_of_two_default_routes_the_preferred_one_counts() -> None:
    assert judge_default_route(ROUTES_HEAD + VIA_PUBLIC + VIA_GATEWAY, "10.0.0.1")[0]
    preferred = VIA_PUBLIC.replace("\t100\t", "\t0\t")
    assert not judge_default_route(
        ROUTES_HEAD + VIA_GATEWAY.replace("\t0\t0\t0\t", "\t0\t0\t9\t") + preferred, "10.0.0.1"
    )[0]


SSHD_OUTPUT = "port 22\npermitrootlogin no\npasswordauthentication no\nsubsystem sftp /usr/lib/openssh/sftp-server\n"


def test_sshd_settings_hold() -> None:
    ok, detail = judge_sshd(SSHD_OUTPUT, {"permitrootlogin": "no", "PasswordAuthentication": "no"})
    assert ok
    assert detail == "permitrootlogin no, PasswordAuthentication no"


@pytest.mark.parametrize(
    ("output", "detail"),
    [
        (
            SSHD_OUTPUT.replace("permitrootlogin no", "permitrootlogin prohibit-password"),
            "permitrootlogin is prohibit-password, should be no",
        ),
        ("port 22\n", "permitrootlogin is not known to sshd, should be no"),
        ("", "permitrootlogin is not known to sshd, should be no"),
    ],
)
def test_sshd_settings_do_not_hold(output: str, detail: str) -> None:
    assert judge_sshd(output, {"permitrootlogin": "no"}) == (False, detail)


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ('echo "permitrootlogin no"', "permitrootlogin no"),
        ('echo "line 3: Bad option" >&2; exit 255', "sshd -T: line 3: Bad option"),
    ],
)
def test_sshd_is_asked(script: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "sshd"
    program.write_text(f'#!/bin/sh\n[ "$1" = -T ] || exit 9\n{script}\n')
    program.chmod(0o700)
    monkeypatch.setattr(inside, "SSHD", str(program))
    assert check_sshd({"permitrootlogin": "no"}, 10)[1] == detail


def test_missing_sshd_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "SSHD", str(tmp_path / "sshd"))
    assert not check_sshd({"permitrootlogin": "no"}, 10)[0]


def test_names() -> None:
    assert check_names(["localhost"])[0]
    ok, detail = check_names(["localhost", "no-such-name.invalid"])
    assert not ok
    assert detail.startswith("no-such-name.invalid: ")


class AddressService:
    """Answers with what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.agents: list[str] = []
        self.url = ""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[AddressService]:
    monkeypatch.setattr(inside, "PAUSE", 0)
    state = AddressService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.agents.append(self.headers["User-Agent"])
            status, text = state.answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://localhost:{server.server_port}/ip"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_address_on_the_internet(service: AddressService) -> None:
    service.answers = [(200, "198.51.100.100\n")]
    assert check_internet_address(service.url, "198.51.100.100", 5) == (True, "seen as 198.51.100.100")
    assert service.agents[0].startswith("curl/")


def test_other_address_on_the_internet_is_not_asked_for_again(service: AddressService) -> None:
    service.answers = [(200, "198.51.100.7"), (200, "198.51.100.100")]
    ok, detail = check_internet_address(service.url, "198.51.100.100", 5)
    assert not ok
    assert detail == "seen as 198.51.100.7, should be 198.51.100.100"


def test_service_that_is_away_for_a_moment_is_asked_again(service: AddressService) -> None:
    service.answers = [(503, ""), (200, "198.51.100.100")]
    assert check_internet_address(service.url, "198.51.100.100", 5)[0]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ((503, "198.51.100.100"), "status 503"),
        ((200, "<html>198.51.100.100</html>"), "html"),
        ((200, "2001:db8::1"), "2001:db8::1"),
        ((200, "x" * 10_000), "xxx"),
    ],
)
def test_answer_that_is_no_address_does_not_hold(service: AddressService, answer: tuple[int, str], detail: str) -> None:
    service.answers = [answer] * inside.ATTEMPTS
    ok, said = check_internet_address(service.url, "198.51.100.100", 5)
    assert not ok
    assert detail in said
    assert service.answers == []


def test_service_out_of_reach_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "PAUSE", 0)
    assert not check_internet_address("http://127.0.0.1:9/ip", "198.51.100.100", 5)[0]
    assert not check_internet_address("http://no-such-name.invalid/ip", "198.51.100.100", 5)[0]


def test_only_what_is_expected_is_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Expectations(None, "", [], None, False, {}, 5)
    assert examine("app-01", nothing) == []
    forwarding = tmp_path / "ip_forward"
    forwarding.write_text("0\n")
    monkeypatch.setattr(inside, "FORWARDING", forwarding)
    assert examine("bastion-server", Expectations(None, "", [], None, True, {}, 5)) == [
        {"check": "forwarding", "host": "bastion-server", "ok": False, "detail": "net.ipv4.ip_forward is 0"}
    ]
