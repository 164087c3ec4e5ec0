"""A primary alone, after a run that was killed before its restart, and after other people (see files/killed.sh)."""

import re

import pytest

RAILS_APP = "not: a \"secret\" \\ 'one'"
FOLDER = "/etc/bulwark/postgres"


def sql(host, query, database="postgres"):
    """As the superuser, through the socket."""
    return host.check_output("docker exec --user 999 bulwark-postgres psql -U postgres -d %s -Atc %s", database, query)


def login(host, user="rails_app", password=RAILS_APP, mode="verify-full", address="10.0.0.6"):
    """What a client sees that comes over the network."""
    return host.run(
        "docker exec --user 999 --env PGPASSWORD=%s bulwark-postgres psql -Atc 'SELECT current_user' %s",
        password,
        f"host={address} user={user} dbname=rails_production sslmode={mode} sslrootcert={FOLDER}/ca.crt",
    )


def test_a_client_logs_in_with_its_password_and_knows_the_server(host):
    assert login(host).stdout.strip() == "rails_app"


@pytest.mark.parametrize(
    ("client", "says"),
    [
        ({"password": "another one, by hand"}, "password authentication failed"),
        ({"mode": "disable"}, "no pg_hba.conf entry .* no encryption"),
        ({"user": "postgres"}, "no pg_hba.conf entry"),
        ({"user": "metrics"}, "no pg_hba.conf entry"),
        ({"address": "127.0.0.1"}, "does not match host name|no pg_hba.conf entry"),
    ],
)
def test_whoever_should_not_get_in_does_not(host, client, says):
    tried = login(host, **client)
    assert tried.rc != 0
    assert re.search(says, tried.stderr)


def test_another_user_of_the_container_is_not_let_in_through_the_socket(host):
    tried = host.run("docker exec --user 65534 bulwark-postgres psql -U postgres -c 'SELECT 1'")
    assert "Peer authentication failed" in tried.stderr


def test_what_runs_is_what_the_file_says(host):
    assert sql(host, "SHOW max_connections") == "100"
    assert sql(host, "SELECT count(*) FROM pg_settings WHERE pending_restart") == "0"
    assert sql(host, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == "0"


def test_users_have_exactly_their_rights(host):
    query = (
        "SELECT rolname || ':' || concat_ws(' ', CASE WHEN rolsuper THEN 'super' END, CASE WHEN rolreplication "
        "THEN 'replication' END, CASE WHEN rolcreatedb THEN 'createdb' END) FROM pg_roles "
        "WHERE rolname !~ '^pg_' ORDER BY 1"
    )
    assert sql(host, query).splitlines() == [
        "metrics:",
        "postgres:super replication createdb",
        "rails_app:createdb",
        "replicator:replication",
        "rewind:",
    ]
    assert sql(host, "SELECT pg_has_role('metrics', 'pg_monitor', 'MEMBER')") == "t"
    assert sql(host, "SELECT has_function_privilege('rewind', 'pg_read_binary_file(text)', 'EXECUTE')") == "t"
    assert sql(host, "SELECT has_function_privilege('metrics', 'pg_read_binary_file(text)', 'EXECUTE')") == "f"
    assert sql(host, "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'") == "t"


def test_the_databases_are_the_applications_and_hold_what_they_held(host):
    owned = sql(host, "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = 'rails_app' ORDER BY 1")
    assert owned.splitlines() == [
        "rails_production",
        "rails_production_cable",
        "rails_production_cache",
        "rails_production_queue",
    ]
    assert sql(host, "SELECT line FROM kept", "rails_production") == "still here"
    assert sql(host, "SHOW data_checksums") == "on"


def test_secrets_are_the_servers_alone(host):
    for name in ("server.key", "pgpass"):
        file = host.file(f"{FOLDER}/{name}")
        assert (file.uid, file.mode) == (999, 0o400)
    shown = host.check_output(
        "docker inspect bulwark-postgres; docker logs bulwark-postgres 2>&1; journalctl --no-pager"
    )
    for secret in ("nor-this-one-either", "SCRAM-SHA-256$", "a-fourth-password", "not: a"):
        assert secret not in shown


def test_the_data_is_on_the_volume_which_has_grown(host):
    mount = host.mount_point("/var/lib/postgresql")
    assert mount.exists
    assert mount.filesystem == "xfs"
    assert int(host.check_output("df --output=size -B1M /var/lib/postgresql | tail -1")) > 2900
    assert host.file("/var/lib/postgresql/17/data/PG_VERSION").exists
    assert host.check_output("docker volume ls --quiet") == ""


def test_it_does_not_start_without_its_volume(host):
    host.check_output("systemctl stop bulwark-postgres bulwark-volume-var-lib-postgresql")
    try:
        assert host.run("mountpoint -q /var/lib/postgresql").rc != 0
        host.check_output("mv /dev/disk/by-id/scsi-0HC_Volume_1 /root/unplugged")
        # What waits a minute for a volume need not be waited for here.
        host.check_output("systemctl start --no-block bulwark-postgres; sleep 3")
        assert host.check_output("docker ps --quiet --filter name=bulwark-postgres") == ""
        assert host.check_output("ls /var/lib/postgresql") == ""
    finally:
        host.check_output("mv /root/unplugged /dev/disk/by-id/scsi-0HC_Volume_1")
        host.check_output("systemctl start bulwark-volume-var-lib-postgresql bulwark-postgres")
    host.check_output("timeout 60 sh -c 'until docker exec bulwark-postgres pg_isready -q; do sleep 0.2; done'")


def test_it_comes_back_when_its_process_is_killed(host):
    host.check_output("docker kill bulwark-postgres")
    host.check_output("timeout 60 sh -c 'until docker exec bulwark-postgres pg_isready -q; do sleep 0.2; done'")
    assert sql(host, "SELECT line FROM kept", "rails_production") == "still here"


def test_it_lives_on_while_dockers_daemon_restarts(host):
    before = host.check_output("docker inspect --format '{{.State.StartedAt}}' bulwark-postgres")
    host.check_output("systemctl restart docker")
    assert host.check_output("docker inspect --format '{{.State.StartedAt}}' bulwark-postgres") == before
    assert host.service("bulwark-postgres").is_running


def test_systemd_starts_it_and_docker_does_not(host):
    assert host.service("bulwark-postgres").is_enabled
    assert host.check_output("docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' bulwark-postgres") == "no"


def test_a_fence_mark_keeps_it_down(host):
    host.check_output("touch /var/lib/postgresql/fenced && systemctl restart bulwark-postgres; sleep 3")
    try:
        assert host.run("docker exec bulwark-postgres pg_isready").rc != 0
        assert "fenced" in host.file("/run/bulwark-postgres/why").content_string
        assert host.run("systemctl is-active bulwark-postgres").stdout.strip() == "failed"
    finally:
        host.check_output("rm /var/lib/postgresql/fenced && systemctl restart bulwark-postgres")
    host.check_output("timeout 60 sh -c 'until docker exec bulwark-postgres pg_isready -q; do sleep 0.2; done'")
