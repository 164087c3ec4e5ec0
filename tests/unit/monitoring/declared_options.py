"""The role's variables as the filter gets them, all parts on."""

from __future__ import annotations

from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.declared import PARTS

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"


def options(**other: Any) -> dict[str, Any]:
    """Variables that are accepted, with others in their place."""
    return {
        "name": "monitor-01",
        "address": "10.0.0.8",
        "environment": "trial",
        "parts": list(PARTS),
        "versions": dict.fromkeys(PARTS, "v1.2.3"),
        "memory_mb": dict.fromkeys(PARTS, 100),
        "node_targets": [
            {"host": "app-01", "address": "10.0.0.3:9100", "roles": ["app", "jobs"]},
            {"host": "monitor-01", "address": "10.0.0.8:9100", "roles": ["monitoring"]},
        ],
        "app_metrics_targets": [{"host": "app-01", "address": "10.0.0.3:9394", "roles": ["app"]}],
        "up_targets": [{"host": "app-01", "address": "10.0.0.3", "roles": ["app"]}],
        "up_path": "/up",
        "up_host": "",
        "alloy_targets": [],
        "public_urls": ["https://example.com/up"],
        "origin": {"name": "rails-lb", "address": "10.0.0.9", "server_name": "example.com"},
        "database_targets": [
            {"host": "db-primary", "address": "10.0.0.6", "roles": ["db"]},
            {"host": "db-replica", "address": "10.0.0.7:5432", "roles": ["db"]},
        ],
        "database_user": "metrics",
        "database": "postgres",
        "database_password": "database-5ecret",
        "database_ca_certificate": CERTIFICATE,
        "grafana_password": "grafana-5ecret",
        "retention_days": 30,
        "size_mb": 2048,
        "log_retention_days": 14,
        "scrape_seconds": 15,
        "rules": {"own.yml": "groups: []\n"},
        "dashboards": {"servers.json": '{"uid": "servers", "title": "Servers"}'},
        "mail": {
            "smarthost": "smtp.example.com:587",
            "from": "monitoring@example.com",
            "to": ["alice@example.com", "bob@example.com"],
            "username": "monitoring",
            "password": "mail-5ecret",
        },
        "slack": {"url": "https://hooks.example/slack-5ecret", "channel": "#ops"},
        "webhooks": [{"name": "pager", "url": "https://pager.example/pager-5ecret"}],
        "notify": {},
        "heartbeat_url": "https://heart.example/heartbeat-5ecret",
    } | other


SECRETS = ("database-5ecret", "grafana-5ecret", "mail-5ecret", "slack-5ecret", "pager-5ecret", "heartbeat-5ecret")
