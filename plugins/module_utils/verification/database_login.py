# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that an application's server reaches the database, and only as it should. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import Runner
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT, Seen

#: Whether a session is encrypted is shown to whoever has logged in, and not to the role which an application's second
#: login acts as.
_WHO = (
    "SELECT json_build_object('user', current_user, 'in_recovery', pg_is_in_recovery(),"
    " 'address', host(inet_server_addr()))",
    "SET ROLE NONE",
    "SELECT json_build_object('tls', ssl) FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
)
#: Not the password of anybody: a password has 12 characters or more.
WRONG = "wrong"


@dataclass(frozen=True)
class Logins:
    """What should be possible from here. ``home`` is the account's, ``replicas`` whether there is one to read from."""

    account: str
    home: str
    user: str
    databases: Sequence[str]
    replicas: bool
    timeout: int


def examine(run: Runner, logins: Logins) -> list[tuple[str, Seen]]:
    """Every check, as the account and by the services that people use."""
    writing = [(name, _login(run, logins, f"service={name}")) for name in logins.databases]
    reading = [(name, _login(run, logins, f"service={name}_read")) for name in logins.databases]
    results = [
        ("database for writing", judge(writing, logins.user, False)),
        ("database for reading", judge(reading, logins.user, True if logins.replicas else None)),
    ]
    # A refusal says something only where a login succeeds.
    if results[0][1][0]:
        service = f"service={logins.databases[0]}"
        plain = _login(run, logins, f"{service} sslmode=disable")
        wrong = _login(run, logins, service, f"PGPASSWORD={WRONG}")
        results.append(("database without TLS", judge_refusal(plain, "no encryption")))
        results.append(("database by a wrong password", judge_refusal(wrong, "password authentication failed")))
    return results


def judge(answers: Sequence[tuple[str, tuple[dict[str, Any] | None, str]]], user: str, replica: bool | None) -> Seen:
    """Whether all logins led to where they should. ``replica`` is None where either will do. Pure."""
    wrong, seen = [], set()
    for name, (who, said) in answers:
        if who is None:
            wrong.append(f"{name}: {said}")
            continue
        kind = "replica" if who["in_recovery"] else "primary"
        seen.add(f"{who['address']} ({kind})")
        if who["user"] != user:
            wrong.append(f"{name}: logged in as {who['user']}, should be {user}")
        if not who["tls"]:
            wrong.append(f"{name}: logged in without TLS")
        if replica is not None and replica != who["in_recovery"]:
            wrong.append(f"{name}: on {who['address']}, which is a {kind}")
    return not wrong, "; ".join(wrong) or f"{user} on {', '.join(sorted(seen))}, {len(answers)} databases"


def judge_refusal(answer: tuple[dict[str, Any] | None, str], reason: str) -> Seen:
    """Whether a login was refused, and for the right reason. Pure."""
    who, said = answer
    if who is not None:
        return False, f"logged in on {who['address']}, should be refused"
    shown = said.rpartition("FATAL: ")[2].strip()
    return reason in said, f"refused: {shown}" if reason in said else f"failed for another reason: {shown}"


def _login(run: Runner, logins: Logins, connection: str, *environment: str) -> tuple[dict[str, Any] | None, str]:
    """What the server says about a session, or None and why there is none."""
    conninfo = f"{connection} connect_timeout={logins.timeout}"
    words = ["runuser", "-u", logins.account, "--", "env", "-C", "/", f"HOME={logins.home}", *environment]
    words += ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"]
    words += [word for statement in _WHO for word in ("-c", statement)] + [conninfo]
    code, out, error = run(words)
    if code != 0:
        return None, " ".join((error or out).split())[-REASON_LIMIT:]
    answer: dict[str, Any] = {}
    for line in out.splitlines():
        answer |= json.loads(line)
    return answer, ""
