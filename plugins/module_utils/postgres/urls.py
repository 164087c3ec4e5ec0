# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an application reaches the pair, whichever member is primary: URLs, and files for psql. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict
from urllib.parse import quote

from . import scram

PORT = 5432
#: Rails looks for NAME_DATABASE_URL, and for the first of them for DATABASE_URL.
FIRST = "primary"
#: Which member a session may be on, as libpq asks it of each in turn.
WRITING, READING = "read-write", "prefer-standby"
#: Without these a client waits minutes for a member that is gone: for its answer to a new connection (seconds for each
#: member), to what was sent (milliseconds), and to nothing (seconds, and how many times).
PATIENCE = {
    "connect_timeout": 3,
    "tcp_user_timeout": 15000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
UPLOADS = {
    "endpoint": "S3_ENDPOINT",
    "region": "S3_REGION",
    "bucket": "S3_BUCKET",
    "access_key": "S3_ACCESS_KEY_ID",
    "secret_key": "S3_SECRET_ACCESS_KEY",
}


class LoginError(Exception):
    """Nobody could log in like this; the message says why and what to correct."""


class Urls(TypedDict):
    """Where to write, and where to read what may be a moment old."""

    write: str
    read: str


class Files(TypedDict):
    """What a server needs: variables by name, in order, and the files that psql reads."""

    environment: dict[str, str]
    services: str
    passfile: str


@dataclass(frozen=True)
class Login:
    """Who logs in to which members, and whose signature their certificates must bear."""

    addresses: tuple[str, ...]
    user: str
    password: str = field(repr=False)
    root_certificate: str

    def urls(self, database: str) -> Urls:
        """One address for each purpose, as both libpq and Rails 7 or newer read it.

        Several members in the place of one are no address by RFC 3986, so Ruby refuses them there. In the query both
        take them, over the one in its place, which stays for programs that know nothing of this.
        """
        _name("database", database)
        first = f"[{self.addresses[0]}]" if ":" in self.addresses[0] else self.addresses[0]
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        start = f"postgresql://{who}@{first}:{PORT}/{quote(database, safe='')}?"
        return {
            "write": start + _query(self._options(WRITING)),
            "read": start + _query(self._options(READING)),
        }

    def services(self, databases: Sequence[str], passfile: str) -> str:
        """Each database as NAME for writing and NAME_read for reading, in the form of pg_service.conf."""
        sections = []
        for database in databases:
            _name("database", database)
            for name, session in ((database, WRITING), (f"{database}_read", READING)):
                values = {"dbname": database, "user": self.user, "passfile": passfile, **self._options(session)}
                sections.append(f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in values.items()))
        return "\n".join(sections)

    def _options(self, session: str) -> dict[str, str | int]:
        return {
            "host": ",".join(self.addresses),
            "port": ",".join(str(PORT) for _ in self.addresses),
            "target_session_attrs": session,
            "sslmode": "verify-full",
            "sslrootcert": self.root_certificate,
            **PATIENCE,
        }


def login(members: Sequence[Mapping[str, Any]], user: str, password: str, root_certificate: str) -> Login:
    """A login from what is declared. Raises LoginError."""
    if not members:
        raise LoginError("There is no member of the database to log in to: list at least one with its address.")
    addresses = []
    for member in members:
        address = str(member.get("address", ""))
        try:
            addresses.append(str(ipaddress.ip_address(address)))
        except ValueError:
            raise LoginError(
                f'"{address}" of the member {member.get("name", "without a name")} is not an address: correct it.'
            ) from None
    _name("user", user)
    if not scram.acceptable(password):
        raise LoginError(
            f"The password of {user} must be 12 or more printable ASCII characters: change it in the vault."
        )
    if not re.fullmatch(r"/[A-Za-z0-9._/-]+", root_certificate):
        raise LoginError(f'The root certificate is "{root_certificate}"; give an absolute path without blanks.')
    return Login(tuple(addresses), user, password, root_certificate)


def files(who: Login, databases: Mapping[str, str], passfile: str, uploads: Mapping[str, Any]) -> Files:
    """Everything for one server; ``databases`` maps Rails' names to those of the databases. Raises LoginError."""
    lines = (
        ":".join([_escaped(host), str(PORT), "*", _escaped(who.user), _escaped(who.password)]) for host in who.addresses
    )
    return {
        "environment": environment(who, databases, uploads),
        "services": who.services(list(databases.values()), passfile),
        "passfile": "".join(f"{line}\n" for line in lines),
    }


def environment(who: Login, databases: Mapping[str, str], uploads: Mapping[str, Any]) -> dict[str, str]:
    """Variables by the names that Rails and Kamal's users expect. Raises LoginError."""
    if FIRST not in databases:
        raise LoginError(f"No database is called {FIRST}, which is what Rails calls the first one: name it.")
    values = {}
    for name, database in sorted(databases.items(), key=lambda entry: entry[0] != FIRST):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise LoginError(f'The database "{name}" needs a name of lower-case letters, digits and underscores.')
        urls = who.urls(database)
        values["DATABASE_URL" if name == FIRST else f"{name.upper()}_DATABASE_URL"] = urls["write"]
        if name == FIRST:
            # The guide's name, by which Rails finds it for a database that is called replica.
            values["DATABASE_READ_URL"] = values["REPLICA_DATABASE_URL"] = urls["read"]
    return values | _uploads(uploads)


def _uploads(uploads: Mapping[str, Any]) -> dict[str, str]:
    if not uploads:
        return {}
    values = {}
    for name, variable in UPLOADS.items():
        value = str(uploads.get(name) or "")
        # What Docker, Compose, systemd and Kamal read in the same way without quotes.
        if not re.fullmatch(r"[A-Za-z0-9+/=_.:~@%-]+", value):
            raise LoginError(f"The uploads' {name} is missing or has characters that no such value has: correct it.")
        values[variable] = value
    return values


def _query(options: Mapping[str, str | int]) -> str:
    return "&".join(f"{name}={quote(str(value), safe='/,:')}" for name, value in options.items())


def _name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", name):
        raise LoginError(f'"{name}" is not the name of a {kind}: letters, digits, underscores and hyphens.')


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")
