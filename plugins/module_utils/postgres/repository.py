# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups and WAL are kept: pgBackRest's configuration, and what its repository holds.

Options and the meaning of its answers: https://pgbackrest.org/configuration.html and https://pgbackrest.org/command.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .container import DATA, FOLDER, Image, PostgresError, Server, data_directory

CONFIG = f"{FOLDER}/pgbackrest.conf"
STANZA = "main"
#: Segments on their way to the object storage. On the volume, so that a restart forgets none.
SPOOL = f"{DATA}/pgbackrest"
#: Whom the host trusts, mounted into the container.
AUTHORITIES = "/etc/ssl/certs"
#: Part of the volume that WAL may fill while the object storage is away, before the oldest is given up.
QUEUE_SHARE = 0.3
#: Seconds that handing over one segment may take, and that asking for one may: neither may hold up a server that stops
#: or takes over while the object storage is away.
PUSH_SECONDS, GET_SECONDS = 15, 10

_REQUIRED = ("endpoint", "region", "bucket", "access_key", "secret_key", "passphrase")


@dataclass(frozen=True)
class Repository:
    """What pgBackRest's ``info`` tells of the one stanza."""

    exists: bool
    system: str  # system identifier of the newest database in it, empty without one
    backups: tuple[str, ...]  # labels, oldest first
    newest: float  # when the newest backup ended, in seconds since the epoch; 0 without one
    bytes: int  # size of the database in the newest backup
    archived: str  # name of the newest segment of WAL, empty without one


def command(*words: str) -> list[str]:
    """pgBackRest with our configuration."""
    return ["pgbackrest", f"--config={CONFIG}", f"--stanza={STANZA}", *words]


def archive_settings() -> dict[str, str]:
    """What PostgreSQL needs to know. A primary archives; a replica that streaming cannot serve reads the archive."""
    get = " ".join(command("archive-get", "%f", '"%p"'))
    return {
        "archive_mode": "on",
        "archive_command": " ".join(command("archive-push", '"%p"')),
        "restore_command": f"timeout {GET_SECONDS} {get}",
    }


def check(backup: Mapping[str, Any]) -> None:
    """Raises PostgresError for a declaration with which nothing could be stored."""
    missing = [key for key in _REQUIRED if not backup.get(key)]
    if missing:
        raise PostgresError(
            f"postgres_backup does not name {', '.join(missing)}: add what is missing, or leave it empty."
        )
    for key, value in backup.items():
        if re.search(r"[\x00-\x1f]", str(value)):
            raise PostgresError(f"postgres_backup.{key} has more than one line or a control character: correct it.")
    endpoint = urlsplit(str(backup["endpoint"]))
    if endpoint.scheme != "https" or not endpoint.hostname or endpoint.path.strip("/") or endpoint.query:
        raise PostgresError(
            "postgres_backup.endpoint must be like https://fsn1.your-objectstorage.com, without a path."
        )
    if len(str(backup["passphrase"])) < 20:
        raise PostgresError(
            "postgres_backup.passphrase must have 20 or more characters: make a longer one in the vault."
        )


def document(backup: Mapping[str, Any], major: int, volume_bytes: int) -> str:
    """Contents of pgBackRest's configuration. Holds secrets."""
    check(backup)
    endpoint = urlsplit(str(backup["endpoint"]))
    queue = max(1, int(volume_bytes * QUEUE_SHARE) // 1024**3)
    options: dict[str, Any] = {
        "repo1-type": "s3",
        "repo1-s3-endpoint": endpoint.hostname,
        "repo1-storage-port": endpoint.port or 443,
        "repo1-s3-region": backup["region"],
        "repo1-s3-bucket": backup["bucket"],
        "repo1-s3-key": backup["access_key"],
        "repo1-s3-key-secret": backup["secret_key"],
        "repo1-s3-uri-style": "path",
        "repo1-storage-ca-file": f"{AUTHORITIES}/ca-certificates.crt",
        "repo1-path": backup.get("path") or "/postgres",
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-cipher-pass": backup["passphrase"],
        "repo1-bundle": "y",
        "repo1-retention-full": backup.get("full_backups") or 4,
        "compress-type": "zst",
        "process-max": 2,
        "start-fast": "y",
        "archive-async": "y",
        "spool-path": SPOOL,
        "archive-push-queue-max": f"{queue}GiB",
        "archive-timeout": PUSH_SECONDS,
        "io-timeout": 30,
        "lock-path": "/tmp/pgbackrest",  # noqa: S108 because it is the container's own, in memory
        "log-level-console": "warn",
        "log-level-file": "off",
    }
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    return f"[global]\n{lines}\n[{STANZA}]\npg1-path={data_directory(major)}\npg1-socket-path=/var/run/postgresql\n"


def read(text: str) -> Repository:
    """What ``info --output=json`` prints. Pure. Raises PostgresError when it cannot be looked at."""
    # What does not decrypt is quoted in it as it is.
    found = json.loads(text, strict=False)
    stanza: dict[str, Any] = found[0] if found else {}
    for repository in stanza.get("repo", []):
        status = repository["status"]
        # 0: ok, 1: no stanza, 2: no backup, 3: no data of the stanza; all else is a failure to look.
        if status["code"] not in {0, 1, 2, 3}:
            raise PostgresError(f"The object storage cannot be read: {told(status['message'])}")
    backups: Sequence[Mapping[str, Any]] = stanza.get("backup", [])
    databases: Sequence[Mapping[str, Any]] = stanza.get("db", [])
    return Repository(
        exists=bool(databases),
        system=str(databases[-1]["system-id"]) if databases else "",
        backups=tuple(str(backup["label"]) for backup in backups),
        newest=float(backups[-1]["timestamp"]["stop"]) if backups else 0.0,
        bytes=int(backups[-1]["info"]["size"]) if backups else 0,
        archived=max((str(entry["max"]) for entry in stanza.get("archive", []) if entry.get("max")), default=""),
    )


def query(server: Server) -> Repository:
    """What the repository holds, asked from within the server's container."""
    return read(_must(server, "The backups cannot be looked at", "info", "--output=json"))


def readable(image: Image, config: str) -> tuple[int, str]:
    """Whether a configuration that is not in place yet can look at the repository: exit code and what is wrong."""
    words = ["pgbackrest", f"--config={config}", f"--stanza={STANZA}", "info", "--output=json"]
    code, out, error = image.program(*words, network=True)
    if code != 0:
        return code, told(error or out)
    try:
        read(out)
    except PostgresError as wrong:
        return 1, str(wrong)
    return 0, ""


def plan(found: Repository, system: str, backup: str = "") -> list[str]:
    """Names of STEPS in their order. Pure. ``backup``: full or diff for one that is wanted in any case.

    Raises PostgresError for somebody else's repository.
    """
    if found.system and found.system != system:
        raise PostgresError(
            f"The object storage holds backups of another database (its system identifier is {found.system}, this "
            f"one's {system}): name another bucket or the path in postgres_backup. Nothing there has been changed."
        )
    # Without a full backup there is nothing to which something could have changed.
    kind = backup if found.backups else "full"
    return ([] if found.exists else [MAKE]) + ([f"make a {kind} backup"] if kind else [])


def make(server: Server) -> None:
    """The stanza, and the proof that WAL gets there."""
    _must(server, "No place for backups could be made", "stanza-create")
    # The archiver waits for up to a minute after a failure, and every one before this was one.
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'archiver';")
    _must(server, "WAL does not arrive in the object storage", "--archive-timeout=60", "check")


def back_up(server: Server, kind: str) -> None:
    """A backup, now: full, or diff for what has changed since the last full one."""
    _must(server, "The backup failed", f"--type={kind}", "backup")


MAKE = "make a place for backups"
STEPS: Mapping[str, Callable[[Server], None]] = {
    MAKE: make,
    "make a full backup": lambda server: back_up(server, "full"),
    "make a diff backup": lambda server: back_up(server, "diff"),
}


def _must(server: Server, otherwise: str, *words: str) -> str:
    code, out, error = server.program(*command(*words))
    if code != 0:
        raise PostgresError(f"{otherwise}: {told(error or out)}")
    return out


#: What pgBackRest's errors mean for whoever has to mend it. Their numbers are pgBackRest's own.
_HINTS = (
    (
        r"\[039\].*(AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch)|\b403\b",
        "the object storage refuses the access key: correct it in the vault, and see that it may use the bucket",
    ),
    (r"NoSuchBucket", "the bucket does not exist: run playbooks/provision.yml, which makes it"),
    (
        r"\[049\]|\[124\]|HostConnectError|timeout|unable to get address|unable to connect|\b50[0-9]\b",
        "the object storage does not answer: see whether its endpoint can be reached from the server, then repeat this",
    ),
    (
        r"CryptoError|FormatError|\[095\]|unable to flush|cipher",
        "what is stored cannot be decrypted: is the backup passphrase the one "
        "that it was stored with, or has the object been damaged?",
    ),
)


def told(said: str) -> str:
    """The last words of pgBackRest, with what to do about them where that is known. Pure."""
    lines = [
        line.strip() for line in said.splitlines() if re.search(r"ERROR|\[\d{3}\]", line)
    ] or said.strip().splitlines()
    last = re.sub(r"^\S+ \S+ P\d\d +", "", " / ".join(lines[-2:]))
    last = re.sub(r"[^\x20-\x7e]+", "?", last)[-400:]
    for pattern, hint in _HINTS:
        if re.search(pattern, said):
            return f"{hint} ({last})"
    return last or "it said nothing"
