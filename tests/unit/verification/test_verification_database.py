"""What a member of a PostgreSQL pair finds out about itself."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import service
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import database
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.database import Examiner, Expectations
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.report import one_primary
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USERS = ("metrics", "rails_app", "replicator", "rewind")
PRIMARY = Expectations(
    member="db-primary",
    members={"db-primary": "127.0.0.1", "db-replica": "10.0.0.7"},
    major=17,
    users=USERS,
    databases={"rails_production": "rails_app"},
    certificate_days=14,
    archive_seconds=900,
    timeout=2,
)
REPLICA = replace(PRIMARY, member="db-replica", members={"db-primary": "10.0.0.6", "db-replica": "127.0.0.1"})


def line(number: int = 3, **more: Any) -> dict[str, Any]:
    found = {"line": number, "type": "hostssl", "users": ["rails_app"], "method": "scram-sha-256", "error": None}
    return found | more


def facts(**more: Any) -> dict[str, Any]:
    found = {
        "version": "17.12",
        "major": 17,
        "in_recovery": False,
        "logins": [*USERS, "postgres"],
        "superusers": ["postgres"],
        "superusers_with_password": [],
        "lines": [line(1, type="local", users=["postgres"], method="peer"), line()],
        "databases": {"postgres": "postgres", "rails_production": "rails_app"},
        "settings": {
            "wal_level": "replica",
            "max_wal_senders": "10",
            "archive_mode": "off",
            "ssl": "on",
            "password_encryption": "scram-sha-256",
            "data_checksums": "on",
        },
        "followers": {"db-replica": "streaming"},
        "receiver": None,
        "archive": {"failed": False, "failed_wal": None, "archived": 3, "waiting": 0, "waiting_seconds": None},
    }
    return found | more


def settings(**more: str) -> dict[str, Any]:
    return facts(settings=facts()["settings"] | more)


def receiving(status: str = "streaming", sender: str = "10.0.0.6") -> dict[str, Any]:
    return facts(in_recovery=True, followers={}, receiver={"status": status, "sender": sender})


@dataclass
class Psql:
    """Answers one question after the other, the last answer again and again; keeps what it was fed."""

    answers: list[Any]
    fed: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        assert words[:3] == ["docker", "exec", "-i"]
        self.fed.append(feed)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return (2, "", answer[1]) if isinstance(answer, tuple) else (0, json.dumps(answer), "")


def examiner(expected: Expectations, *answers: Any) -> Examiner:
    passed: list[float] = []
    return Examiner(Psql(list(answers)), expected, passed.append, lambda: sum(passed))


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> list[service.Step | None]:
    """What is left to be done about the service; the certificate is good."""
    left: list[service.Step | None] = [None]
    monkeypatch.setattr(service, "look", lambda run: None)
    monkeypatch.setattr(service, "decide", lambda seen: left[0])
    monkeypatch.setattr(database, "check_certificate", lambda *_: (True, "certificate good for 300 days"))
    return left


def test_a_primary_that_holds() -> None:
    results, role = examiner(PRIMARY, facts()).examine()
    assert role == "primary"
    assert results == [
        ("database", (True, "PostgreSQL 17.12 as its files say, certificate good for 300 days")),
        ("database replication", (True, "primary, db-replica streaming")),
        ("database logins", (True, "metrics, rails_app, replicator, rewind over TLS, postgres locally; 1 databases")),
        (
            "database settings",
            (
                True,
                "wal_level replica, max_wal_senders 10, ssl on, password_encryption scram-sha-256, data_checksums on",
            ),
        ),
    ]


def test_a_replica_that_holds_says_whom_it_follows() -> None:
    results, role = examiner(REPLICA, receiving()).examine()
    assert role == "replica"
    assert ("database replication", (True, "replica, streams from db-primary")) in results
    assert all(ok for _, (ok, _) in results)


@pytest.mark.parametrize(
    ("expected", "found", "says"),
    [
        (PRIMARY, facts(followers={}), "db-replica is not connected, should be streaming"),
        (PRIMARY, facts(followers={"db-replica": "catchup", "other": "streaming"}), "db-replica catchup"),
        (REPLICA, receiving(status="stopped"), "its receiver is stopped"),
        (REPLICA, facts(in_recovery=True), "its receiver is not connected"),
        (REPLICA, receiving(sender="10.0.0.99"), "streams from 10.0.0.99, which is no member"),
    ],
)
def test_replication_that_does_not_hold(expected: Expectations, found: dict[str, Any], says: str) -> None:
    results, _ = examiner(expected, found).examine()
    ok, detail = dict(results)["database replication"]
    assert not ok
    assert says in detail


def test_replication_is_waited_for_after_a_start() -> None:
    results, _ = examiner(REPLICA, receiving(status="waiting"), receiving(status="waiting"), receiving()).examine()
    assert dict(results)["database replication"][0]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (facts(logins=["postgres", "metrics", "rails_app", "replicator"]), "rewind cannot log in"),
        (facts(logins=[*USERS, "postgres", "mallory"]), "mallory can log in and should not"),
        (facts(superusers=["postgres", "rails_app"]), "rails_app should be no superuser"),
        (facts(superusers_with_password=["postgres"]), "postgres has a password"),
        (facts(lines=[line(type="host")]), "line 3: host with scram-sha-256"),
        (facts(lines=[line(method="trust")]), "line 3: hostssl with trust"),
        (facts(lines=[line(type="local", method="trust")]), "line 3: trust through the local socket"),
        (facts(lines=[line(users=["all"])]), "line 3: lets postgres in over the network"),
        (facts(lines=[line(users=None, method=None, error="invalid")]), "line 3: invalid"),
        (facts(databases={}), "rails_production belongs to nobody: it is missing, should be rails_app"),
        (facts(databases={"rails_production": "postgres"}), "belongs to postgres, should be rails_app"),
    ],
)
def test_logins_that_do_not_hold(found: dict[str, Any], says: str) -> None:
    ok, detail = database.judge_logins(found, PRIMARY)
    assert not ok
    assert says in detail


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"wal_level": "minimal"}, "wal_level is minimal"),
        ({"max_wal_senders": "1"}, "max_wal_senders is 1, should be at least 2"),
        ({"ssl": "off"}, "ssl is off, should be on"),
        ({"password_encryption": "md5"}, "password_encryption is md5"),
        ({"data_checksums": "off"}, "data_checksums is off"),
    ],
)
def test_settings_that_do_not_hold(change: dict[str, str], says: str) -> None:
    ok, detail = database.judge_settings(settings(**change), PRIMARY)
    assert not ok
    assert says in detail


@pytest.mark.parametrize(
    ("change", "ok", "says"),
    [
        ({}, True, "3 segments archived, 0 wait"),
        ({"waiting": 2, "waiting_seconds": 60}, True, "2 wait"),
        ({"waiting": 2, "waiting_seconds": 901}, False, "2 segments wait, the oldest for 901 s"),
        ({"failed": True, "failed_wal": "000A"}, False, "000A could not be archived"),
    ],
)
def test_the_archive_of_a_primary(change: dict[str, Any], ok: bool, says: str) -> None:
    found = settings(archive_mode="on") | {"archive": facts()["archive"] | change}
    results, _ = examiner(PRIMARY, found).examine()
    seen = dict(results)["database archive"]
    assert seen[0] is ok
    assert says in seen[1]


def test_a_replica_archives_nothing() -> None:
    found = receiving() | {"settings": facts()["settings"] | {"archive_mode": "on"}}
    assert "database archive" not in dict(examiner(REPLICA, found).examine()[0])


def test_one_that_does_not_answer_is_one_failed_check() -> None:
    results, role = examiner(PRIMARY, (2, "No such container")).examine()
    assert role == ""
    assert [(name, ok) for name, (ok, _) in results] == [("database", False)]
    assert "No such container" in results[0][1][1]


def test_a_server_that_is_not_what_its_files_say(running: list[service.Step | None]) -> None:
    running[0] = service.Step("restart", "only a restart changes shared_buffers")
    ok, detail = dict(examiner(PRIMARY, facts()).examine()[0])["database"]
    assert not ok
    assert detail == "what runs is not what its files say: only a restart changes shared_buffers"


def test_another_version() -> None:
    ok, detail = dict(examiner(PRIMARY, facts(major=16, version="16.4")).examine()[0])["database"]
    assert not ok
    assert detail == "PostgreSQL 16.4 runs, should be 17"


def test_a_row_is_written_without_waiting_for_another_member() -> None:
    writing = examiner(PRIMARY, {})
    assert writing.write_row("abc1")[0]
    assert "'abc1'" in writing.run.fed[0]
    assert "synchronous_commit = local" in writing.run.fed[0]


def test_a_row_is_waited_for() -> None:
    # The table is not there, then it is with the row of the run before, then with this one's.
    assert examiner(REPLICA, False, True, "before", True, "abc1").read_row("abc1")[0]


def test_a_row_that_does_not_come() -> None:
    ok, detail = examiner(REPLICA, True, "before", True, "before", True, "before", False).read_row("abc1")
    assert not ok
    assert detail == "the row that was written on the primary is not here after 2 s"


def test_a_token_cannot_be_a_statement() -> None:
    writing = examiner(PRIMARY, {})
    assert not writing.write_row("'); DROP")[0]
    assert writing.run.fed == []


def member(role: str) -> dict[str, Any]:
    return {"role": role, "members": ["db-primary", "db-replica"], "checks": []}


@pytest.mark.parametrize(
    ("roles", "ok", "says"),
    [
        (("primary", "replica"), True, "primary is db-primary of db-primary, db-replica"),
        (("primary", "primary"), False, "primary is db-primary and db-replica of"),
        (("replica", "replica"), False, "primary is nobody of"),
        (("", "replica"), False, "primary is nobody of"),
    ],
)
def test_one_of_all_members_is_primary(roles: tuple[str, str], ok: bool, says: str) -> None:
    results = {"app-01": {"skipped": True}, "db-primary": member(roles[0]), "db-replica": member(roles[1])}
    (check,) = one_primary(results)
    assert check["ok"] is ok
    assert says in check["detail"]


def test_of_some_of_the_members_nothing_can_be_said() -> None:
    assert one_primary({"db-replica": member("replica")}) == []
    assert one_primary({"app-01": {"skipped": True}}) == []


@dataclass
class Shown:
    """A server that shows a certificate as PostgreSQL does, and the certificate it is to be trusted by."""

    port: int
    root: str


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "postgres")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=days)
    )
    signed = built.add_extension(x509.SubjectAlternativeName([address]), critical=False).sign(key, hashes.SHA256())
    (folder / "crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return folder / "crt", folder / "key"


@pytest.fixture
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shown]:
    crt, key = certificate(tmp_path, request.param[1])
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        plain, _ = listener.accept()
        with plain:
            asked = plain.recv(8)
            plain.sendall(request.param[0] if asked == database.SSL_REQUEST else b"E")
            if request.param[0] == b"S":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(crt, key)
                # A client that does not trust it leaves in the middle.
                with suppress(OSError), context.wrap_socket(plain, server_side=True) as secured:
                    secured.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield Shown(listener.getsockname()[1], str(crt))
    thread.join(5)


#: The autouse fixture puts another in its place.
CHECK_CERTIFICATE = database.check_certificate


@pytest.mark.parametrize(
    ("shown", "ok", "says"),
    [
        ((b"S", 30), True, "certificate good for 29 days"),
        ((b"S", 10), False, "its certificate ends in 9 days, should be 14 or more"),
        ((b"N", 30), False, "it speaks no TLS"),
    ],
    indirect=["shown"],
)
def test_the_certificate_that_clients_see(shown: Shown, ok: bool, says: str) -> None:
    seen = CHECK_CERTIFICATE("127.0.0.1", PRIMARY, shown.root, time.time(), shown.port)
    assert seen == (ok, says)


@pytest.mark.parametrize("shown", [(b"S", 30)], indirect=True)
def test_a_certificate_of_another_authority(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other", 30)
    ok, detail = CHECK_CERTIFICATE("127.0.0.1", PRIMARY, str(other), time.time(), shown.port)
    assert not ok
    assert "certificate verify failed" in detail
