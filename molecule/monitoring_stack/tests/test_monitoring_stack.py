"""What is asked, who is told, and who can read what, after a run that was killed (see files/killed.sh)."""

import json
import re
import time
from urllib.parse import quote

import pytest

FOLDER = "/etc/bulwark/monitoring"
DATA = "/var/lib/bulwark/monitoring"
PROMETHEUS = "http://10.0.0.8:9090"
ALERTMANAGER = "http://10.0.0.8:9093"
SECRETS = ("a-password-for-metrics", "pager-5ecret", "heartbeat-5ecret", "mail-5ecret-word")
NAMES = [
    "bulwark-alertmanager",
    "bulwark-blackbox-exporter",
    "bulwark-postgres-exporter-db-primary",
    "bulwark-prometheus",
]


def get(host, url):
    return json.loads(host.check_output("curl -fsS %s", url))["data"]


def query(host, expression):
    found = get(host, f"{PROMETHEUS}/api/v1/query?query={quote(expression)}")
    return {entry["metric"].get("instance", ""): float(entry["value"][1]) for entry in found["result"]}


def eventually(look):
    """What a look gives as soon as it is something; a scrape and an evaluation take two seconds each."""
    for _ in range(60):
        found = look()
        if found:
            return found
        time.sleep(1)
    return look()


@pytest.fixture(scope="module")
def targets(host):
    def look():
        found = get(host, f"{PROMETHEUS}/api/v1/targets?state=active")["activeTargets"]
        return found if all(target["health"] == "up" for target in found) else None

    assert eventually(look), host.check_output(f"curl -fsS {PROMETHEUS}/api/v1/targets")
    return get(host, f"{PROMETHEUS}/api/v1/targets?state=active")["activeTargets"]


def test_everything_declared_is_a_target_with_the_labels_that_rules_rely_on(targets):
    found = {
        (target["labels"]["job"], target["labels"]["instance"], target["labels"]["role"], target["labels"]["env"])
        for target in targets
    }
    assert found == {
        ("alertmanager", "monitor-01", "monitoring", "trial"),
        ("blackbox", "monitor-01", "monitoring", "trial"),
        ("node", "monitor-01", "monitoring", "trial"),
        ("origin", "rails-lb", "load_balancer", "trial"),
        ("postgres", "db-primary", "db", "trial"),
        ("prometheus", "monitor-01", "monitoring", "trial"),
        ("public", "https://application.example:8443/up", "edge", "trial"),
        ("up", "app-01", "app", "trial"),
    }


def test_probes_succeed_and_see_certificates(host, targets):
    for job in ("public", "origin", "up"):
        assert eventually(lambda job=job: list(query(host, f'probe_success{{job="{job}"}}').values()) == [1]), job
    for job in ("public", "origin"):
        (ends,) = query(host, f'probe_ssl_earliest_cert_expiry{{job="{job}"}} - time()').values()
        assert 19 * 86400 < ends <= 20 * 86400


def test_the_application_is_asked_by_its_name(host, targets):
    asked = host.file("/root/requests").content_string
    assert "GET /up application.example " in asked


def test_the_database_is_asked_over_tls_as_the_user_for_metrics(host, targets):
    assert query(host, "pg_up") == {"db-primary": 1}
    assert query(host, "pg_replication_is_replica") == {"db-primary": 0}
    sql = (
        "SELECT string_agg(DISTINCT usename || ' ' || ssl || ' ' || client_addr, ',') "
        "FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'metrics'"
    )
    shown = host.check_output("docker exec --user 999 database psql -U postgres -Atc %s", sql)
    assert shown.startswith("metrics true 10.0.0.")


def test_all_rules_are_loaded_and_can_be_evaluated(host, targets):
    groups = get(host, f"{PROMETHEUS}/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {"Watchdog", "HostDown", "ApplicationAsked"} <= {rule["name"] for rule in rules}
    assert "ApplicationAskedBefore" not in {rule["name"] for rule in rules}
    assert eventually(
        lambda: all(
            rule["health"] == "ok"
            for group in get(host, f"{PROMETHEUS}/api/v1/rules")["groups"]
            for rule in group["rules"]
        )
    )
    assert not [group["file"] for group in groups if "left-behind" in group["file"]]
    assert not host.file(f"{FOLDER}/prometheus/rules/left-behind.yml").exists


def test_an_alert_reaches_the_webhook_that_is_named_and_the_heartbeat_is_heard(host, targets):
    def told(path):
        return [line for line in host.file("/root/requests").content_string.splitlines() if f"POST /{path} " in line]

    # The first of a group waits half a minute for others.
    pager = eventually(lambda: told("pager-5ecret"))
    assert pager
    mine = [line for line in pager if '"alertname":"ApplicationAsked"' in line]
    assert mine
    assert '"receiver":"critical"' in mine[-1]
    heartbeat = eventually(lambda: told("heartbeat-5ecret"))
    assert heartbeat
    assert '"alertname":"Watchdog"' in heartbeat[-1]
    assert not [line for line in pager if "Watchdog" in line]


def test_a_killed_run_was_made_good_without_a_restart_of_prometheus(host):
    started = host.check_output("docker inspect --format '{{.State.StartedAt}}' bulwark-prometheus")
    assert started == host.file("/root/started").content_string.strip()
    names = host.check_output(
        "docker ps --filter label=com.docker.compose.project=bulwark-monitoring --format '{{.Names}}'"
    )
    assert sorted(names.splitlines()) == NAMES
    assert not host.file("/etc/bulwark/monitoring.new").exists
    assert "GOMEMLIMIT=57MiB" in host.check_output(
        "docker inspect --format '{{.Config.Env}}' bulwark-blackbox-exporter"
    )


def test_ports_are_bound_only_as_meant(host):
    listening = {line.split()[3] for line in host.check_output("ss -Hltn").splitlines()}
    monitoring = {entry for entry in listening if re.search(r":(9090|9093|9094|9115|91[89]\d)$", entry)}
    assert monitoring == {"10.0.0.8:9090", "10.0.0.8:9093", "127.0.0.1:9115", "127.0.0.1:9187"}
    assert not [entry for entry in listening if entry.startswith(("*:9", "0.0.0.0:9", "[::]:9"))]


def test_secrets_are_their_containers_alone(host):
    for name in ("pager", "heartbeat"):
        path = "webhook_pager" if name == "pager" else "heartbeat_url"
        file = host.file(f"{FOLDER}/alertmanager/secrets/{path}")
        assert (file.uid, file.mode) == (65534, 0o400)
    file = host.file(f"{FOLDER}/postgres_exporter/password")
    assert (file.uid, file.mode) == (65534, 0o400)
    assert host.file(FOLDER).mode == 0o700
    assert host.file(FOLDER).uid == 0
    # Another process with the number of the containers' user does not get there.
    tried = host.run(f"setpriv --reuid 65534 --regid 65534 --clear-groups cat {FOLDER}/postgres_exporter/password")
    assert "Permission denied" in tried.stderr


def test_no_secret_is_shown(host):
    shown = host.check_output(
        "docker inspect %s; journalctl --no-pager; ps -ef; cat %s/compose.yml",
        "bulwark-alertmanager",
        FOLDER,
    )
    shown += host.check_output("docker inspect bulwark-postgres-exporter-db-primary bulwark-prometheus")
    for name in NAMES:
        shown += host.check_output("docker logs %s 2>&1", name)
    shown += host.check_output(f"curl -fsS {ALERTMANAGER}/api/v2/status; curl -fsS {PROMETHEUS}/api/v1/status/config")
    for secret in SECRETS:
        assert secret not in shown


@pytest.mark.parametrize("name", NAMES)
def test_a_container_may_do_no_more_than_it_must(host, name):
    (found,) = json.loads(host.check_output("docker inspect %s", name))
    assert found["HostConfig"]["ReadonlyRootfs"]
    assert found["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    process = found["State"]["Pid"]
    status = host.check_output(f"cat /proc/{process}/status")
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
    written = [mount["Source"] for mount in found["Mounts"] if mount["RW"] and mount["Type"] == "bind"]
    assert all(path.startswith(DATA) for path in written)


def test_data_lies_where_it_is_kept_and_nobody_else_reads_it(host):
    for part in ("prometheus", "alertmanager"):
        assert (host.file(f"{DATA}/{part}").uid, host.file(f"{DATA}/{part}").mode) == (65534, 0o700)
    assert host.check_output(f"find {DATA}/prometheus -name wal") != ""
    assert query(host, "prometheus_tsdb_retention_limit_bytes") == {"monitor-01": 1024**3}
    assert host.check_output("docker volume ls --quiet --filter dangling=false | wc -l") <= "1"  # the database's


def test_memory_is_within_what_is_promised(host):
    usage = {
        name: int(host.check_output(f"ps -o rss= -p $(docker inspect --format '{{{{.State.Pid}}}}' {name})")) // 1024
        for name in NAMES
    }
    assert usage["bulwark-prometheus"] < 400
    assert usage["bulwark-blackbox-exporter"] < 40
    assert usage["bulwark-postgres-exporter-db-primary"] < 40


def test_it_goes_on_while_the_engine_restarts_and_comes_back_when_it_ends(host):
    before = host.check_output("docker inspect --format '{{.State.StartedAt}}' bulwark-prometheus")
    host.check_output("systemctl restart docker")
    assert host.check_output("docker inspect --format '{{.State.StartedAt}}' bulwark-prometheus") == before
    # Prometheus has been told to read its files again, by which an engine may lose sight of it.
    for name, url in (("bulwark-alertmanager", ALERTMANAGER), ("bulwark-prometheus", PROMETHEUS)):
        process = host.check_output("docker inspect --format '{{.State.Pid}}' %s", name)
        host.check_output("kill -9 %s", process)
        assert eventually(lambda url=url: host.run(f"curl -fsS {url}/-/ready").rc == 0), name
