"""What the embedded Cloudflare knows: plain data, and the file it is kept in.

The edge, a process of its own, reads the same file.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lab import settings
from lab.state.coding import decode, encode, to_json

_VERSION = 1

Switch = Literal["on", "off"]
SslMode = Literal["off", "flexible", "full", "strict"]
RecordType = Literal["A", "AAAA", "CNAME", "TXT", "MX"]

#: What a token may be allowed to do, as the vendor names it; "Write" includes "Read".
PERMISSIONS = (
    "Zone Read",
    "DNS Read",
    "DNS Write",
    "Zone Settings Read",
    "Zone Settings Write",
    "SSL and Certificates Read",
    "SSL and Certificates Write",
    "Zone Transform Rules Read",
    "Zone Transform Rules Write",
)
#: What the lab's own token may do.
DEFAULT_PERMISSIONS = (
    "Zone Read",
    "DNS Write",
    "Zone Settings Write",
    "SSL and Certificates Write",
    "Zone Transform Rules Write",
)


def now() -> str:
    """This moment as the vendor writes it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def new_id() -> str:
    return secrets.token_hex(16)


@dataclass
class Record:
    id: str
    name: str  # in full, lower case, without a final dot
    type: RecordType
    content: str
    ttl: int = 1  # seconds; 1: automatic
    proxied: bool = False
    comment: str | None = None
    priority: int | None = None  # of MX
    created_on: str = field(default_factory=now)
    modified_on: str = field(default_factory=now)


@dataclass(frozen=True)
class StrictTransportSecurity:
    enabled: bool = False
    max_age: int = 0  # seconds
    include_subdomains: bool = False
    preload: bool = False
    nosniff: bool = False


@dataclass
class ZoneSettings:
    """As a new zone has them."""

    ssl: SslMode = "flexible"
    always_use_https: Switch = "off"
    min_tls_version: Literal["1.0", "1.1", "1.2", "1.3"] = "1.0"
    tls_1_3: Switch = "on"
    automatic_https_rewrites: Switch = "on"
    security_header: StrictTransportSecurity = field(default_factory=StrictTransportSecurity)


@dataclass(frozen=True)
class HeaderRule:
    """A transform rule: requests for one of the hosts (none: for any) go to the origin with these headers."""

    id: str
    hosts: tuple[str, ...]
    set: dict[str, str]
    expression: str
    description: str = ""
    enabled: bool = True
    ref: str = ""


@dataclass
class Ruleset:
    id: str
    version: int
    last_updated: str
    rules: list[HeaderRule] = field(default_factory=list)


@dataclass
class Zone:
    id: str
    name: str
    created_on: str = field(default_factory=now)
    records: dict[str, Record] = field(default_factory=dict)
    settings: ZoneSettings = field(default_factory=ZoneSettings)
    #: When each setting was changed last.
    settings_changed: dict[str, str] = field(default_factory=dict)
    header_rules: Ruleset | None = None

    def named(self, name: str) -> list[Record]:
        """The records of a name; where there are none, those of the wildcard that covers it."""
        candidate, parent = name, name
        while self.holds(parent):
            found = [record for record in self.records.values() if record.name == candidate]
            if found:
                return found
            parent = parent.partition(".")[2]
            candidate = f"*.{parent}"
        return []

    def holds(self, name: str) -> bool:
        return name == self.name or name.endswith(f".{self.name}")


@dataclass
class Certificate:
    """One the authority signed. ``id`` is its serial number in decimal."""

    id: str
    zone_id: str
    csr: str
    certificate: str
    hostnames: tuple[str, ...]
    request_type: Literal["origin-rsa", "origin-ecc"]
    requested_validity: int  # days
    expires_on: str  # such as 2041-10-19 11:05:00 +0000 UTC, as the vendor's own clients read it
    revoked_at: str | None = None


@dataclass
class Token:
    """One somebody was given. Only its digest is kept."""

    id: str
    digest: str
    permissions: tuple[str, ...]
    status: Literal["active", "disabled"] = "active"

    def allows(self, permission: str) -> bool:
        """``permission`` ends with Read or Write."""
        area, _, wish = permission.rpartition(" ")
        return permission in self.permissions or (wish == "Read" and f"{area} Write" in self.permissions)


@dataclass
class Store:
    account_id: str = field(default_factory=new_id)
    zones: dict[str, Zone] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    def now(self) -> str:
        return now()

    def zone_of(self, name: str) -> Zone | None:
        """The zone a name belongs to."""
        found = [zone for zone in self.zones.values() if zone.holds(name)]
        return max(found, key=lambda zone: len(zone.name), default=None)

    def revoked(self) -> frozenset[int]:
        """Serial numbers of the certificates that were revoked."""
        return frozenset(int(item.id) for item in self.certificates.values() if item.revoked_at is not None)


def fresh() -> Store:
    """A new account with the lab's zone in it, and no token."""
    zone = Zone(new_id(), settings.CLOUDFLARE_ZONE)
    return Store(zones={zone.id: zone})


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def issue(store: Store, permissions: Iterable[str]) -> tuple[str, Token]:
    """A new token, and what is kept of it."""
    text = secrets.token_urlsafe(30)  # forty characters, as the vendor's have
    token = Token(new_id(), digest(text), tuple(permissions))
    store.tokens[token.id] = token
    return text, token


class StateFile:
    """Replaced whole with every change, so that whoever reads it finds it as it was before or after one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Store | None:
        """None when nothing was ever saved. Raises ValueError when it cannot be read."""
        try:
            data = json.loads(self.path.read_text())
        except FileNotFoundError:
            return None
        if not isinstance(data, dict) or data.get("version") != _VERSION:
            raise ValueError(f"not a state of version {_VERSION}")
        return decode(Store, data.get("store"), "store")

    def save(self, store: Store) -> None:
        write_secret(self.path, to_json({"version": _VERSION, "store": encode(store)}).encode())


def write_secret(path: Path, content: bytes) -> None:
    """A file that only its owner may read; it appears complete."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


STATE_FILE = StateFile(settings.CLOUDFLARE / "state.json")


def saved() -> Store:
    """What was saved last; a new account when there is nothing, or nothing that can be read."""
    try:
        return STATE_FILE.load() or fresh()
    except ValueError:
        return fresh()


#: The token of the lab, which has DEFAULT_PERMISSIONS.
TOKEN_FILE = settings.CLOUDFLARE / "token"


def make_token(path: Path = TOKEN_FILE) -> str:
    """The lab's own token, made when missing."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(30).encode())
    return path.read_text()
