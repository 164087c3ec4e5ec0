# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the monitoring, made by asking Prometheus what it sees. Runs on the server: standard library only.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Answer, Web
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT, Seen

PROMETHEUS, ALERTMANAGER, GRAFANA, LOKI = "prometheus", "alertmanager", "grafana", "loki"
PORTS = {PROMETHEUS: 9090, ALERTMANAGER: 9093, GRAFANA: 3001, LOKI: 3100}
READY = {ALERTMANAGER: "/-/ready", GRAFANA: "/api/health", LOKI: "/ready"}
WATCHDOG = "Watchdog"
#: Seconds between two looks at what takes a scrape to show.
PAUSE = 1.0
#: How many targets or alerts are named in a sentence.
NAMED = 8

#: What an answer holds under ``data``.
Data = Any


@dataclass(frozen=True)
class Facts:
    """What Prometheus says: active targets, groups of rules, alerts, and the samples of ``pg_up``."""

    targets: Sequence[Mapping[str, Any]] = ()
    groups: Sequence[Mapping[str, Any]] = ()
    alerts: Sequence[Mapping[str, Any]] = ()
    alertmanagers: Sequence[Mapping[str, Any]] = ()
    databases: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Expectations:
    """``servers`` are those whose node_exporter is asked; ``parts``: what runs here; ``seconds`` to wait for it."""

    address: str
    servers: Sequence[str]
    parts: Sequence[str]
    seconds: float


def judge_targets(facts: Facts) -> Seen:
    """All targets answer."""
    down = [
        f"{_label(target, 'job')} of {_label(target, 'instance')} ({target.get('lastError') or 'not asked yet'})"
        for target in facts.targets
        if target.get("health") != "up"
    ]
    up = len(facts.targets) - len(down)
    detail = f"{up} of {len(facts.targets)} targets are up"
    return bool(facts.targets) and not down, detail + (f"; down: {_few(down)}" if down else "")


def judge_servers(facts: Facts, expected: Sequence[str]) -> Seen:
    """Every server is watched, and no other."""
    watched = {_label(target, "instance") for target in facts.targets if _label(target, "job") == "node"}
    missing, strange = sorted(set(expected) - watched), sorted(watched - set(expected))
    detail = f"{len(watched)} servers are watched"
    if missing:
        detail += f"; not {_few(missing)}"
    if strange:
        detail += f"; also {_few(strange)}, which should not be"
    return not missing and not strange and bool(watched), detail


def judge_rules(facts: Facts) -> Seen:
    """There are rules for alerts, and all of them can be evaluated."""
    rules = [rule for group in facts.groups for rule in group.get("rules", ())]
    alerting = [rule for rule in rules if rule.get("type") == "alerting"]
    # A rule that has not been evaluated yet is "unknown".
    wrong = [f"{rule['name']} ({rule.get('lastError') or rule['health']})" for rule in rules if rule["health"] != "ok"]
    detail = f"{len(alerting)} rules for alerts and {len(rules) - len(alerting)} for figures are loaded"
    return bool(alerting) and not wrong, detail + (f"; not healthy: {_few(wrong)}" if wrong else "")


def judge_alerts(facts: Facts, alertmanager: bool) -> Seen:
    """The alert that always fires does, and there is somebody to hand alerts to."""
    firing = {str(alert["labels"].get("alertname")) for alert in facts.alerts if alert.get("state") == "firing"}
    detail = f"{WATCHDOG} fires" if WATCHDOG in firing else f"{WATCHDOG} does not fire"
    if alertmanager and not facts.alertmanagers:
        detail += "; Prometheus knows no Alertmanager"
    return WATCHDOG in firing and (bool(facts.alertmanagers) or not alertmanager), detail


def judge_databases(facts: Facts) -> Seen:
    """Every member of the database lets the exporter in."""
    down = sorted(_metric(sample, "instance") for sample in facts.databases if float(sample["value"][1]) != 1)
    detail = f"{len(facts.databases) - len(down)} of {len(facts.databases)} members can be asked"
    return bool(facts.databases) and not down, detail + (
        f"; not {_few(down)} (docker logs bulwark-postgres-exporter-NAME says why)" if down else ""
    )


def firing(facts: Facts) -> list[str]:
    """Sentences about alerts that fire, besides the one that always does."""
    return sorted(
        f"Alert {labels.get('alertname')}: {alert.get('annotations', {}).get('summary') or labels.get('instance', '')}"
        for alert in facts.alerts
        if alert.get("state") == "firing" and (labels := alert["labels"]).get("alertname") != WATCHDOG
    )


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more


def _label(target: Mapping[str, Any], name: str) -> str:
    return str(target.get("labels", {}).get(name, ""))


def _metric(sample: Mapping[str, Any], name: str) -> str:
    return str(sample.get("metric", {}).get(name, ""))


@dataclass(frozen=True)
class Examiner:
    """Looks at the monitoring on this host; ``pause`` sleeps, ``now`` tells the seconds since the epoch."""

    expected: Expectations
    web: Web = field(default_factory=Web)
    pause: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time

    def examine(self) -> tuple[list[tuple[str, Seen]], list[str]]:
        """Every check as soon as all of them hold, at the latest when the time is over; and what fires."""
        began = self.now()
        while True:
            results, told = self._look()
            if all(ok for _, (ok, _) in results) or self.now() - began >= self.expected.seconds:
                return results, told
            self.pause(PAUSE)

    def _look(self) -> tuple[list[tuple[str, Seen]], list[str]]:
        ready = self._get(PROMETHEUS, "/-/ready")
        if not ready.ok:
            return [("monitoring", (False, f"Prometheus is not ready: {_why(ready)}"))], []
        facts = Facts(
            targets=self._ask("targets?state=active", "activeTargets"),
            groups=self._ask("rules", "groups"),
            alerts=self._ask("alerts", "alerts"),
            alertmanagers=self._ask("alertmanagers", "activeAlertmanagers"),
            databases=self._ask(f"query?query={quote('pg_up')}", "result"),
        )
        results = [
            ("monitoring targets", judge_targets(facts)),
            ("monitoring servers", judge_servers(facts, self.expected.servers)),
            ("monitoring rules", judge_rules(facts)),
            ("monitoring alerts", judge_alerts(facts, ALERTMANAGER in self.expected.parts)),
        ]
        if any(_label(target, "job") == "postgres" for target in facts.targets):
            results.append(("monitoring database", judge_databases(facts)))
        results += [(f"monitoring {part}", self._ready(part)) for part in READY if part in self.expected.parts]
        return results, firing(facts)

    def _ready(self, part: str) -> Seen:
        answer = self._get(part, READY[part])
        return answer.ok, "ready" if answer.ok else f"not ready: {_why(answer)}"

    def _get(self, part: str, path: str) -> Answer:
        return self.web.get(f"http://{self.expected.address}:{PORTS[part]}{path}")

    def _ask(self, question: str, name: str) -> Data:
        answer = self._get(PROMETHEUS, f"/api/v1/{question}").json()
        data = answer.get("data", {}) if isinstance(answer, dict) else {}
        return data.get(name) or []


def _why(answer: Answer) -> str:
    return (answer.reason or f"{answer.status} {answer.body.strip()}")[:REASON_LIMIT]
