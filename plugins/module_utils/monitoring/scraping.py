# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus asks, and the probes that it asks for.

Every target has the labels ``instance`` (the server's name; a URL for what users ask), ``env`` and ``role``. Rules and
dashboards rely on these and on the names of the jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .declared import ALERTMANAGER, BLACKBOX, GRAFANA, LOKI, POSTGRES, PROMETHEUS, Declared, Target

#: What a document in YAML is made of.
Document = dict[str, Any]

PORTS = {PROMETHEUS: 9090, ALERTMANAGER: 9093, GRAFANA: 3001, LOKI: 3100, BLACKBOX: 9115}
#: One exporter for each member of the database, from here on.
POSTGRES_PORT = 9187
LOOPBACK = "127.0.0.1"

#: Modules of blackbox_exporter.
HTTP_PUBLIC, HTTP_UP, TLS_ORIGIN = "http_public", "http_up", "tls_origin"
_PROBE_SECONDS = 10


def listens(declared: Declared, part: str) -> str:
    """Address and port of a part: what only Prometheus asks is on loopback."""
    return f"{LOOPBACK if part == BLACKBOX else declared.address}:{PORTS[part]}"


def postgres_listens(index: int) -> str:
    """Address and port of the exporter of one member of the database."""
    return f"{LOOPBACK}:{POSTGRES_PORT + index}"


def prometheus(declared: Declared) -> Document:
    """prometheus.yml. What does not run is not a target."""
    document: Document = {
        "global": {
            "scrape_interval": f"{declared.scrape_seconds}s",
            "scrape_timeout": f"{min(10, declared.scrape_seconds)}s",
            "evaluation_interval": f"{declared.scrape_seconds}s",
        },
        "rule_files": ["/etc/prometheus/rules/*.yml"],
    }
    if declared.runs(ALERTMANAGER):
        static = [{"targets": [listens(declared, ALERTMANAGER)]}]
        document["alerting"] = {"alertmanagers": [{"static_configs": static}]}
    document["scrape_configs"] = [job for job in _jobs(declared) if job["static_configs"]]
    return document


def _jobs(declared: Declared) -> list[Document]:
    own = [_own(declared, part) for part in (PROMETHEUS, ALERTMANAGER, GRAFANA, LOKI) if declared.runs(part)]
    jobs = [_job(declared, "node", declared.nodes), *own]
    if declared.runs(BLACKBOX):
        jobs += [_own(declared, BLACKBOX, "blackbox"), *_probes(declared)]
    if declared.runs(POSTGRES):
        members = [
            Target(member.host, postgres_listens(index), (member.role("db"),))
            for index, member in enumerate(declared.database.targets)
        ]
        jobs.append(_job(declared, "postgres", members))
    return [
        *jobs,
        _job(declared, "app", declared.applications),
        _job(declared, "alloy", declared.alloys),
    ]


def _job(declared: Declared, name: str, targets: Sequence[Target]) -> Document:
    return {
        "job_name": name,
        "static_configs": [_static(declared, target.address, target.host, target.role("none")) for target in targets],
    }


def _own(declared: Declared, part: str, name: str = "") -> Document:
    static = _static(declared, listens(declared, part), declared.name, "monitoring")
    return {"job_name": name or part, "static_configs": [static]}


def _static(declared: Declared, target: str, instance: str, role: str) -> Document:
    return {"targets": [target], "labels": {"instance": instance, "role": role, "env": declared.environment}}


def _probes(declared: Declared) -> list[Document]:
    public = [_static(declared, url, url, "edge") for url in declared.public_urls]
    ups = [
        _static(declared, f"http://{target.address}{declared.up_path}", target.host, target.role("app"))
        for target in declared.ups
    ]
    jobs = [_probe(declared, "public", HTTP_PUBLIC, public), _probe(declared, "up", HTTP_UP, ups)]
    if declared.origin:
        origin = _static(declared, declared.origin.address, declared.origin.name, "load_balancer")
        jobs.append(_probe(declared, "origin", TLS_ORIGIN, [origin]))
    return jobs


def _probe(declared: Declared, name: str, module: str, targets: list[Document]) -> Document:
    return {
        "job_name": name,
        "metrics_path": "/probe",
        "params": {"module": [module]},
        "static_configs": targets,
        # The target becomes what is probed, and who is asked is the exporter.
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"target_label": "__address__", "replacement": listens(declared, BLACKBOX)},
        ],
    }


def blackbox(declared: Declared) -> Document:
    """The exporter's modules."""
    http: Document = {"preferred_ip_protocol": "ip4", "follow_redirects": True}
    up: Document = {
        "preferred_ip_protocol": "ip4",
        "follow_redirects": False,
        # As the load balancer's health check sees it.
        "valid_status_codes": [*range(200, 209), 226, *range(300, 309)],
    }
    if declared.up_host:
        up["headers"] = {"Host": declared.up_host}
    modules: Document = {
        HTTP_PUBLIC: {"prober": "http", "timeout": f"{_PROBE_SECONDS}s", "http": http},
        HTTP_UP: {"prober": "http", "timeout": "5s", "http": up},
    }
    if declared.origin:
        # Signed by an authority that only the edge trusts: what is looked at is when it ends.
        tls = {"insecure_skip_verify": True, "server_name": declared.origin.server_name}
        tcp = {"preferred_ip_protocol": "ip4", "tls": True, "tls_config": tls}
        modules[TLS_ORIGIN] = {"prober": "tcp", "timeout": f"{_PROBE_SECONDS}s", "tcp": tcp}
    return {"modules": modules}
