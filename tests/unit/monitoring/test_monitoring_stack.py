"""What Prometheus asks, who is told of alerts, and what the containers are given."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring import alerting, scraping
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.declared import PARTS, MonitoringError, read
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.stack import Stack, stack

from tests.checkout import ROOT
from tests.unit.monitoring.declared_options import SECRETS, options


def made(**other: Any) -> Stack:
    return stack(read(options(**other)))


def document(found: Stack, path: str) -> Any:
    return yaml.safe_load(next(file["content"] for file in found["files"] if file["path"] == path))


def jobs(**other: Any) -> dict[str, list[tuple[str, dict[str, str]]]]:
    config = document(made(**other), "prometheus/prometheus.yml")
    return {
        job["job_name"]: [(entry["targets"][0], entry["labels"]) for entry in job["static_configs"]]
        for job in config["scrape_configs"]
    }


def receivers(**other: Any) -> dict[str, Any]:
    return alerting.alertmanager(read(options(**other)).receivers)


def test_every_target_has_the_labels_that_rules_rely_on() -> None:
    found = jobs()
    assert set(found) == {
        "node",
        "prometheus",
        "alertmanager",
        "grafana",
        "loki",
        "blackbox",
        "public",
        "up",
        "origin",
        "postgres",
        "app",
    }
    for targets in found.values():
        assert all(set(labels) == {"instance", "role", "env"} for _, labels in targets)
        assert {labels["env"] for _, labels in targets} == {"trial"}
    assert found["node"][0] == ("10.0.0.3:9100", {"instance": "app-01", "role": "app", "env": "trial"})
    assert [(target, labels["instance"]) for target, labels in found["postgres"]] == [
        ("127.0.0.1:9187", "db-primary"),
        ("127.0.0.1:9188", "db-replica"),
    ]
    assert found["up"][0][0] == "http://10.0.0.3:80/up"
    assert found["public"] == [
        ("https://example.com/up", {"instance": "https://example.com/up", "role": "edge", "env": "trial"})
    ]
    assert found["origin"] == [
        ("10.0.0.9:443", {"instance": "rails-lb", "role": "load_balancer", "env": "trial"}),
    ]


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("grafana", {"grafana"}),
        ("loki", {"loki"}),
        ("alertmanager", {"alertmanager"}),
        ("postgres_exporter", {"postgres"}),
        ("blackbox_exporter", {"blackbox", "public", "up", "origin"}),
    ],
)
def test_what_does_not_run_is_no_target_and_has_no_container_and_no_files(part: str, gone: set[str]) -> None:
    rest = [name for name in PARTS if name != part]
    assert set(jobs()) - set(jobs(parts=rest)) == gone
    found = made(parts=rest)
    assert part not in {service["part"] for service in found["services"]}
    assert not [path for path in [file["path"] for file in found["files"]] if path.startswith(f"{part}/")]
    assert not [path for path in found["secrets"] if path.startswith(f"{part}/")]
    assert part not in {check["part"] for check in found["checks"]}


def test_a_server_more_is_a_target_more_and_no_other_file() -> None:
    more = options()["node_targets"] + [{"host": "app-02", "address": "10.0.0.4:9100", "roles": ["app"]}]
    before, after = made(), made(node_targets=more)
    changed = [old["path"] for old, new in zip(before["files"], after["files"], strict=True) if old != new]
    assert changed == ["prometheus/prometheus.yml"]


def test_probes_are_sent_to_the_exporter_on_loopback() -> None:
    config = document(made(), "prometheus/prometheus.yml")
    probes = {job["job_name"]: job for job in config["scrape_configs"] if job.get("metrics_path") == "/probe"}
    assert {name: job["params"]["module"] for name, job in probes.items()} == {
        "public": ["http_public"],
        "up": ["http_up"],
        "origin": ["tls_origin"],
    }
    for job in probes.values():
        assert job["relabel_configs"][-1] == {"target_label": "__address__", "replacement": "127.0.0.1:9115"}


def test_only_the_origin_is_asked_without_verifying_its_certificate() -> None:
    modules = scraping.blackbox(read(options(up_host="app.example")))["modules"]
    assert modules["tls_origin"]["tcp"]["tls_config"] == {"insecure_skip_verify": True, "server_name": "example.com"}
    assert "insecure_skip_verify" not in json.dumps({name: modules[name] for name in ("http_public", "http_up")})
    assert modules["http_up"]["http"]["headers"] == {"Host": "app.example"}
    assert "tls_origin" not in scraping.blackbox(read(options(origin={})))["modules"]


def test_alerts_reach_who_is_named_and_everybody_otherwise() -> None:
    everybody = {entry["name"]: entry for entry in receivers()["receivers"]}
    assert set(everybody) == {"nobody", "critical", "warning", "heartbeat"}
    kinds = {"email_configs", "slack_configs", "webhook_configs"}
    assert kinds < set(everybody["critical"])
    assert kinds < set(everybody["warning"])
    chosen = receivers(notify={"critical": ["mail", "webhook:pager"], "warning": []})
    names = {entry["name"]: entry for entry in chosen["receivers"]}
    assert set(names) == {"nobody", "critical", "heartbeat"}
    assert set(names["critical"]) == {"name", "email_configs", "webhook_configs"}
    assert [route["receiver"] for route in chosen["route"]["routes"]] == ["heartbeat", "critical"]


def test_nobody_is_told_where_nobody_is_declared() -> None:
    other: dict[str, Any] = {"mail": {}, "slack": {}, "webhooks": [], "heartbeat_url": ""}
    assert [entry["name"] for entry in receivers(**other)["receivers"]] == ["nobody"]
    assert not made(**other)["tells"]
    assert made()["tells"]


def test_mail_goes_encrypted() -> None:
    (critical,) = [entry for entry in receivers()["receivers"] if entry["name"] == "critical"]
    assert critical["email_configs"][0]["require_tls"] is True
    assert critical["email_configs"][0]["to"] == "alice@example.com, bob@example.com"


def test_what_follows_from_what_is_what_the_documentation_says() -> None:
    text = (ROOT / "docs/alerts.md").read_text()
    table = text[text.index("## What follows from what") : text.index("## Decisions")]
    rows = [[re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:4]] for row in table.splitlines()]
    rows = [row for row in rows if row and row[0]]
    rules = receivers()["inhibit_rules"]
    assert len(rows) == len(rules)
    for (sources, targets, equal), rule in zip(rows, rules, strict=True):
        assert rule["source_matchers"][0] == f'alertname="{sources[0]}"'
        assert rule["equal"] == equal
        wanted = json.dumps(rule["target_matchers"])
        assert [name for name in targets if name.partition("=")[0].rstrip("…") not in wanted] == []


def test_secrets_lie_in_files_of_their_own_and_nowhere_else() -> None:
    found = made()
    shown = json.dumps({name: value for name, value in found.items() if name != "secrets"})
    assert not [secret for secret in SECRETS if secret in shown]
    hidden = json.dumps(found["secrets"])
    assert [secret for secret in SECRETS if secret not in hidden] == []
    assert all(check["words"] for check in found["checks"])


def test_containers_may_do_little_and_are_bound_to_one_address_or_loopback() -> None:
    services = document(made(), "compose.yml")["services"]
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] == "100m", name
        assert service["restart"] == "unless-stopped", name
        assert not service["user"].startswith("0:"), name
        assert re.fullmatch(r".+:v1\.2\.3", service["image"]), name
        assert "privileged" not in service
        assert all(volume.endswith(":ro") or "/var/lib/bulwark/" in volume for volume in service["volumes"]), name
    listens = re.findall(r"--web\.listen-address=(\S+?)['\"\s]", json.dumps(services).replace('"', " "))
    listens = [address.rstrip(",") for address in listens]
    assert sorted(listens) == ["10.0.0.8:9090", "10.0.0.8:9093", "127.0.0.1:9115", "127.0.0.1:9187", "127.0.0.1:9188"]
    assert "lifecycle" not in json.dumps(services)
    assert "admin-api" not in json.dumps(services)


def test_the_database_is_asked_with_its_certificate_verified() -> None:
    for service in document(made(), "compose.yml")["services"].values():
        uri = service["environment"].get("DATA_SOURCE_URI")
        if uri:
            assert "sslmode=verify-full&sslrootcert=/etc/postgres_exporter/ca.crt" in uri
            assert service["environment"]["DATA_SOURCE_PASS_FILE"] == "/etc/postgres_exporter/password"


def test_who_cannot_read_files_again_is_started_anew_when_they_change() -> None:
    def labels(**other: Any) -> dict[str, Any]:
        services = document(made(**other), "compose.yml")["services"]
        return {name: service.get("labels") for name, service in services.items()}

    before = labels()
    assert before["bulwark-prometheus"] is None
    changed = {name for name, label in labels(database_password="another-5ecret").items() if label != before[name]}
    assert changed == {"bulwark-postgres-exporter-db-primary", "bulwark-postgres-exporter-db-replica"}
    assert {name for name, label in labels(log_retention_days=9).items() if label != before[name]} == {"bulwark-loki"}
    # Grafana looks for new dashboards by itself.
    assert labels(dashboards={"other.json": '{"uid": "o", "title": "Other"}'}) == before
    assert labels(rules={}) == before


def test_nobody_gets_into_grafana_without_a_password() -> None:
    environment = document(made(), "compose.yml")["services"]["bulwark-grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == "false"
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/etc/bulwark/admin_password"
    assert environment["GF_SERVER_HTTP_ADDR"] == "10.0.0.8"
    assert environment["GF_SERVER_HTTP_PORT"] == "3001"


def test_data_sources_have_the_names_that_dashboards_use() -> None:
    found = document(made(), "grafana/provisioning/datasources/bulwark.yml")
    assert [(source["uid"], source["url"]) for source in found["datasources"]] == [
        ("prometheus", "http://10.0.0.8:9090"),
        ("alertmanager", "http://10.0.0.8:9093"),
        ("loki", "http://10.0.0.8:3100"),
    ]
    without = document(made(parts=["prometheus", "grafana"]), "grafana/provisioning/datasources/bulwark.yml")
    assert [source["uid"] for source in without["datasources"]] == ["prometheus"]
    assert [source["name"] for source in without["deleteDatasources"]] == ["Alertmanager", "Loki"]


@pytest.mark.parametrize("content", ["{", "[]", '{"title": "Servers"}', '{"uid": "servers"}'])
def test_a_dashboard_that_grafana_could_not_show_is_refused(content: str) -> None:
    with pytest.raises(MonitoringError, match=r"The dashboard servers\.json"):
        made(dashboards={"servers.json": content})


def test_loki_keeps_logs_as_long_as_declared_and_deletes_them_then() -> None:
    config = document(made(), "loki/loki.yml")
    assert config["limits_config"]["retention_period"] == "336h"
    assert config["compactor"]["retention_enabled"] is True
    assert config["server"]["http_listen_address"] == "10.0.0.8"
    assert config["server"]["grpc_listen_address"] == "127.0.0.1"


def test_metrics_are_kept_by_time_and_by_size() -> None:
    command = document(made(), "compose.yml")["services"]["bulwark-prometheus"]["command"]
    assert "--storage.tsdb.retention.time=30d" in command
    assert "--storage.tsdb.retention.size=2048MB" in command


def test_every_folder_comes_before_what_lies_in_it() -> None:
    found = made()
    paths = [folder["path"] for folder in found["folders"]]
    for path in paths:
        parent = path.rpartition("/")[0]
        if parent in paths:
            assert paths.index(parent) < paths.index(path)
    assert found["folders"][0] == {"path": "/etc/bulwark/monitoring", "mode": "0700", "owner": 0}
