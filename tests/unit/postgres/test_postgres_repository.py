"""Where backups go: pgBackRest's configuration, what its repository holds, and what its errors mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import repository
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError
from ansible_collections.bulwark.hetzner.plugins.modules import postgres_repository

from tests.modules import runner

BACKUP = {
    "endpoint": "https://fsn1.example.com",
    "region": "fsn1",
    "bucket": "backups",
    "access_key": "AK",
    "secret_key": "SK",
    "passphrase": "x" * 32,
}
GIBIBYTE = 1024**3


def options(**more: Any) -> dict[str, str]:
    text = repository.document(BACKUP | more, 17, 100 * GIBIBYTE)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_everything_is_encrypted_and_its_peer_is_verified() -> None:
    found = options()
    assert found["repo1-cipher-type"] == "aes-256-cbc"
    assert found["repo1-cipher-pass"] == BACKUP["passphrase"]
    assert found["repo1-storage-ca-file"] == "/etc/ssl/certs/ca-certificates.crt"
    assert "repo1-storage-verify-tls" not in found


def test_the_endpoint_may_have_a_port() -> None:
    assert (options()["repo1-s3-endpoint"], options()["repo1-storage-port"]) == ("fsn1.example.com", "443")
    assert options(endpoint="https://s3.example.com:9000")["repo1-storage-port"] == "9000"


def test_waiting_wal_never_fills_the_volume() -> None:
    assert options()["archive-push-queue-max"] == "30GiB"
    assert "archive-push-queue-max=1GiB\n" in repository.document(BACKUP, 17, GIBIBYTE)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"bucket": ""}, "bucket"),
        ({"secret_key": None}, "secret_key"),
        ({"passphrase": "short"}, "20 or more"),
        ({"endpoint": "http://s3.example.com"}, "https://"),
        ({"endpoint": "https://s3.example.com/folder"}, "without a path"),
        ({"region": "fsn1\nrepo1-cipher-type=none"}, "postgres_backup.region"),
    ],
)
def test_what_could_not_be_stored_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(PostgresError, match=said):
        options(**more)


def info(code: int = 0, backups: int = 1, system: int = 7) -> str:
    return json.dumps(
        [
            {
                "db": [{"system-id": system}] if code != 1 else [],
                "backup": [
                    {"label": f"20261126-02150{number}F", "timestamp": {"stop": 1000 + number}, "info": {"size": 5}}
                    for number in range(backups)
                ],
                "repo": [{"status": {"code": code, "message": "said"}}],
            }
        ]
    )


def test_a_repository_is_read() -> None:
    found = repository.read(info(backups=2))
    assert found.exists
    assert (found.system, found.backups[-1], found.newest, found.bytes) == ("7", "20261126-021501F", 1001.0, 5)
    assert repository.read("[]") == repository.Repository(False, "", (), 0.0, 0, "")
    assert not repository.read(info(code=1, backups=0)).exists


def test_one_that_cannot_be_looked_at_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(PostgresError, match="cannot be read"):
        repository.read(info(code=99))


@pytest.mark.parametrize(
    ("text", "wanted", "steps"),
    [
        ("[]", "", ["make a place for backups", "make a full backup"]),
        (info(code=2, backups=0), "", ["make a full backup"]),
        (info(), "", []),
        (info(), "diff", ["make a diff backup"]),
        (info(code=2, backups=0), "diff", ["make a full backup"]),
    ],
)
def test_what_is_missing_is_made(text: str, wanted: str, steps: list[str]) -> None:
    assert repository.plan(repository.read(text), "7", wanted) == steps
    assert set(steps) <= set(repository.STEPS)


@pytest.mark.parametrize("replica", [False, True])
def test_a_replica_makes_none_and_says_that_it_is_no_primary(
    replica: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def server(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        return 0, json.dumps({"replica": replica, "system": "7"}) if "psql" in words else info(), ""

    monkeypatch.setattr(postgres_repository, "runner", lambda module: server)
    for check in (False, True):
        found = runner(capsys, {}, ())(postgres_repository, check, backup="full")
        assert (found["primary"], found["steps"]) == ((False, []) if replica else (True, ["make a full backup"]))


def test_the_backups_of_another_database_are_left_alone() -> None:
    with pytest.raises(PostgresError, match="another database"):
        repository.plan(repository.read(info(system=8)), "7")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("ERROR: [039]: HTTP request failed with 403 (Forbidden): AccessDenied", "refuses the access key"),
        ("ERROR: [039]: HTTP request failed with 404: <Code>NoSuchBucket</Code>", "provision.yml"),
        ("ERROR: [124]: unable to connect to 's3.example.com:443': [111] Connection refused", "does not answer"),
        ("ERROR: [039]: HTTP request failed with 503 (Service Unavailable)", "does not answer"),
        ("ERROR: [095]: unable to flush", "cannot be decrypted"),
        ("[FormatError] unable to load info file: key/value found outside: \x15\x03", "cannot be decrypted"),
        ("ERROR: [031]: something new", "something new"),
        ("", "said nothing"),
    ],
)
def test_errors_say_what_to_do(said: str, hint: str) -> None:
    assert hint in repository.told(said)


def test_what_does_not_decrypt_is_quoted_raw_and_read_all_the_same() -> None:
    with pytest.raises(PostgresError, match="cannot be decrypted"):
        repository.read(info(code=99).replace("said", "FormatError: \x15\x03"))


def test_neither_stopping_nor_taking_over_waits_long_for_an_object_storage_that_is_away() -> None:
    found = repository.archive_settings()
    assert found["restore_command"].startswith("timeout 10 ")
    assert options()["archive-timeout"] == "15"
