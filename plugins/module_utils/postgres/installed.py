# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role has set up on this server, read from its own files: day-2 work needs no declaration to be repeated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .container import FOLDER, Image, Runner, data_directory, deployed

MEMBERS = f"{FOLDER}/members.json"


@dataclass(frozen=True)
class Peer:
    """Another member."""

    name: str
    address: str


@dataclass(frozen=True)
class Installed:
    """The image, PGDATA and its major version, the other members, and how to log in to them."""

    image: Image
    pgdata: str
    major: int
    conninfo: str
    peers: tuple[Peer, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(peer.address for peer in self.peers)

    def dsn(self, user: str, database: str = "postgres") -> str:
        """How to log in to whichever other member is primary. Of two values for one name libpq takes the later."""
        hosts = ",".join(self.addresses)
        return (
            f"{self.conninfo} host={hosts} user={user} dbname={database} target_session_attrs=read-write "
            "connect_timeout=5"
        )


def read(run: Runner) -> Installed:
    """What is set up. Raises PostgresError where nothing is."""
    image, major = deployed(run)
    known = json.loads(Path(MEMBERS).read_text(encoding="utf-8"))
    return Installed(
        image=image,
        pgdata=data_directory(major),
        major=major,
        conninfo=known["conninfo"],
        peers=tuple(Peer(peer["name"], peer["address"]) for peer in known["peers"]),
    )
