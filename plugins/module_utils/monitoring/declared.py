# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared about the monitoring: read, and refused where it cannot be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

PROMETHEUS, ALERTMANAGER, GRAFANA, LOKI = "prometheus", "alertmanager", "grafana", "loki"
BLACKBOX, POSTGRES = "blackbox_exporter", "postgres_exporter"
#: Everything there is, in the order in which it starts.
PARTS = (POSTGRES, BLACKBOX, ALERTMANAGER, LOKI, PROMETHEUS, GRAFANA)

MAIL, SLACK, WEBHOOK = "mail", "slack", "webhook"
#: How urgent an alert may be, as its label ``severity`` says.
SEVERITIES = ("critical", "warning")

#: The provider blocks 25 and 465.
BLOCKED_MAIL_PORTS = ("25", "465")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class MonitoringError(Exception):
    """What is declared cannot be; the message says what to correct. It holds no secret."""


@dataclass(frozen=True)
class Target:
    """Something that is asked: ``address`` is address and port, ``host`` the name of its server."""

    host: str
    address: str
    roles: tuple[str, ...] = ()

    def role(self, otherwise: str) -> str:
        """What the label ``role`` says: the first one."""
        return self.roles[0] if self.roles else otherwise


@dataclass(frozen=True)
class Origin:
    """The load balancer, whose certificate is looked at. ``server_name`` is what a visitor asks for."""

    name: str
    address: str
    server_name: str


@dataclass(frozen=True)
class Mail:
    smarthost: str
    sender: str
    to: tuple[str, ...]
    username: str
    password: str


@dataclass(frozen=True)
class Receivers:
    """Who is told. Addresses of Slack and of webhooks are secrets. ``notify``: who is told of which severity."""

    mail: Mail | None = None
    slack_url: str = ""
    slack_channel: str = ""
    webhooks: Mapping[str, str] = field(default_factory=dict)
    heartbeat_url: str = ""
    notify: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """What ``notify`` may name."""
        return (
            *((MAIL,) if self.mail else ()),
            *((SLACK,) if self.slack_url else ()),
            *(f"{WEBHOOK}:{name}" for name in self.webhooks),
        )

    def of(self, severity: str) -> tuple[str, ...]:
        """Who is told of alerts with this severity: everybody, unless somebody is named."""
        return self.notify.get(severity, self.names)


@dataclass(frozen=True)
class Database:
    """How the members of the database are asked."""

    targets: tuple[Target, ...] = ()
    user: str = "metrics"
    name: str = "postgres"
    password: str = ""
    ca_certificate: str = ""


@dataclass(frozen=True)
class Declared:
    """The whole of it. Sizes in megabytes, times in days or seconds as the names say."""

    name: str
    address: str
    environment: str
    parts: tuple[str, ...]
    versions: Mapping[str, str]
    memory_mb: Mapping[str, int]
    nodes: tuple[Target, ...]
    applications: tuple[Target, ...]
    ups: tuple[Target, ...]
    up_path: str
    up_host: str
    alloys: tuple[Target, ...]
    public_urls: tuple[str, ...]
    origin: Origin | None
    database: Database
    receivers: Receivers
    rules: Mapping[str, str]
    dashboards: Mapping[str, str]
    grafana_password: str
    retention_days: int
    size_mb: int
    log_retention_days: int
    scrape_seconds: int

    def runs(self, part: str) -> bool:
        return part in self.parts


def read(options: Mapping[str, Any]) -> Declared:
    """The role's variables without their prefix, as one declared whole.

    Raises MonitoringError for the first thing that cannot be.
    """
    parts = _parts(options["parts"])
    database = _database(options, POSTGRES in parts)
    declared = Declared(
        name=str(options["name"]),
        address=_address(options["address"], "monitoring_stack_address"),
        environment=str(options["environment"]),
        parts=parts,
        versions=_versions(options["versions"], parts),
        memory_mb={
            part: _positive(options["memory_mb"].get(part), f"monitoring_stack_memory_mb.{part}") for part in parts
        },
        nodes=_targets(options["node_targets"], "monitoring_stack_node_targets"),
        applications=_targets(options["app_metrics_targets"], "monitoring_stack_app_metrics_targets"),
        ups=_targets(options["up_targets"], "monitoring_stack_up_targets", port=80),
        up_path=_path(options["up_path"]),
        up_host=str(options["up_host"] or ""),
        alloys=_targets(options["alloy_targets"], "monitoring_stack_alloy_targets"),
        public_urls=_urls(options["public_urls"]),
        origin=_origin(options["origin"]),
        database=database,
        receivers=_receivers(options),
        rules=_named(options["rules"], ".yml"),
        dashboards=_named(options["dashboards"], ".json"),
        grafana_password=_password(
            options["grafana_password"], "monitoring_stack_grafana_password", needed=GRAFANA in parts
        ),
        retention_days=_positive(options["retention_days"], "monitoring_stack_retention_days"),
        size_mb=_positive(options["size_mb"], "monitoring_stack_size_mb"),
        log_retention_days=_positive(options["log_retention_days"], "monitoring_stack_log_retention_days"),
        scrape_seconds=_positive(options["scrape_seconds"], "monitoring_stack_scrape_seconds"),
    )
    if not declared.environment:
        raise MonitoringError("monitoring_stack_environment is empty; say what the label env should be.")
    return declared


def _parts(given: Sequence[str]) -> tuple[str, ...]:
    unknown = sorted(set(given) - set(PARTS))
    if unknown:
        raise MonitoringError(
            f"monitoring_stack_parts names {', '.join(unknown)}; there are {', '.join(sorted(PARTS))}."
        )
    if PROMETHEUS not in given:
        raise MonitoringError(
            "monitoring_stack_parts does not name prometheus, without which nothing is watched: add it."
        )
    return tuple(part for part in PARTS if part in given)


def _versions(given: Mapping[str, Any], parts: Sequence[str]) -> dict[str, str]:
    for part in parts:
        if not re.fullmatch(r"v?[0-9]+(\.[0-9]+){1,3}([-+][A-Za-z0-9._-]+)?", str(given[part])):
            raise MonitoringError(
                f'monitoring_stack_{part}_version is "{given[part]}"; write the version that the image is tagged with, '
                "not a tag that moves."
            )
    return {part: str(given[part]) for part in parts}


def _address(given: object, where: str) -> str:
    try:
        found = ipaddress.IPv4Address(str(given))
    except ValueError:
        raise MonitoringError(f'{where} is "{given}"; write an IPv4 address of this host, like 10.0.0.8.') from None
    if found.is_unspecified:
        raise MonitoringError(f"{where} is {found}, which is every network of this host: write its private address.")
    return str(found)


def _targets(given: Sequence[Mapping[str, Any]], where: str, port: int = 0) -> tuple[Target, ...]:
    found = []
    for entry in given:
        host, address = str(entry.get("host", "")), str(entry.get("address", ""))
        if port and ":" not in address:
            address = f"{address}:{port}"
        if not _NAME.fullmatch(host) or not re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", address):
            raise MonitoringError(
                f'{where} has host "{host}" with address "{entry.get("address", "")}"; write a name, and an address '
                "with its port like 10.0.0.3:9100."
            )
        found.append(Target(host, address, tuple(str(role) for role in entry.get("roles") or ())))
    twice = sorted({target.host for target in found if [other.host for other in found].count(target.host) > 1})
    if twice and where != "monitoring_stack_app_metrics_targets":
        raise MonitoringError(f"{where} names {', '.join(twice)} more than once: name each host once.")
    return tuple(found)


def _path(given: object) -> str:
    if not re.fullmatch(r"/[^\s]*", str(given)):
        raise MonitoringError(f'monitoring_stack_up_path is "{given}"; write a path like /up.')
    return str(given)


def _urls(given: Sequence[str]) -> tuple[str, ...]:
    for url in given:
        parsed = urlsplit(str(url))
        if parsed.scheme not in {"http", "https"} or not parsed.hostname or parsed.password is not None:
            raise MonitoringError(
                f'monitoring_stack_public_urls names "{parsed.hostname or url}"; write URLs like '
                "https://example.com/up, without a password."
            )
    return tuple(dict.fromkeys(str(url) for url in given))


def _origin(given: Mapping[str, Any] | None) -> Origin | None:
    if not given:
        return None
    missing = [name for name in ("name", "address", "server_name") if not given.get(name)]
    if missing:
        raise MonitoringError(f"monitoring_stack_origin lacks {', '.join(missing)}: give it, or leave all of it empty.")
    address = str(given["address"])
    return Origin(str(given["name"]), address if ":" in address else f"{address}:443", str(given["server_name"]))


def _database(options: Mapping[str, Any], runs: bool) -> Database:
    targets = _targets(options["database_targets"], "monitoring_stack_database_targets", port=5432)
    if not runs or not targets:
        return Database()
    certificate = str(options["database_ca_certificate"] or "")
    if "-----BEGIN CERTIFICATE-----" not in certificate:
        raise MonitoringError(
            "monitoring_stack_database_ca_certificate is no certificate in PEM form; give the one of the database's "
            "authority."
        )
    for name in ("database_user", "database"):
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", str(options[name])):
            raise MonitoringError(f'monitoring_stack_{name} is "{options[name]}"; write a name in lower case.')
    password = _password(options["database_password"], "monitoring_stack_database_password", needed=True)
    return Database(targets, str(options["database_user"]), str(options["database"]), password, certificate)


def _password(given: object, where: str, needed: bool) -> str:
    password = str(given or "")
    if needed and not re.fullmatch(r"[ -~]{12,}", password):
        raise MonitoringError(f"{where} must be 12 or more printable ASCII characters; set it in the vault.")
    return password


def _receivers(options: Mapping[str, Any]) -> Receivers:
    slack = options["slack"] or {}
    webhooks = {}
    for entry in options["webhooks"] or ():
        name = str(entry.get("name", ""))
        if not re.fullmatch(r"[a-z0-9_-]+", name) or name in webhooks:
            raise MonitoringError(
                f'monitoring_stack_webhooks has the name "{name}"; give each one of its own, of a-z, 0-9, "-" and "_".'
            )
        webhooks[name] = _secret_url(entry.get("url"), f"The webhook {name}")
    found = Receivers(
        mail=_mail(options["mail"] or {}),
        slack_url=_secret_url(slack.get("url"), "monitoring_stack_slack") if slack else "",
        slack_channel=str(slack.get("channel") or ""),
        webhooks=webhooks,
        heartbeat_url=_secret_url(options["heartbeat_url"], "monitoring_stack_heartbeat_url")
        if options["heartbeat_url"]
        else "",
        notify={str(severity): tuple(names) for severity, names in (options["notify"] or {}).items()},
    )
    strange = sorted(set(found.notify) - set(SEVERITIES))
    if strange:
        raise MonitoringError(
            f"monitoring_stack_notify names {', '.join(strange)}; it knows {' and '.join(SEVERITIES)}."
        )
    unknown = sorted({name for names in found.notify.values() for name in names} - set(found.names))
    if unknown:
        known = ", ".join(found.names) or "none, since neither mail nor Slack nor a webhook is set"
        raise MonitoringError(
            f"monitoring_stack_notify names {', '.join(unknown)}, whom nobody knows; there are {known}."
        )
    return found


def _secret_url(given: object, where: str) -> str:
    """A URL that is not repeated in a message: who knows it can write there."""
    url = str(given or "")
    if not re.fullmatch(r"https?://[^\s/]+[^\s]*", url):
        raise MonitoringError(f"{where} has no URL that begins with https://: correct it in the vault.")
    return url


def _mail(given: Mapping[str, Any]) -> Mail | None:
    if not given:
        return None
    missing = [name for name in ("smarthost", "from", "to", "username", "password") if not given.get(name)]
    if missing:
        raise MonitoringError(f"monitoring_stack_mail lacks {', '.join(missing)}: give it, or leave all of it empty.")
    host, _, port = str(given["smarthost"]).rpartition(":")
    if not host or not port.isdigit() or port in BLOCKED_MAIL_PORTS:
        raise MonitoringError(
            f'monitoring_stack_mail has the smarthost "{given["smarthost"]}"; write it with the port 587, like '
            "smtp.example.com:587. The provider blocks 25 and 465."
        )
    to = given["to"] if isinstance(given["to"], list | tuple) else [given["to"]]
    return Mail(
        str(given["smarthost"]),
        str(given["from"]),
        tuple(str(address) for address in to),
        str(given["username"]),
        str(given["password"]),
    )


def _named(given: Mapping[str, str], ending: str) -> dict[str, str]:
    """Contents by the file's name."""
    wrong = sorted(name for name in given if not re.fullmatch(rf"[A-Za-z0-9._-]+{re.escape(ending)}", name))
    if wrong:
        raise MonitoringError(f"{', '.join(wrong)}: files must end in {ending} and have plain names.")
    return {name: str(given[name]) for name in sorted(given)}


def _positive(given: object, where: str) -> int:
    try:
        number = int(str(given))
    except ValueError:
        number = 0
    if number < 1:
        raise MonitoringError(f'{where} is "{given}"; write a whole number of at least 1.')
    return number
