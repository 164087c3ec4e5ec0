# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that a member of a PostgreSQL pair makes of itself. Runs on the server: standard library only."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import service
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import (
    FOLDER,
    Json,
    PostgresError,
    Runner,
    Server,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.state import FENCE
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import Seen

PORT = 5432
#: The check of a row that is written here and read there.
ROW = "database row"
SUPERUSER = "postgres"
#: What a client sends before TLS begins: the length of the message and a number that stands for no version.
#: https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-SSLREQUEST
SSL_REQUEST = struct.pack("!II", 8, 80877103)
#: Seconds between two looks at what takes a moment.
PAUSE = 0.5

SETTINGS = {"ssl": "on", "password_encryption": "scram-sha-256", "data_checksums": "on"}
#: Which wal_level there may be: the second is the first and more.
WAL_LEVELS = ("replica", "logical")

_FACTS = """
SELECT json_build_object(
  'version', split_part(current_setting('server_version'), ' ', 1),
  'major', current_setting('server_version_num')::int / 10000,
  'in_recovery', pg_is_in_recovery(),
  'logins', (SELECT json_agg(rolname ORDER BY rolname) FROM pg_authid WHERE rolcanlogin),
  'superusers', (SELECT json_agg(rolname ORDER BY rolname) FROM pg_authid WHERE rolsuper),
  'superusers_with_password', (SELECT coalesce(json_agg(rolname), '[]') FROM pg_authid
    WHERE rolsuper AND rolpassword IS NOT NULL),
  'lines', (SELECT json_agg(json_build_object('line', line_number, 'type', type, 'users', user_name,
    'method', auth_method, 'error', error)) FROM pg_hba_file_rules),
  'databases', (SELECT json_object_agg(datname, pg_get_userbyid(datdba)) FROM pg_database),
  'settings', (SELECT json_object_agg(name, setting) FROM pg_settings WHERE name IN
    ('wal_level', 'max_wal_senders', 'archive_mode', 'ssl', 'password_encryption', 'data_checksums')),
  'followers', (SELECT coalesce(json_object_agg(application_name, state), '{}') FROM pg_stat_replication),
  'receiver', (SELECT json_build_object('status', status, 'sender', sender_host) FROM pg_stat_wal_receiver),
  'archive', (SELECT json_build_object(
    'failed', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
    'failed_wal', last_failed_wal,
    'archived', archived_count,
    'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
    'waiting_seconds', (SELECT extract(epoch FROM now() - min(modification))::int FROM pg_ls_archive_statusdir()
      WHERE name LIKE '%.ready')) FROM pg_stat_archiver));
"""

# A row of its own in a table of its own, so that nothing grows. Its commit waits for no other member, which would be
# for ever when none answers.
_WRITE = """
SET synchronous_commit = local;
SET lock_timeout = '5s';
CREATE SCHEMA IF NOT EXISTS bulwark;
CREATE TABLE IF NOT EXISTS bulwark.verification (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), token text NOT NULL, written timestamptz NOT NULL);
INSERT INTO bulwark.verification (token, written) VALUES ('{token}', now())
  ON CONFLICT (only_one) DO UPDATE SET token = excluded.token, written = excluded.written;
"""
_READ = """
SELECT to_json(EXISTS (SELECT FROM pg_tables WHERE schemaname = 'bulwark' AND tablename = 'verification'));
"""
_READ_ROW = "SELECT to_json(coalesce((SELECT token FROM bulwark.verification), ''));"


@dataclass(frozen=True)
class Expectations:
    """What should be true of a member. ``members`` maps names to addresses; times in seconds."""

    member: str
    members: Mapping[str, str]
    major: int
    users: Sequence[str]
    databases: Mapping[str, str]
    certificate_days: int
    archive_seconds: int
    timeout: float


@dataclass(frozen=True)
class Examiner:
    """Looks at the member on this host; ``pause`` sleeps, ``now`` tells the seconds since the epoch."""

    run: Runner
    expected: Expectations
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def examine(self) -> tuple[list[tuple[str, Seen]], str]:
        """Every check but that of the row, and what the member is: primary, replica, or nothing when it is down."""
        try:
            facts, replication = self._settled()
        except PostgresError as error:
            fenced = "; it is fenced" if os.path.exists(FENCE) else ""
            return [("database", (False, f"it does not answer{fenced}: {error}"))], ""
        results = [
            ("database", self._server(facts)),
            ("database replication", replication),
            ("database logins", judge_logins(facts, self.expected)),
            ("database settings", judge_settings(facts, self.expected)),
        ]
        if facts["settings"]["archive_mode"] != "off" and not facts["in_recovery"]:
            results.append(("database archive", judge_archive(facts["archive"], self.expected.archive_seconds)))
        return results, "replica" if facts["in_recovery"] else "primary"

    def write_row(self, token: str) -> Seen:
        """Write a row on the primary that the other members should have soon."""
        try:
            Server(self.run).sql(_WRITE.replace("{token}", _checked(token)))
        except PostgresError as error:
            return False, str(error)
        return True, "a row was written"

    def read_row(self, token: str) -> Seen:
        """Wait on a replica for the row that this run has written on the primary."""
        wanted, server, began = _checked(token), Server(self.run), self.now()
        try:
            while True:
                if server.ask(_READ) and server.ask(_READ_ROW) == wanted:
                    return True, "the row that was written on the primary is here"
                if self.now() - began >= self.expected.timeout:
                    return (
                        False,
                        f"the row that was written on the primary is not here after {self.expected.timeout:g} s",
                    )
                self.pause(PAUSE)
        except PostgresError as error:
            return False, str(error)

    def _settled(self) -> tuple[Json, Seen]:
        """What the server says, as soon as its replication holds: after a start that takes some seconds."""
        began = self.now()
        while True:
            facts = Server(self.run).ask(_FACTS)
            seen = judge_replication(facts, self.expected)
            if seen[0] or self.now() - began >= self.expected.timeout:
                return facts, seen
            self.pause(PAUSE)

    def _server(self, facts: Json) -> Seen:
        """Whether what runs is what its files say, and shows a certificate that clients accept."""
        if self.expected.major not in {0, facts["major"]}:
            return False, f"PostgreSQL {facts['version']} runs, should be {self.expected.major}"
        try:
            step = service.decide(service.look(self.run))
        except PostgresError as error:
            return False, str(error)
        if step:
            return False, f"what runs is not what its files say: {step.why}"
        ok, said = check_certificate(
            self.expected.members[self.expected.member], self.expected, f"{FOLDER}/ca.crt", self.now()
        )
        return ok, f"PostgreSQL {facts['version']} as its files say, {said}"


def judge_replication(facts: Json, expected: Expectations) -> Seen:
    """A primary is followed by every other member, a replica follows one of them. Pure."""
    others = {name: address for name, address in expected.members.items() if name != expected.member}
    if facts["in_recovery"]:
        receiver = facts["receiver"] or {"status": "not connected", "sender": None}
        source = {address: name for name, address in others.items()}.get(receiver["sender"])
        if receiver["status"] != "streaming":
            return False, f"replica, its receiver is {receiver['status']}, should be streaming"
        return bool(source), f"replica, streams from {source or receiver['sender']}" + (
            "" if source else ", which is no member"
        )
    lost = [name for name in others if facts["followers"].get(name) != "streaming"]
    if lost:
        told = ", ".join(f"{name} {facts['followers'].get(name, 'is not connected')}" for name in lost)
        return False, f"primary, {told}, should be streaming"
    return True, f"primary, {', '.join(others)} streaming" if others else "primary, alone"


def judge_logins(facts: Json, expected: Expectations) -> Seen:
    """Those who are declared can log in and nobody else, and the superuser from nowhere else. Pure."""
    wrong = []
    missing = sorted(set(expected.users) - set(facts["logins"]))
    strangers = sorted(set(facts["logins"]) - {*expected.users, SUPERUSER})
    others = sorted(set(facts["superusers"]) - {SUPERUSER})
    wrong += [f"{', '.join(missing)} cannot log in"] if missing else []
    wrong += [f"{', '.join(strangers)} can log in and should not"] if strangers else []
    wrong += [f"{', '.join(others)} should be no superuser"] if others else []
    wrong += [f"{name} has a password" for name in facts["superusers_with_password"]]
    wrong += [told for line in facts["lines"] or [] for told in _line(line)]
    for name, owner in expected.databases.items():
        found = facts["databases"].get(name)
        if found != owner:
            wrong.append(f"the database {name} belongs to {found or 'nobody: it is missing'}, should be {owner}")
    seen = f"{', '.join(sorted(expected.users))} over TLS, {SUPERUSER} locally; {len(expected.databases)} databases"
    return not wrong, "; ".join(wrong) or seen


def _line(line: Mapping[str, Any]) -> list[str]:
    """What is wrong about a line of pg_hba.conf."""
    shown = f"pg_hba.conf, line {line['line']}"
    if line["error"]:
        return [f"{shown}: {line['error']}"]
    if line["type"] == "local":
        return [] if line["method"] in ("peer", "reject") else [f"{shown}: {line['method']} through the local socket"]
    wrong = []
    if line["type"] != "hostssl" or line["method"] != "scram-sha-256":
        wrong.append(f"{shown}: {line['type']} with {line['method']}, should be hostssl with scram-sha-256")
    if {"all", SUPERUSER} & set(line["users"]):
        wrong.append(f"{shown}: lets {SUPERUSER} in over the network")
    return wrong


def judge_settings(facts: Json, expected: Expectations) -> Seen:
    """What replication and security rest on. Pure."""
    actual = facts["settings"]
    wrong = [
        f"{name} is {actual[name]}, should be {value}" for name, value in SETTINGS.items() if actual[name] != value
    ]
    if actual["wal_level"] not in WAL_LEVELS:
        wrong.append(f"wal_level is {actual['wal_level']}, should be {WAL_LEVELS[0]}")
    if int(actual["max_wal_senders"]) < len(expected.members):
        wrong.append(f"max_wal_senders is {actual['max_wal_senders']}, should be at least {len(expected.members)}")
    shown = ("wal_level", "max_wal_senders", *SETTINGS)
    return not wrong, "; ".join(wrong) or ", ".join(f"{name} {actual[name]}" for name in shown)


def judge_archive(archive: Json, most: int) -> Seen:
    """Nothing failed after what last succeeded, and nothing waits for long. Pure."""
    if archive["failed"]:
        return False, f"{archive['failed_wal']} could not be archived, and nothing since"
    if archive["waiting"] and archive["waiting_seconds"] > most:
        return False, f"{archive['waiting']} segments wait, the oldest for {archive['waiting_seconds']} s"
    return True, f"{archive['archived']} segments archived, {archive['waiting']} wait"


def check_certificate(address: str, expected: Expectations, root: str, now: float, port: int = PORT) -> Seen:
    """Whether a client that checks it would accept the certificate that the server shows, and for how long."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(root)
        with socket.create_connection((address, port), timeout=expected.timeout) as plain:
            plain.sendall(SSL_REQUEST)
            if plain.recv(1) != b"S":
                return False, "it speaks no TLS"
            with context.wrap_socket(plain, server_hostname=address) as secured:
                shown = secured.getpeercert() or {}
    except OSError as error:
        return False, f"its certificate: {error}"
    days = int((ssl.cert_time_to_seconds(str(shown["notAfter"])) - now) // 86400)
    if days < expected.certificate_days:
        return False, f"its certificate ends in {days} days, should be {expected.certificate_days} or more"
    return True, f"certificate good for {days} days"


def _checked(token: str) -> str:
    """A token that is nothing but letters and digits, as it goes into a statement."""
    if not (token.isascii() and token.isalnum()):
        raise PostgresError("The token must be letters and digits.")
    return token
