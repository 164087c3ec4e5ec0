# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a member's own logins at its peers work, with what lies in its files now; and who still uses a login."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .container import FOLDER, NotSetUpError, Server

#: What each of the members' users asks for, as replication and pg_rewind do.
_OPENS = {"replicator": ("replication=true", "IDENTIFY_SYSTEM"), "rewind": ("dbname=postgres", "SELECT 1")}
_SESSIONS = """
SELECT coalesce(json_agg(DISTINCT coalesce(host(client_addr), 'the socket')), '[]') FROM pg_stat_activity
  WHERE usename = '{login}';
"""


def refused(server: Server) -> list[str]:
    """One sentence for each login that does not work, none if all do. Raises NotSetUpError."""
    try:
        with open(f"{FOLDER}/members.json", encoding="utf-8") as file:
            members = json.load(file)
    except FileNotFoundError:
        raise NotSetUpError("This server has not been set up as a database yet: run playbooks/site.yml.") from None
    wrong = []
    for peer in members["peers"]:
        for user, (opens, question) in _OPENS.items():
            conninfo = members["conninfo"].replace("user=replicator", f"user={user}")
            where = f"host={peer['address']} {conninfo} {opens} connect_timeout=5"
            code, out, error = server.program("psql", "-X", "-A", "-t", "-w", "--dbname", where, "--command", question)
            if code != 0:
                wrong.append(f"{user} on {peer['name']}: {' '.join((error or out).split())[-200:]}")
    return wrong


def sessions(server: Server, login: str) -> Sequence[str]:
    """The addresses from which somebody is logged in as ``login``, a name without quotes."""
    found: list[str] = server.ask(_SESSIONS.replace("{login}", login.replace("'", "''")))
    return sorted(found)
