# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one member, from what is declared for the pair. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from . import hba, repository, settings
from .container import FOLDER
from .objects import slot

#: How members find and trust each other. The password stands in a file that only the server's user reads.
CONNINFO = f"user=replicator port=5432 sslmode=verify-full sslrootcert={FOLDER}/ca.crt passfile={FOLDER}/pgpass"
PORT = 5432


class MembersError(Exception):
    """The members cannot be as declared; the message says why."""


class Configuration(TypedDict):
    """Contents of the files, and what else follows from the declaration. ``shared_memory`` in megabytes."""

    postgresql_conf: str
    pg_hba_conf: str
    shared_memory: int
    conninfo: str
    peers: list[dict[str, str]]
    slot: str
    peer_slots: list[str]


@dataclass(frozen=True)
class Declared:
    """A member and its pair, as the role's variables say."""

    member: str
    members: Sequence[Mapping[str, Any]]
    major: int
    memory: int
    cores: int
    overrides: Mapping[str, settings.Value]
    lines: Sequence[Mapping[str, Any]]
    synchronous: bool
    archive: bool = False


def configuration(declared: Declared) -> Configuration:
    """Everything that is written for one member.

    Raises MembersError, settings.SettingsError or hba.HbaError with a sentence that says what to correct.
    """
    peers = _peers(declared.member, declared.members)
    names = [peer["name"] for peer in peers]
    if declared.synchronous and not names:
        raise MembersError("postgres_synchronous needs a second member: without one every commit would wait for ever.")
    values = settings.settings(settings.Server(declared.memory, declared.cores), declared.overrides)
    values |= _fixed(declared.member, declared.major)
    values |= repository.archive_settings() if declared.archive else {"archive_mode": "off"}
    if names:
        addresses = ",".join(peer["address"] for peer in peers)
        values["primary_conninfo"] = f"host={addresses} {CONNINFO} target_session_attrs=read-write"
        values["primary_slot_name"] = slot(declared.member)
    if declared.synchronous:
        quoted = ", ".join('"' + name + '"' for name in names)
        values["synchronous_standby_names"] = f"ANY 1 ({quoted})"
    return {
        "postgresql_conf": settings.document(values),
        "pg_hba_conf": hba.document(declared.lines),
        "shared_memory": settings.shared_memory(settings.Server(declared.memory, declared.cores)),
        "conninfo": CONNINFO,
        "peers": peers,
        "slot": slot(declared.member),
        "peer_slots": [slot(name) for name in names],
    }


def pgpass(passwords: Mapping[str, str]) -> str:
    """The file with which the server logs in to others: host, port, database, user, password, as libpq reads them."""
    lines = ((user, password.replace("\\", "\\\\").replace(":", "\\:")) for user, password in sorted(passwords.items()))
    return "".join(f"*:*:*:{user}:{password}\n" for user, password in lines)


def _fixed(member: str, major: int) -> dict[str, settings.Value]:
    fixed: dict[str, settings.Value] = {
        "port": PORT,
        "cluster_name": member,
        "hba_file": f"{FOLDER}/pg_hba.conf",
        "hot_standby": True,
        "password_encryption": "scram-sha-256",
        "ssl": True,
        "ssl_ca_file": f"{FOLDER}/ca.crt",
        "ssl_cert_file": f"{FOLDER}/server.crt",
        "ssl_key_file": f"{FOLDER}/server.key",
        "ssl_min_protocol_version": "TLSv1.2",
        "synchronous_standby_names": "",
        "unix_socket_directories": "/var/run/postgresql",
    }
    if major >= 17:
        # What ALTER SYSTEM writes would count more than the file, and nobody would see it there.
        fixed["allow_alter_system"] = False
    return fixed


def _peers(member: str, members: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    names = [str(entry["name"]) for entry in members]
    if member not in names:
        raise MembersError(f"postgres_members does not list {member}, on which this runs: add it with its address.")
    slots = [slot(name) for name in names]
    for name in names:
        if slots.count(slot(name)) > 1:
            raise MembersError(
                f"postgres_members lists {name} twice, or another name that differs in its punctuation only."
            )
    for entry in members:
        try:
            ipaddress.ip_address(str(entry["address"]))
        except ValueError:
            raise MembersError(
                f'postgres_members: "{entry["address"]}" of {entry["name"]} is not an address.'
            ) from None
    return [
        {"name": str(entry["name"]), "address": str(entry["address"])} for entry in members if entry["name"] != member
    ]
