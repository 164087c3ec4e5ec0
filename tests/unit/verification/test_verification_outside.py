"""What can be seen of a server from outside: the scan against real sockets, logins against what OpenSSH says."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import SshRoute, checked_route
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import outside, scan
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.outside import (
    Attempt,
    check_logins,
    check_ports,
    judge_logins,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import (
    ScanInvalid,
    open_ports,
    parse_ports,
)

ROUTE: SshRoute = {
    "name": "app-01",
    "environment": "production",
    "address": "10.0.0.3",
    "user": "deployer",
    "host_key_alias": "hcloud-2",
    "known_hosts_file": "/known",
    "private_key_file": "/keys/id",
    "control_directory": "/cp",
    "jump": None,
}

# Recorded from OpenSSH 9.2.
ACCEPTED = Attempt(
    0,
    "OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.19 27 Jan 2026\n"
    "debug1: Authentications that can continue: publickey\n"
    "debug1: Next authentication method: publickey\n"
    'Authenticated to 10.0.0.3 (via proxy) using "publickey".\n',
)
DENIED = Attempt(
    255,
    "debug1: Authentications that can continue: publickey\n"
    "debug1: No more authentication methods to try.\n"
    "root@10.0.0.3: Permission denied (publickey).\n",
)
UNREACHABLE = Attempt(255, "debug1: Connecting\nssh: connect to host 10.0.0.3 port 22: No route to host\n")


def outcome(login: Attempt, root: Attempt) -> dict[str, bool]:
    return {check["check"]: check["ok"] for check in judge_logins("app-01", "deployer", login, root)}


def test_user_in_root_out_and_no_password() -> None:
    assert outcome(ACCEPTED, DENIED) == {"SSH login": True, "SSH as root": True, "SSH by password": True}


@pytest.mark.parametrize("status", [0, 1, 142])  # 142: the vendor's images greet root with a forced command
def test_root_gets_in(status: int) -> None:
    assert outcome(ACCEPTED, Attempt(status, ACCEPTED.messages))["SSH as root"] is False


def test_root_that_is_not_answered_is_not_refused() -> None:
    assert outcome(ACCEPTED, UNREACHABLE)["SSH as root"] is False
    assert outcome(ACCEPTED, Attempt(None, ""))["SSH as root"] is False


def test_without_a_login_that_works_nothing_is_proven() -> None:
    assert set(outcome(DENIED, DENIED).values()) == {False}
    details = [check["detail"] for check in judge_logins("app-01", "deployer", UNREACHABLE, DENIED)]
    assert details[0] == "ssh: connect to host 10.0.0.3 port 22: No route to host"


@pytest.mark.parametrize("methods", ["publickey,password", "publickey,keyboard-interactive", "password"])
def test_password_offered_to_the_user(methods: str) -> None:
    login = Attempt(0, ACCEPTED.messages.replace("continue: publickey", f"continue: {methods}"))
    assert outcome(login, DENIED)["SSH by password"] is False


def test_password_offered_to_root_only() -> None:
    root = Attempt(255, "root@10.0.0.3: Permission denied (publickey,password).\n")
    assert outcome(ACCEPTED, root)["SSH by password"] is False


def test_offer_that_cannot_be_read_proves_nothing() -> None:
    assert outcome(Attempt(0, ""), Attempt(255, "Permission denied, please try again."))["SSH by password"] is False


def test_warning_of_a_changed_host_key_is_shortened() -> None:
    assert len(Attempt(255, "@" * 5000).reason) == REASON_LIMIT


def test_server_without_a_way_fails_every_check() -> None:
    assert [check["ok"] for check in check_logins("new-01", None)] == [False, False, False]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program ssh that lets everybody but root in, and keeps what it was called with."""
    calls = tmp_path / "calls"
    program = tmp_path / "ssh"
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {calls}\n'
        'echo "debug1: Authentications that can continue: publickey" >&2\n'
        'case "$*" in *"-l root"*) echo "root@x: Permission denied (publickey)." >&2; exit 255;; esac\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return calls


def test_root_is_tried_with_the_key_that_lets_the_user_in(ssh: Path) -> None:
    assert [check["ok"] for check in check_logins("app-01", ROUTE)] == [True, True, True]
    user, root = ssh.read_text().splitlines()
    assert "-l deployer -- 10.0.0.3 true" in user
    assert root == user.replace("-l deployer", "-l root")
    assert "-o IdentityFile=/keys/id" in root
    assert "-o HostKeyAlias=hcloud-2" in root
    assert user.startswith(
        "-o ControlPath=none "
    )  # the first value counts: a shared connection would not ask for a key


def test_attempt_that_never_ends_is_given_up(ssh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (ssh.parent / "ssh").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(outside, "LOGIN_TIMEOUT", 0.2)
    assert check_logins("app-01", ROUTE)[0]["detail"] == "no answer within 0.2 s"


def test_route_must_be_whole() -> None:
    assert checked_route({**ROUTE, "jump": ROUTE})["jump"] == ROUTE
    with pytest.raises(ValueError, match="lacks address, user"):
        checked_route({**ROUTE, "jump": {key: ROUTE[key] for key in ROUTE if key not in ("address", "user")}})  # type: ignore[literal-required]  # because the keys are its own


@pytest.fixture
def listeners() -> Iterator[list[int]]:
    """Ports of loopback that accept connections: the first known to be open, the others to be found."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100)) for _ in range(3)]
        yield [listener.getsockname()[1] for listener in sockets]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_only_the_expected_port_is_open(listeners: list[int]) -> None:
    check = check_ports("bastion-server", "127.0.0.1", [closed_port()], listeners[:1], 5)
    assert check["ok"]
    assert check["detail"] == f"127.0.0.1: {listeners[0]} of 2 tried"


def test_surplus_port_is_found_and_named(listeners: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BATCH", 2)
    ports = [closed_port(), *listeners, closed_port()]
    check = check_ports("bastion-server", "127.0.0.1", ports, listeners[:1], 5)
    assert not check["ok"]
    assert check["detail"].endswith(f"should be closed: {', '.join(map(str, sorted(listeners[1:])))}")


def test_a_port_that_may_be_open_need_not_be(listeners: list[int]) -> None:
    allowed = [listeners[1], closed_port()]
    assert check_ports("staging-01", "127.0.0.1", listeners[:2], listeners[:1], 5, allowed)["ok"]
    assert check_ports("staging-01", "127.0.0.1", [], listeners[:1], 5, allowed)["ok"]
    assert not check_ports("staging-01", "127.0.0.1", listeners[:2], listeners[:1], 5, allowed[1:])["ok"]


def test_scan_that_misses_the_known_port_is_invalid() -> None:
    check = check_ports("bastion-server", "127.0.0.1", [closed_port()], [closed_port()], 5)
    assert not check["ok"]
    assert "scan invalid" in check["detail"]


def test_known_port_is_tried_with_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    async def accepts(address: str, port: int, timeout: float) -> bool:
        tried.append(port)
        return port == 22 and tried.count(22) < 3  # the third batch is lost

    monkeypatch.setattr(scan, "BATCH", 2)
    monkeypatch.setattr(scan, "_accepts", accepts)
    assert open_ports("198.51.100.100", [1, 2, 3, 4], [22], 5) == {22}
    tried.clear()
    with pytest.raises(ScanInvalid, match="port 22 must be open"):
        open_ports("198.51.100.100", [1, 2, 3, 4, 5], [22], 5)


def test_scan_without_a_known_port_is_invalid() -> None:
    with pytest.raises(ScanInvalid, match="no port is known to be open"):
        open_ports("127.0.0.1", [1], [], 5)


def test_known_port_alone_is_tried(listeners: list[int]) -> None:
    assert open_ports("127.0.0.1", [], listeners[:1], 5) == {listeners[0]}


def test_port_that_cannot_be_tried_makes_the_scan_invalid() -> None:
    with pytest.raises(ScanInvalid, match="could not be tried"):
        open_ports("no address", [1], [22], 5)


def test_silent_port_is_closed() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        with ExitStack() as stack:
            for _ in range(4):  # a full queue: the kernel drops what comes next, as a firewall would
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(address)
            with pytest.raises(ScanInvalid, match="did not answer"):
                open_ports("127.0.0.1", [], [address[1]], 0.2)


@pytest.mark.parametrize(
    ("ranges", "ports"), [(["22"], [22]), (["1-3", "3", "2"], [1, 2, 3]), (["65535"], [65535]), ([], [])]
)
def test_ports(ranges: list[str], ports: list[int]) -> None:
    assert parse_ports(ranges) == ports


@pytest.mark.parametrize("text", ["", "0", "65536", "3-1", "1-", "-5", "http", "1-2-3", "1,2"])
def test_no_ports(text: str) -> None:
    with pytest.raises(ValueError, match="no port and no range"):
        parse_ports([text])
