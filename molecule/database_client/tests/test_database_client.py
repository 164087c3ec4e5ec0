"""What a server has afterwards, and who may read it. A database is not here: the pair's own scenarios have one."""

FOLDER = "/etc/bulwark/database"
RAILS_APP = "p@ss: %/?#x&\"'\\+1"


def as_user(host, user, command):
    return host.run("runuser -u %s -- env LC_ALL=C sh -c %s", user, command)


# There is no network, so a login ends there; by then the certificate has been read, and the password's file accepted.
def assert_both_members_were_tried(tried):
    assert tried.rc == 2
    for address in ("192.0.2.6", "192.0.2.7"):
        assert f'server at "{address}", port 5432 failed: Network is unreachable' in tried.stderr
    assert "password file" not in tried.stderr


def test_psql_knows_the_services(host):
    assert_both_members_were_tried(as_user(host, "alice", "psql service=rails_production_cache_read -c 'SELECT 1'"))


def test_libpq_reads_the_url_that_rails_gets(host):
    url = f"$(sed -n s/^DATABASE_URL=//p {FOLDER}/database.env)"
    assert_both_members_were_tried(as_user(host, "alice", f"psql \"{url}\" -c 'SELECT 1'"))


def test_nobody_else_reads_a_secret(host):
    for name in ("database.env", "pgpass"):
        assert "Permission denied" in as_user(host, "bob", f"cat {FOLDER}/{name}").stderr
    assert as_user(host, "alice", f"cat {FOLDER}/database.env").rc == 0
    assert host.file(f"{FOLDER}/database.env").mode == 0o640
    assert host.file(f"{FOLDER}/pgpass").mode == 0o600
    assert RAILS_APP not in as_user(host, "bob", f"cat {FOLDER}/ca.crt /etc/postgresql-common/pg_service.conf").stdout


def test_the_journal_holds_no_secret(host):
    assert RAILS_APP not in host.check_output("journalctl --no-pager")
    assert "p%40ss" not in host.check_output("journalctl --no-pager")


def test_the_environment_is_what_containers_get(host):
    lines = [line for line in host.file(f"{FOLDER}/database.env").content_string.splitlines() if line[0] != "#"]
    environment = dict(line.split("=", 1) for line in lines)
    assert sorted(environment) == [
        "CABLE_DATABASE_URL",
        "CACHE_DATABASE_URL",
        "DATABASE_READ_URL",
        "DATABASE_URL",
        "QUEUE_DATABASE_URL",
        "REPLICA_DATABASE_URL",
        "S3_ACCESS_KEY_ID",
        "S3_BUCKET",
        "S3_ENDPOINT",
        "S3_REGION",
        "S3_SECRET_ACCESS_KEY",
    ]
    assert lines[-1] == "S3_SECRET_ACCESS_KEY=s+e/c="
