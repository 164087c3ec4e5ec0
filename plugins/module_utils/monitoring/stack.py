# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitoring server's containers and all their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import yaml

from . import alerting, scraping
from .declared import ALERTMANAGER, BLACKBOX, GRAFANA, LOKI, PARTS, POSTGRES, PROMETHEUS, Declared, MonitoringError
from .scraping import Document

PROJECT = "bulwark-monitoring"
FOLDER = "/etc/bulwark/monitoring"
DATA = "/var/lib/bulwark/monitoring"

IMAGES = {
    PROMETHEUS: "prom/prometheus",
    ALERTMANAGER: "prom/alertmanager",
    BLACKBOX: "prom/blackbox-exporter",
    POSTGRES: "prometheuscommunity/postgres-exporter",
    GRAFANA: "grafana/grafana",
    LOKI: "grafana/loki",
}
#: Whom the images run as, or can: numbers, because accounts of the host do not matter to them.
USERS = {PROMETHEUS: 65534, ALERTMANAGER: 65534, BLACKBOX: 65534, POSTGRES: 65534, GRAFANA: 472, LOKI: 10001}
#: Where the images keep what they know.
PLACES = {PROMETHEUS: "/prometheus", ALERTMANAGER: "/alertmanager", GRAFANA: "/var/lib/grafana", LOKI: "/loki"}
#: Where each container finds its folder of FOLDER.
MOUNTS = {
    PROMETHEUS: "/etc/prometheus",
    ALERTMANAGER: "/etc/alertmanager",
    BLACKBOX: "/etc/blackbox_exporter",
    POSTGRES: "/etc/postgres_exporter",
    GRAFANA: "/etc/bulwark",
    LOKI: "/etc/loki",
}
READY = {
    PROMETHEUS: "/-/ready",
    ALERTMANAGER: "/-/ready",
    BLACKBOX: "/-/healthy",
    POSTGRES: "/",
    GRAFANA: "/api/health",
    LOKI: "/ready",
}
#: Who reads its files again on a hangup, and the metric that says when it last did. All others are started anew.
RELOADS = {
    PROMETHEUS: "prometheus_config_last_reload",
    ALERTMANAGER: "alertmanager_config_last_reload",
    BLACKBOX: "blackbox_exporter_config_last_reload",
}

_HEADER = "# Made by the role monitoring_stack; what is changed here is lost.\n"


class File(TypedDict):
    """A file below FOLDER that is root's."""

    path: str
    content: str
    mode: str


class Check(TypedDict):
    """A program in an image that has to accept the files of one part before they are put in place."""

    part: str
    image: str
    words: list[str]
    refuses: str


class Service(TypedDict):
    """A container that has to run. ``reload`` is empty for those that are started anew."""

    name: str
    part: str
    url: str
    ready: str
    reload: str


class Place(TypedDict):
    """Where the files go, where each container sees its own, and as whom it runs."""

    folder: str
    project: str
    mounts: dict[str, str]
    users: dict[str, int]


class Stack(TypedDict):
    """Everything that modules on the host need."""

    place: Place
    files: list[File]
    #: Contents of files by their paths below FOLDER. Each is its container's alone.
    secrets: dict[str, str]
    folders: list[dict[str, Any]]
    images: list[str]
    checks: list[Check]
    services: list[Service]
    trials: list[dict[str, Any]]
    #: Whether anybody is told of alerts.
    tells: bool


@dataclass(frozen=True)
class _Container:
    """What differs from one container to the other."""

    name: str
    part: str
    command: Sequence[str]
    environment: Mapping[str, str]
    url: str
    volumes: Sequence[str] = ()


def stack(declared: Declared) -> Stack:
    """Everything, from what is declared."""
    files, secrets = _files(declared)
    containers = _containers(declared)
    contents = {file["path"]: file["content"] for file in files} | secrets
    compose = _HEADER + _yaml(_compose(declared, containers, contents))
    return {
        "place": {"folder": FOLDER, "project": PROJECT, "mounts": dict(MOUNTS), "users": dict(USERS)},
        "files": [{"path": "compose.yml", "content": compose, "mode": "0600"}, *files],
        "secrets": secrets,
        "folders": _folders(declared, list(contents)),
        "images": [image(declared, part) for part in declared.parts],
        "checks": _checks(declared),
        "services": [
            {
                "name": container.name,
                "part": container.part,
                "url": container.url,
                "ready": READY[container.part],
                "reload": RELOADS.get(container.part, ""),
            }
            for container in containers
        ],
        "trials": [
            {
                "member": target.host,
                "image": image(declared, POSTGRES),
                "environment": _login(declared, target.address),
            }
            for target in declared.database.targets
        ]
        if declared.runs(POSTGRES)
        else [],
        "tells": bool(declared.receivers.names),
    }


def image(declared: Declared, part: str) -> str:
    return f"{IMAGES[part]}:{declared.versions[part]}"


def _yaml(document: Document) -> str:
    return str(yaml.safe_dump(document, sort_keys=False, width=160))


def _files(declared: Declared) -> tuple[list[File], dict[str, str]]:
    """All files but compose.yml, which depends on them; and the secret ones."""
    found: list[File] = []
    hidden: dict[str, str] = {}

    def add(part: str, name: str, content: str, secret: bool = False) -> None:
        if secret:
            hidden[f"{part}/{name}"] = content
        else:
            found.append({"path": f"{part}/{name}", "content": content, "mode": "0644"})

    add(PROMETHEUS, "prometheus.yml", _HEADER + _yaml(scraping.prometheus(declared)))
    for name, content in declared.rules.items():
        add(PROMETHEUS, f"rules/{name}", content)
    if declared.runs(ALERTMANAGER):
        add(ALERTMANAGER, "alertmanager.yml", _HEADER + _yaml(alerting.alertmanager(declared.receivers)))
        for name, content in alerting.secrets(declared.receivers).items():
            add(ALERTMANAGER, f"secrets/{name}", content, secret=True)
    if declared.runs(BLACKBOX):
        add(BLACKBOX, "config.yml", _HEADER + _yaml(scraping.blackbox(declared)))
    if declared.runs(POSTGRES) and declared.database.targets:
        add(POSTGRES, "password", declared.database.password, secret=True)
        add(POSTGRES, "ca.crt", declared.database.ca_certificate.strip() + "\n")
    if declared.runs(LOKI):
        add(LOKI, "loki.yml", _HEADER + _yaml(loki(declared)))
    if declared.runs(GRAFANA):
        add(GRAFANA, "admin_password", declared.grafana_password, secret=True)
        add(GRAFANA, "provisioning/datasources/bulwark.yml", _HEADER + _yaml(data_sources(declared)))
        add(GRAFANA, "provisioning/dashboards/bulwark.yml", _HEADER + _yaml(dashboard_providers()))
        for name, content in declared.dashboards.items():
            _check_dashboard(name, content)
            add(GRAFANA, f"dashboards/{name}", content)
    return found, hidden


def _check_dashboard(name: str, content: str) -> None:
    """Grafana itself leaves out what it cannot read, and only its log says so."""
    try:
        found = json.loads(content)
    except ValueError as error:
        raise MonitoringError(f"The dashboard {name} is no JSON: {error}.") from None
    if not isinstance(found, dict) or not found.get("uid") or not found.get("title"):
        raise MonitoringError(f"The dashboard {name} has no uid or no title: give it both.")


def _folders(declared: Declared, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Where the data lies, and every folder that holds a file. Parents come first."""
    inside = {f"{FOLDER}/{part}" for part in declared.parts}
    for path in paths:
        parts = path.split("/")[:-1]
        inside |= {f"{FOLDER}/{'/'.join(parts[: depth + 1])}" for depth in range(len(parts))}
    # Nobody on the host but root gets past the uppermost; the containers have what is below mounted.
    found = [{"path": FOLDER, "mode": "0700", "owner": 0}]
    found += [{"path": path, "mode": "0755", "owner": 0} for path in sorted(inside)]
    found.append({"path": DATA, "mode": "0711", "owner": 0})
    found += [
        {"path": f"{DATA}/{part}", "mode": "0700", "owner": USERS[part]} for part in declared.parts if part in PLACES
    ]
    return found


def _containers(declared: Declared) -> list[_Container]:
    """In the order in which they start."""
    found: list[_Container] = []
    for part in PARTS:
        if not declared.runs(part):
            continue
        if part == POSTGRES:
            found += [
                _Container(
                    f"bulwark-postgres-exporter-{target.host}",
                    part,
                    _postgres_command(index),
                    _login(declared, target.address),
                    f"http://{scraping.postgres_listens(index)}",
                )
                for index, target in enumerate(declared.database.targets)
            ]
        else:
            command, environment = _started(declared, part)
            name = f"bulwark-{part.replace('_', '-')}"
            volumes = ["/etc/ssl/certs:/etc/ssl/certs:ro"] if part in {BLACKBOX, ALERTMANAGER} else []
            found.append(
                _Container(name, part, command, environment, f"http://{scraping.listens(declared, part)}", volumes)
            )
    return found


def _postgres_command(index: int) -> list[str]:
    return [
        f"--web.listen-address={scraping.postgres_listens(index)}",
        "--collector.long_running_transactions",
        "--collector.postmaster",
        "--collector.stat_wal_receiver",
    ]


def _login(declared: Declared, address: str) -> dict[str, str]:
    """How the exporter logs in. Neither environment nor command line holds the password."""
    database = declared.database
    options = f"sslmode=verify-full&sslrootcert={MOUNTS[POSTGRES]}/ca.crt&connect_timeout=5"
    return {
        "DATA_SOURCE_URI": f"{address}/{database.name}?{options}",
        "DATA_SOURCE_USER": database.user,
        "DATA_SOURCE_PASS_FILE": f"{MOUNTS[POSTGRES]}/password",
    }


def _started(declared: Declared, part: str) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of a part that runs once."""
    listens = scraping.listens(declared, part)
    if part == PROMETHEUS:
        return [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--storage.tsdb.retention.time={declared.retention_days}d",
            f"--storage.tsdb.retention.size={declared.size_mb}MB",
            f"--web.listen-address={listens}",
            # What links in alerts lead to: whoever follows them sits at the end of a tunnel.
            "--web.external-url=http://localhost:9090/",
        ], {}
    if part == ALERTMANAGER:
        return [
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
            f"--web.listen-address={listens}",
            "--web.external-url=http://localhost:9093/",
            # One alone has nobody to gossip with.
            "--cluster.listen-address=",
        ], {}
    if part == BLACKBOX:
        return [
            "--config.file=/etc/blackbox_exporter/config.yml",
            f"--web.listen-address={listens}",
            # It has a line for every step of every probe otherwise.
            "--log.prober=error",
        ], {}
    if part == LOKI:
        return ["-config.file=/etc/loki/loki.yml"], {}
    return [], _grafana(declared)


def _grafana(declared: Declared) -> dict[str, str]:
    return {
        "GF_SERVER_HTTP_ADDR": declared.address,
        "GF_SERVER_HTTP_PORT": str(scraping.PORTS[GRAFANA]),
        "GF_SERVER_ROOT_URL": f"http://localhost:{scraping.PORTS[GRAFANA]}/",
        "GF_PATHS_PROVISIONING": f"{MOUNTS[GRAFANA]}/provisioning",
        "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{MOUNTS[GRAFANA]}/admin_password",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_USERS_ALLOW_ORG_CREATE": "false",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        # Nothing is fetched from elsewhere while it starts.
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_NEWS_NEWS_FEED_ENABLED": "false",
        "GF_METRICS_ENABLED": "true",
        "GF_LOG_MODE": "console",
    }


def _compose(declared: Declared, containers: Sequence[_Container], contents: Mapping[str, str]) -> Document:
    return {
        "name": PROJECT,
        "services": {container.name: _service(declared, container, contents) for container in containers},
    }


def _service(declared: Declared, container: _Container, contents: Mapping[str, str]) -> Document:
    part = container.part
    memory = declared.memory_mb[part]
    service: Document = {
        "container_name": container.name,
        "image": image(declared, part),
        "user": f"{USERS[part]}:{0 if part == GRAFANA else USERS[part]}",
        # Firewalls see who asks, and what only Prometheus asks stays on loopback.
        "network_mode": "host",
        "restart": "unless-stopped",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "mem_limit": f"{memory}m",
        "pids_limit": 512,
        "tmpfs": ["/tmp"],  # noqa: S108 because it is the container's own
        "logging": {"driver": "local", "options": {"max-size": "20m", "max-file": "5"}},
        # The garbage collector works harder before the limit is reached, rather than the kernel then.
        "environment": {"GOMEMLIMIT": f"{memory * 9 // 10}MiB", **container.environment},
        "volumes": [f"{FOLDER}/{part}:{MOUNTS[part]}:ro", *container.volumes],
    }
    if container.command:
        # A dollar would be taken for a variable.
        service["command"] = [word.replace("$", "$$") for word in container.command]
    if part in PLACES:
        service["volumes"].append(f"{DATA}/{part}:{PLACES[part]}")
    if part not in RELOADS:
        service["labels"] = {"bulwark.files": _digest(part, contents)}
    return service


def _digest(part: str, contents: Mapping[str, str]) -> str:
    """What tells a container that has read its files from one that has not. Grafana reads dashboards by itself."""
    digest = hashlib.sha256()
    for path, content in sorted(contents.items()):
        if path.startswith(f"{part}/") and not path.startswith(f"{GRAFANA}/dashboards/"):
            digest.update(f"{path}\0{content}\0".encode())
    return digest.hexdigest()[:16]


def _checks(declared: Declared) -> list[Check]:
    """The programs' own opinion of their files, with the files where their containers will see them."""
    found: list[Check] = []

    def add(part: str, refuses: str, *words: str) -> None:
        found.append({"part": part, "image": image(declared, part), "words": list(words), "refuses": refuses})

    add(PROMETHEUS, "promtool refuses them", "promtool", "check", "config", "/etc/prometheus/prometheus.yml")
    if declared.runs(ALERTMANAGER):
        config = "/etc/alertmanager/alertmanager.yml"
        add(ALERTMANAGER, "amtool refuses them", "amtool", "check-config", config)
        for labels, receiver in alerting.expected_routes(declared.receivers).items():
            route = ["amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}"]
            add(ALERTMANAGER, f"alerts with {' '.join(labels)} do not reach {receiver}", *route, *labels)
    if declared.runs(BLACKBOX):
        words = ["blackbox_exporter", "--config.file=/etc/blackbox_exporter/config.yml", "--config.check"]
        add(BLACKBOX, "blackbox_exporter refuses them", *words)
    if declared.runs(LOKI):
        add(LOKI, "Loki refuses them", "/usr/bin/loki", "-config.file=/etc/loki/loki.yml", "-verify-config")
    return found


def loki(declared: Declared) -> Document:
    """loki.yml: one process, on the server's own disk. https://grafana.com/docs/loki/latest/configure/"""
    hours = declared.log_retention_days * 24
    return {
        # Who may write and read is the firewall's business: one flow in, one from the bastion to Grafana.
        "auth_enabled": False,
        "server": {
            "http_listen_address": declared.address,
            "http_listen_port": scraping.PORTS[LOKI],
            "grpc_listen_address": scraping.LOOPBACK,
            "grpc_listen_port": 9096,
            "log_level": "warn",
        },
        "common": {
            "path_prefix": PLACES[LOKI],
            "replication_factor": 1,
            "instance_addr": scraping.LOOPBACK,
            "ring": {"kvstore": {"store": "inmemory"}},
            "storage": {
                "filesystem": {
                    "chunks_directory": f"{PLACES[LOKI]}/chunks",
                    "rules_directory": f"{PLACES[LOKI]}/rules",
                }
            },
        },
        "schema_config": {
            "configs": [
                {
                    "from": "2024-04-01",
                    "store": "tsdb",
                    "object_store": "filesystem",
                    "schema": "v13",
                    "index": {"prefix": "index_", "period": "24h"},
                }
            ]
        },
        "compactor": {
            "working_directory": f"{PLACES[LOKI]}/compactor",
            "retention_enabled": True,
            "delete_request_store": "filesystem",
        },
        "limits_config": {
            "retention_period": f"{hours}h",
            # What was buffered while this server was away arrives late.
            "reject_old_samples": True,
            "reject_old_samples_max_age": "168h",
            "ingestion_rate_mb": 8,
            "ingestion_burst_size_mb": 16,
            "max_line_size": "256KB",
            "max_line_size_truncate": True,
        },
        "analytics": {"reporting_enabled": False},
    }


def data_sources(declared: Declared) -> Document:
    """Grafana's, by the names that dashboards call them: ``prometheus``, ``alertmanager``, ``loki``."""
    kinds = {PROMETHEUS: "prometheus", ALERTMANAGER: "alertmanager", LOKI: "loki"}
    found = []
    for part, kind in kinds.items():
        if not declared.runs(part):
            continue
        source: Document = {
            "name": part.capitalize(),
            "uid": part,
            "type": kind,
            "access": "proxy",
            "url": f"http://{scraping.listens(declared, part)}",
            "isDefault": part == PROMETHEUS,
            "editable": False,
        }
        if part == PROMETHEUS:
            source["jsonData"] = {"timeInterval": f"{declared.scrape_seconds}s"}
        if part == ALERTMANAGER:
            source["jsonData"] = {"implementation": "prometheus"}
        found.append(source)
    # What is no longer declared goes.
    gone = [{"name": part.capitalize(), "orgId": 1} for part in kinds if not declared.runs(part)]
    return {"apiVersion": 1, "prune": True, "deleteDatasources": gone, "datasources": found}


def dashboard_providers() -> Document:
    provider = {
        "name": "bulwark",
        "folder": "Bulwark",
        "type": "file",
        "disableDeletion": False,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": f"{MOUNTS[GRAFANA]}/dashboards"},
    }
    return {"apiVersion": 1, "providers": [provider]}
