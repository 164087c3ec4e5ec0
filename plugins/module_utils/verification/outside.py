# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks made from where the administrator stands: who gets in by SSH, and which ports answer."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import CONNECT_TIMEOUT, SshRoute, command
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT, Check
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import ScanInvalid, open_ports

#: Seconds that one attempt to log in may take, the connection to the bastion included.
LOGIN_TIMEOUT = 45
#: Ways to log in that take no password (RFC 4252, RFC 4462).
METHODS_WITHOUT_PASSWORD = frozenset({"publickey", "hostbased", "gssapi-with-mic", "gssapi-keyex"})

LOGIN, ROOT, PASSWORD, PORTS = "SSH login", "SSH as root", "SSH by password", "open ports"


@dataclass(frozen=True)
class Attempt:
    """What the SSH client said of one attempt to log in; ``status`` None if it did not end in time."""

    status: int | None
    messages: str

    @property
    def accepted(self) -> bool:
        # 255 is the client's own failure; every other status comes from a command that ran on the server, and be it
        # one that the server forced on the user.
        return self.status not in (None, 255)

    @property
    def denied(self) -> bool:
        return self.status == 255 and "Permission denied" in self.messages

    @property
    def methods(self) -> frozenset[str]:
        """The ways to log in that the server offered, in any of the client's messages."""
        offers = re.findall(r"Authentications that can continue: (\S+)|Permission denied \(([^)]*)\)", self.messages)
        return frozenset(method for offer in offers for method in (offer[0] or offer[1]).split(",") if method)

    @property
    def reason(self) -> str:
        if self.status is None:
            return f"no answer within {LOGIN_TIMEOUT} s"
        chatter = re.compile(r"debug\d: |OpenSSH_|Warning: Permanently added|\s*$")
        said = "; ".join(line.strip() for line in self.messages.splitlines() if not chatter.match(line))
        return said[-REASON_LIMIT:] or f"ssh ended with status {self.status}"


def attempt_login(route: SshRoute, user: str) -> Attempt:
    """Log in with the key, without ever sharing a connection that was let in earlier.

    Verbose, because the client then tells the methods the server offers also when the key is accepted.
    """
    options = [
        ("ControlPath", "none"),
        ("PreferredAuthentications", "publickey"),
        ("ConnectTimeout", str(CONNECT_TIMEOUT)),
        ("LogLevel", "DEBUG1"),
    ]
    try:
        result = subprocess.run(
            command(route, user, options, "true"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LOGIN_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Attempt(None, "")
    return Attempt(result.returncode, result.stderr)


def check_logins(host: str, route: SshRoute | None) -> list[Check]:
    """The user gets in with the key, root does not with the same one, and nobody is offered a password.

    One refused login per server and no more: after a few, newer servers lock an address out for a while
    (PerSourcePenalties in sshd_config(5)), and behind the bastion all of us share one.
    """
    if route is None:
        return judge_logins(host, "", Attempt(255, "the server has no address"), Attempt(255, ""))
    login = attempt_login(route, route["user"])
    root = attempt_login(route, "root") if login.accepted else Attempt(255, "")
    return judge_logins(host, route["user"], login, root)


def judge_logins(host: str, user: str, login: Attempt, root: Attempt) -> list[Check]:
    """What the two attempts prove. Without a login that works a refused one proves nothing."""
    if not login.accepted:
        untold = "cannot be told without a login"
        details = ((LOGIN, login.reason), (ROOT, untold), (PASSWORD, untold))
        return [{"check": check, "host": host, "ok": False, "detail": detail} for check, detail in details]
    if root.denied:
        root_detail = "refused with the key that lets the user in"
    else:
        root_detail = "root gets in" if root.accepted else f"cannot be told: {root.reason}"
    methods = login.methods | root.methods
    offered = ", ".join(sorted(methods)) or "nothing that could be read"
    return [
        {"check": LOGIN, "host": host, "ok": True, "detail": f"{user} gets in by key"},
        {"check": ROOT, "host": host, "ok": root.denied, "detail": root_detail},
        {
            "check": PASSWORD,
            "host": host,
            "ok": bool(methods) and methods <= METHODS_WITHOUT_PASSWORD,
            "detail": f"offered: {offered}",
        },
    ]


def check_ports(
    host: str,
    address: str,
    ports: Sequence[int],
    expected: Sequence[int],
    timeout: float,
    allowed: Collection[int] = (),
) -> Check:
    """Of all ports tried on a public address the expected ones accept a connection, and no others but those allowed,
    where somebody may listen or nobody.
    """
    try:
        found = open_ports(address, ports, expected, timeout)
    except ScanInvalid as error:
        return {"check": PORTS, "host": host, "ok": False, "detail": f"{address}: scan invalid: {error}"}
    tried = len(set(ports) | set(expected))
    listed = ", ".join(str(port) for port in sorted(found)) or "none"
    surplus = sorted(found - set(expected) - set(allowed))
    detail = f"{address}: {listed} of {tried} tried"
    if surplus:
        detail += f"; should be closed: {', '.join(str(port) for port in surplus)}"
    return {"check": PORTS, "host": host, "ok": not surplus, "detail": detail}
