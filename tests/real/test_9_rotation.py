"""Certificates and secrets are replaced while users and clients of the database go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from lab import settings
from tests.launcher import launcher, on, recap, succeed
from tests.real import users
from tests.real.database import MEMBERS, other, primary, sql, streaming, writer
from tests.real.users import NAME, asking

VAULT = settings.STATE / "inventory/group_vars/all/vault.yml"
#: A page that writes a row and reads it.
PAGE = f"https://{NAME}/"
SERVERS = (*MEMBERS, "app-01", "app-02", "jobs-01", "monitor-01", "bastion-server")


def shown() -> dict[str, str]:
    """What tells each certificate from another one, and the key of each database server."""
    found = {"origin": users.shown_certificate()}
    for host in MEMBERS:
        words = "cd /etc/bulwark/postgres && openssl x509 -in server.crt -noout -serial -pubkey"
        found |= dict(zip((f"{host}", f"{host}, key"), on(host, "sh", "-c", words).split("\n", 1), strict=True))
    for host in SERVERS:
        found[f"SSH of {host}"] = on(host, "ssh-keygen", "-L", "-f", "/etc/ssh/bulwark_host-cert.pub")
    return found


def session(host: str) -> str:
    """The connections of the client that writes: how many, and since when."""
    asks = "SELECT count(*), min(backend_start) FROM pg_stat_activity WHERE application_name = 'psql' AND datname = "
    return sql(host, f"{asks}'rails_production'")


def test_every_certificate_is_replaced_and_no_request_or_connection_is_lost() -> None:
    host, before = primary(), shown()
    with writer("rotation") as client, asking(PAGE) as requests:
        since = session(host)
        assert since.startswith("1|")
        said = succeed("run", "playbooks/rotate_certificates.yml")
        client.goes_on()
        assert session(host) == since
    assert requests.failed() == []
    assert client.report()["lost"] == []
    after = shown()
    assert [name for name in before if before[name] == after[name]] == []
    assert streaming(host)
    assert "Origin, at the load balancer: ends 20" in said
    assert all(f"{member}, PostgreSQL: ends 20" in said for member in MEMBERS)


def test_a_certificate_that_does_not_exist_is_refused() -> None:
    answer = launcher("run", "playbooks/rotate_certificates.yml", "-e", "only=origin,databases")
    assert answer.code != 0
    assert "databases is none of" in " ".join(answer.text.split())
    assert sum(counts.changed for counts in recap(answer.text).values()) == 0


def known() -> dict[str, Any]:
    """The vault, opened."""
    found: dict[str, Any] = yaml.safe_load(succeed("shell", feed=f"ansible-vault view {VAULT}"))
    return found


def rotate(*words: str) -> str:
    given = [word for assignment in words for word in ("-e", assignment)]
    said = succeed("run", "playbooks/rotate_secrets.yml", *given)
    passwords = [*known()["bulwark_database_passwords"].values(), known()["bulwark_edge_secret"]]
    assert [number for number, password in enumerate(passwords) if password in said] == []
    return said


def admitted(user: str, password: str) -> bool:
    """Whether the primary lets a user in, who comes from where it may: the application's from its server."""
    host = primary()
    address = on(host, "sh", "-c", "ip -4 -o addr show | grep -o '10[.]0[.]0[.][0-9]*/32' | cut -d/ -f1 | head -1")
    replication = user == "replicator"
    root = "/etc/bulwark/postgres/ca.crt" if replication else "/etc/bulwark/database/ca.crt"
    opens = "replication=true" if replication else "dbname=rails_production"
    question = "IDENTIFY_SYSTEM" if replication else "SELECT current_user"
    psql = f"psql -XAtwc '{question}' 'host={address} user={user} {opens} sslmode=verify-full sslrootcert={root}'"
    program = ["sh", "-c", f"read -r PGPASSWORD; export PGPASSWORD; exec {psql}"]
    if replication:
        program = ["docker", "exec", "-i", "-u", "999:999", "bulwark-postgres", *program]
    answer = launcher("exec", other(host) if replication else "app-01", *program, feed=f"{password}\n")
    assert answer.code == 0 or "password authentication failed" in answer.text, answer.text
    return answer.code == 0


def test_passwords_of_servers_change_and_no_request_is_lost() -> None:
    host, before = primary(), known()["bulwark_database_passwords"]
    with asking(PAGE) as requests:
        said = rotate("new=replicator,metrics")
    after = known()["bulwark_database_passwords"]
    assert requests.failed() == []
    assert {user for user in after if after[user] != before[user]} == {"replicator", "metrics"}
    assert (admitted("replicator", after["replicator"]), admitted("replicator", before["replicator"])) == (True, False)
    assert streaming(host)
    assert "bulwark_database_passwords.replicator is new" in said


@pytest.fixture
def _as_before() -> Iterator[None]:
    """The vault that was there, and the environment as it says, whatever the test left behind."""
    kept = VAULT.read_bytes()
    yield
    VAULT.write_bytes(kept)
    succeed("run", "playbooks/rotate_secrets.yml")
    succeed("deploy")
    sql(primary(), "DROP ROLE IF EXISTS rails_app_alternate")


@pytest.mark.full
@pytest.mark.usefixtures("_as_before")
def test_the_applications_password_and_the_authority_change_in_steps_and_no_request_is_lost() -> None:
    before = known()
    authority = on("app-01", "cat", "/etc/bulwark/database/ca.crt")
    with asking(PAGE) as requests:
        rotate("new=application,database_authority")
        refused = launcher("run", "playbooks/rotate_secrets.yml", "-e", "retire=application", "-e", "confirm=lab")
        assert refused.code != 0
        assert "still uses the database as rails_app" in " ".join(refused.text.split())
        succeed("deploy")
        rotate("use=database_authority", "retire=application", "confirm=lab")
        rotate("retire=database_authority", "confirm=lab")
        succeed("deploy")
    assert requests.failed() == []
    after = known()
    passwords = after["bulwark_database_passwords"]
    assert admitted("rails_app_alternate", passwords["rails_app_alternate"])
    assert not admitted("rails_app", before["bulwark_database_passwords"]["rails_app"])
    assert (
        on("app-01", "cat", "/etc/bulwark/database/ca.crt") == after["bulwark_database_authority_certificate"].strip()
    )
    assert authority != after["bulwark_database_authority_certificate"].strip()
    assert streaming(primary())
    owners = sql(primary(), "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", "rails_production")
    assert owners == "rails_app"


@pytest.mark.full
@pytest.mark.usefixtures("_as_before")
def test_the_edges_secret_changes_in_steps_and_no_request_is_lost() -> None:
    before = known()["bulwark_edge_secret"]
    with asking(PAGE) as requests:
        rotate("new=edge")
        succeed("deploy")
        rotate("use=edge")
        rotate("retire=edge", "confirm=lab")
        succeed("deploy")
    assert requests.failed() == []
    assert known()["bulwark_edge_secret"] != before
    environment = on("app-01", "cat", "/etc/bulwark/application/application.env")
    assert environment == f"EDGE_SECRET={known()['bulwark_edge_secret']}"


def test_nothing_goes_without_the_environments_name() -> None:
    answer = launcher("run", "playbooks/rotate_secrets.yml", "-e", "retire=edge")
    assert answer.code != 0
    assert "confirm=lab" in answer.text
    assert sum(counts.changed for counts in recap(answer.text).values()) == 0
