"""Certificates and secrets are replaced while users and clients of the database go on."""

from __future__ import annotations

from tests.launcher import launcher, on, recap, succeed
from tests.real import users
from tests.real.database import MEMBERS, primary, sql, streaming, writer
from tests.real.users import NAME, asking

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
    who = "usename = 'rails_app' AND application_name = 'psql' AND datname = 'rails_production'"
    return sql(host, f"SELECT count(*), min(backend_start) FROM pg_stat_activity WHERE {who}")


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
