"""What is made of Prometheus's answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Answer, Web
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import monitoring
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.monitoring import (
    Examiner,
    Expectations,
    Facts,
)


def target(job: str, instance: str, health: str = "up", why: str = "") -> dict[str, Any]:
    return {"labels": {"job": job, "instance": instance}, "health": health, "lastError": why}


def rule(name: str, health: str = "ok", kind: str = "alerting") -> dict[str, str]:
    return {"name": name, "type": kind, "health": health, "lastError": "" if health == "ok" else "boom"}


def alert(name: str, state: str = "firing", instance: str = "") -> dict[str, Any]:
    return {"labels": {"alertname": name, "instance": instance}, "state": state, "annotations": {}}


GOOD = Facts(
    targets=[target("node", "app-01"), target("node", "monitor-01"), target("postgres", "db-1")],
    groups=[{"rules": [rule("Watchdog"), rule("x:y", kind="recording")]}],
    alerts=[alert("Watchdog")],
    alertmanagers=[{"url": "http://a"}],
    databases=[{"metric": {"instance": "db-1"}, "value": [0, "1"]}],
)
SERVERS = ["app-01", "monitor-01"]


def test_all_holds() -> None:
    assert monitoring.judge_targets(GOOD) == (True, "3 of 3 targets are up")
    assert monitoring.judge_servers(GOOD, SERVERS) == (True, "2 servers are watched")
    assert monitoring.judge_rules(GOOD) == (True, "1 rules for alerts and 1 for figures are loaded")
    assert monitoring.judge_alerts(GOOD, alertmanager=True) == (True, "Watchdog fires")
    assert monitoring.judge_databases(GOOD)[0]


def test_a_target_that_is_down_is_named_with_the_reason() -> None:
    facts = replace(GOOD, targets=[*GOOD.targets, target("node", "app-02", "down", "connection refused")])
    assert monitoring.judge_targets(facts) == (
        False,
        "3 of 4 targets are up; down: node of app-02 (connection refused)",
    )
    assert not monitoring.judge_targets(Facts())[0]


def test_a_target_that_nobody_has_asked_yet_is_not_up() -> None:
    facts = replace(GOOD, targets=[target("node", "app-02", "unknown")])
    assert monitoring.judge_targets(facts) == (False, "0 of 1 targets are up; down: node of app-02 (not asked yet)")


def test_servers_that_are_missing_or_should_not_be_there_are_named() -> None:
    assert monitoring.judge_servers(GOOD, [*SERVERS, "app-02"]) == (False, "2 servers are watched; not app-02")
    assert monitoring.judge_servers(GOOD, ["app-01"]) == (
        False,
        "2 servers are watched; also monitor-01, which should not be",
    )
    assert not monitoring.judge_servers(Facts(), [])[0]


@pytest.mark.parametrize("groups", [[], [{"rules": [rule("x:y", kind="recording")]}]])
def test_without_a_rule_for_alerts_nothing_is_watched(groups: list[Any]) -> None:
    assert not monitoring.judge_rules(replace(GOOD, groups=groups))[0]


def test_a_rule_that_cannot_be_evaluated_is_named() -> None:
    ok, detail = monitoring.judge_rules(replace(GOOD, groups=[{"rules": [rule("Watchdog"), rule("Bad", "err")]}]))
    assert not ok
    assert detail.endswith("not healthy: Bad (boom)")


def test_somebody_must_hear_of_alerts() -> None:
    assert not monitoring.judge_alerts(replace(GOOD, alerts=[alert("Watchdog", "pending")]), alertmanager=True)[0]
    deaf = replace(GOOD, alertmanagers=[])
    assert monitoring.judge_alerts(deaf, alertmanager=True) == (
        False,
        "Watchdog fires; Prometheus knows no Alertmanager",
    )
    assert monitoring.judge_alerts(deaf, alertmanager=False)[0]


def test_a_database_that_lets_nobody_in_is_named() -> None:
    facts = replace(GOOD, databases=[{"metric": {"instance": "db-1"}, "value": [0, "0"]}])
    ok, detail = monitoring.judge_databases(facts)
    assert not ok
    assert detail.startswith("0 of 1 members can be asked; not db-1")
    assert not monitoring.judge_databases(replace(GOOD, databases=[]))[0]


def test_alerts_that_fire_are_told_but_for_the_one_that_always_does() -> None:
    facts = replace(GOOD, alerts=[alert("Watchdog"), alert("HostDown", instance="app-01"), alert("Later", "pending")])
    assert monitoring.firing(facts) == ["Alert HostDown: app-01"]


def test_a_long_list_is_cut() -> None:
    facts = replace(GOOD, targets=[target("node", f"app-{n}", "down", "x") for n in range(20)])
    assert monitoring.judge_targets(facts)[1].endswith("and 12 more")


@dataclass(frozen=True)
class Server(Web):
    """Answers as Prometheus and its companions do; ``late``: in how many looks it has no targets yet."""

    facts: Facts = GOOD
    late: int = 0
    silent: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def looks(self) -> int:
        return self.asked.count("http://10.0.0.8:9090/-/ready")

    def get(self, url: str, user: tuple[str, str] | None = None) -> Answer:
        self.asked.append(url)
        if url in self.silent:
            return Answer(reason=self.silent[url])
        names = {
            "targets": ("activeTargets", self.facts.targets if self.looks > self.late else []),
            "rules": ("groups", self.facts.groups),
            "alerts": ("alerts", self.facts.alerts),
            "alertmanagers": ("activeAlertmanagers", self.facts.alertmanagers),
            "query": ("result", self.facts.databases),
        }
        question = url.partition("/api/v1/")[2].partition("?")[0]
        if question not in names:
            return Answer(200)
        name, value = names[question]
        return Answer(200, json.dumps({"status": "success", "data": {name: value}}))


def examine(server: Server, seconds: float = 5, parts: tuple[str, ...] = ("alertmanager", "loki")) -> dict[str, Any]:
    clock = iter(range(1000))
    expected = Expectations("10.0.0.8", SERVERS, parts, seconds)
    results, _ = Examiner(expected, server, lambda _: None, lambda: float(next(clock))).examine()
    return dict(results)


def test_it_waits_until_all_of_it_holds() -> None:
    server = Server(late=2)
    assert all(ok for ok, _ in examine(server).values())
    assert server.looks == 3


def test_it_does_not_wait_for_ever() -> None:
    found = examine(Server(late=100))
    assert not found["monitoring targets"][0]
    assert not found["monitoring servers"][0]


def test_what_runs_beside_it_must_be_ready() -> None:
    silent = {"http://10.0.0.8:3100/ready": "connection refused"}
    found = examine(Server(silent=silent))
    assert found["monitoring loki"] == (False, "not ready: connection refused")
    assert found["monitoring alertmanager"][0]
    assert "monitoring loki" not in examine(Server(silent=silent), parts=("alertmanager",))


def test_without_prometheus_there_is_one_sentence() -> None:
    found = examine(Server(silent={"http://10.0.0.8:9090/-/ready": "connection refused"}))
    assert found == {"monitoring": (False, "Prometheus is not ready: connection refused")}
