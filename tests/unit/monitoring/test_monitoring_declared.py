"""What is refused, and that a refusal says what to correct and no secret."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.declared import MonitoringError, read

from tests.unit.monitoring.declared_options import SECRETS, options

MAIL = options()["mail"]


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"parts": ["prometheus", "graphite"]}, "names graphite"),
        ({"parts": ["grafana"]}, "without which nothing is watched"),
        ({"address": "0.0.0.0"}, "which is every network of this host"),  # noqa: S104 because it must be refused
        ({"address": "monitor-01"}, "write an IPv4 address"),
        ({"environment": ""}, "monitoring_stack_environment is empty"),
        ({"versions": options()["versions"] | {"loki": "latest"}}, 'monitoring_stack_loki_version is "latest"'),
        ({"memory_mb": {"prometheus": 100}}, "monitoring_stack_memory_mb."),
        ({"node_targets": [{"host": "a", "address": "10.0.0.3"}]}, "an address with its port"),
        ({"node_targets": [{"host": "a b", "address": "10.0.0.3:1"}]}, 'has host "a b"'),
        ({"node_targets": [{"host": "a", "address": f"10.0.0.{n}:1"} for n in (3, 4)]}, "names a more than once"),
        ({"up_path": "up"}, 'monitoring_stack_up_path is "up"'),
        ({"public_urls": ["example.com"]}, "write URLs like"),
        ({"public_urls": ["https://me:database-5ecret@example.com/"]}, "without a password"),
        ({"origin": {"name": "lb", "address": "10.0.0.9"}}, "monitoring_stack_origin lacks server_name"),
        ({"database_password": "short"}, "monitoring_stack_database_password must be 12 or more"),
        ({"database_ca_certificate": "no"}, "is no certificate in PEM form"),
        ({"database": "postgres sslmode=disable"}, "monitoring_stack_database is"),
        ({"database_user": "x@evil"}, "monitoring_stack_database_user is"),
        ({"grafana_password": ""}, "monitoring_stack_grafana_password must be 12 or more"),
        ({"retention_days": 0}, 'monitoring_stack_retention_days is "0"'),
        ({"scrape_seconds": "15s"}, 'monitoring_stack_scrape_seconds is "15s"'),
        ({"rules": {"../x.yml": ""}}, "must end in .yml and have plain names"),
        ({"dashboards": {"x.yml": ""}}, "must end in .json"),
        ({"mail": MAIL | {"smarthost": "smtp.example.com:25"}}, "blocks 25 and 465"),
        ({"mail": MAIL | {"smarthost": "smtp.example.com"}}, "with the port 587"),
        ({"mail": {"smarthost": "smtp.example.com:587"}}, "monitoring_stack_mail lacks from, to, username, password"),
        ({"slack": {"url": "slack-5ecret"}}, "monitoring_stack_slack has no URL"),
        ({"webhooks": [{"name": "pager", "url": "ftp://pager-5ecret"}]}, "The webhook pager has no URL"),
        ({"webhooks": [{"name": "a/b", "url": "https://x.example/"}]}, 'has the name "a/b"'),
        ({"webhooks": [{"name": "a", "url": "https://x.example/"}] * 2}, "one of its own"),
        ({"heartbeat_url": "heartbeat-5ecret"}, "monitoring_stack_heartbeat_url has no URL"),
        ({"notify": {"critical": ["pager"]}}, "names pager, whom nobody knows; there are mail, slack, webhook:pager"),
        ({"notify": {"page": ["mail"]}}, "names page; it knows critical and warning"),
        (
            {"mail": {}, "slack": {}, "webhooks": [], "notify": {"warning": ["mail"]}},
            "since neither mail nor Slack nor a webhook is set",
        ),
    ],
)
def test_it_says_what_cannot_be(other: dict[str, Any], says: str) -> None:
    with pytest.raises(MonitoringError) as refused:
        read(options(**other))
    assert says in str(refused.value)
    assert not [secret for secret in SECRETS if secret in str(refused.value)]


def test_what_is_not_run_needs_no_secret() -> None:
    declared = read(
        options(parts=["prometheus"], database_password="", database_ca_certificate="", grafana_password="")
    )
    assert declared.database.targets == ()


def test_no_database_needs_no_password() -> None:
    assert read(options(database_targets=[], database_password="")).database.password == ""


def test_ports_that_everybody_knows_need_not_be_written() -> None:
    declared = read(options())
    assert [target.address for target in declared.ups] == ["10.0.0.3:80"]
    assert [target.address for target in declared.database.targets] == ["10.0.0.6:5432", "10.0.0.7:5432"]
    assert declared.origin is not None
    assert declared.origin.address == "10.0.0.9:443"
