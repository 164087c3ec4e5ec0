"""Monitoring tells what is and what is not: every query has data; every fault is heard of in time, and nothing else.

What an alert took is printed beside what docs/alerts.md states (-rP shows it). Waiting ends at twice the stated time,
since a machine that also runs other tests may be late. That an alert fires, resolves and is the only one does not
depend on the machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.launcher import launcher, on, recap, succeed
from tests.monitoring.dashboards import DASHBOARDS, PROMETHEUS, asked, expressions, filled
from tests.monitoring.promql import rules, selectors_in
from tests.real import alerts
from tests.real.alerts import MONITOR, ask, chaos, evaluate, series, watching
from tests.real.database import MEMBERS, power, until

_CALM = "nothing fires"
_NOBODY = "nobody is told of alerts in the lab"
#: Queries that may be without data on a lab where all is well, and why.
EMPTY_QUERIES = {
    "Edge, annotation Alerts": _CALM,
    "Node, annotation Alerts": _CALM,
    "Overview, Alerts that fire, A": _CALM,
    "PostgreSQL, annotation Alerts": _CALM,
    "Node, Clock, B": "containers do not ask for the clock, which is the machine's",
    "Prometheus, Who is told, A": _NOBODY,
    "Prometheus, Who is told, B": _NOBODY,
}
#: The same for what rules ask for.
EMPTY_SELECTORS = {
    "node_timex_sync_status": "containers do not ask for the clock, which is the machine's",
    "node_timex_maxerror_seconds": "containers do not ask for the clock, which is the machine's",
    'pg_replication_slot_wal_status{wal_status="lost"}': "only a slot that is lost has it",
}
CONVERGE = ("run", "playbooks/converge.yml", "--tags", "monitoring_stack", "--limit", MONITOR)


def chosen(dashboard: dict) -> dict[str, str]:
    """What Grafana has for each variable when somebody opens a dashboard: everything, or the first value there is."""
    values: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query" or variable["datasource"]["type"] != PROMETHEUS:
            continue
        expression, label = asked(variable)
        (answer,) = evaluate([filled(expression, values)])
        found = sorted(item["metric"][label] for item in answer["data"]["result"])
        assert found, f"{dashboard['title']} has nothing to choose for {variable['name']}"
        values[variable["name"]] = variable["allValue"] if variable.get("includeAll") else found[0]
    return values


def without_data(expressions: Mapping[str, str]) -> set[str]:
    """Of expressions by name, those that have none. Prometheus accepts all of them."""
    answers = dict(zip(expressions, evaluate(list(expressions.values())), strict=True))
    refused = {name: answer["error"] for name, answer in answers.items() if answer["status"] != "success"}
    assert refused == {}
    return {name for name, answer in answers.items() if not answer["data"]["result"]}


def have_data(expressions: Mapping[str, str], empty: Mapping[str, str]) -> None:
    """All but those that may be empty; tests before may have stopped a server that now tells its first figures."""
    left = {name: expressions[name] for name in without_data(expressions) - set(empty)}

    def none_left() -> bool:
        for name in set(left) - without_data(left):
            del left[name]
        return not left

    with suppress(AssertionError):
        until(none_left, "data", 180)
    assert set(left) == set()


def test_every_query_of_every_dashboard_has_data() -> None:
    found: dict[str, str] = {}
    for dashboard in DASHBOARDS.values():
        values = chosen(dashboard)
        found |= {name: filled(text, values) for name, text in expressions(dashboard, PROMETHEUS).items()}
    assert len(found) > 100
    assert set(EMPTY_QUERIES) <= set(found), "a justification for a query that is gone"
    have_data(found, EMPTY_QUERIES)


def test_every_rule_has_what_it_asks_for() -> None:
    """Alerts have no data while all is well; each of their metrics, with the labels that they ask for, has."""
    wanted = {selector: selector for rule in rules() for selector in selectors_in(rule["expr"])}
    assert len(wanted) > 50
    assert set(EMPTY_SELECTORS) <= set(wanted), "a justification for what no rule asks for"
    have_data(wanted | {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}, EMPTY_SELECTORS)


def test_prometheus_evaluates_every_rule() -> None:
    there = [rule for group in ask(f"{alerts.PROMETHEUS}/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    assert {(rule["name"], rule["health"], rule.get("lastError", "")) for rule in there} == {
        (rule.get("alert") or rule["record"], "ok", "") for rule in rules()
    }


def test_a_volume_that_was_mounted_after_the_exporter_had_begun_is_watched() -> None:
    """Servers have been started anew before; without a view of the volume it would be the root's figures."""
    mounted = 'node_filesystem_size_bytes{mountpoint="/var/lib/postgresql", fstype="xfs"}'
    assert set(series(mounted)) == set(MEMBERS)


# --- bad input --------------------------------------------------------------------------------------------------------


def running() -> dict[str, object]:
    """What runs on the monitoring server, and when it last read its files."""
    return {
        "files": on(MONITOR, "sh", "-c", "find /etc/bulwark/monitoring -type f -exec sha256sum {} + | sort"),
        "containers": on(MONITOR, "docker", "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"),
        "read": series("prometheus_config_last_reload_success_timestamp_seconds"),
    }


def test_what_cannot_be_is_refused_and_what_runs_goes_on(tmp_path: Path) -> None:
    rule = {"alert": "Broken", "expr": "sum by instance (up)"}
    (tmp_path / "broken.yml").write_text(json.dumps({"groups": [{"name": "broken", "rules": [rule]}]}))
    before = running()
    for given, says in (
        ({"monitoring_stack_rules_path": str(tmp_path)}, "promtool refuses them"),
        ({"monitoring_stack_database_password": "not-the-password"}, "password authentication failed"),
    ):
        answer = launcher(*CONVERGE, "-e", json.dumps(given))
        assert answer.code != 0, says
        assert says in " ".join(answer.text.split())
        assert running() == before
    assert sum(counts.changed for counts in recap(succeed(*CONVERGE)).values()) == 0
    assert running() == before


# --- chaos ------------------------------------------------------------------------------------------------------------


def told(measured: list[alerts.Measured]) -> None:
    for line in measured:
        print(line)


def test_three_faults_at_once_are_heard_of_and_nothing_else() -> None:
    faults = (alerts.CertificateExpiring(), alerts.ApplicationKilled(), alerts.ServerStopped("jobs-01"))

    def dashboards_show_it() -> None:
        values = {"env": "lab", "instance": "jobs-01"}
        of_calm = {name for name, why in EMPTY_QUERIES.items() if why == _CALM and not name.startswith("PostgreSQL")}
        shown = {
            name: filled(text, values)
            for dashboard in DASHBOARDS.values()
            for name, text in expressions(dashboard, PROMETHEUS).items()
            if name in of_calm
        }
        assert without_data(shown) == set()

    with watching() as watch:
        told(chaos(watch, *faults, at_once=dashboards_show_it))


@pytest.mark.full
@pytest.mark.parametrize("name", alerts.ALONE)
def test_a_fault_is_heard_of_and_nothing_else(name: str) -> None:
    with watching() as watch:
        told(chaos(watch, *alerts.ALONE[name]()))


HOOKS = [{"name": "listener", "url": "http://127.0.0.1:18080/"}]
_LISTENER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/run/listener", "ab") as kept:
            kept.write(body.strip() + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 18080), Handler).serve_forever()
"""


@pytest.mark.full
def test_people_are_told_when_it_begins_and_when_it_ends() -> None:
    fault = alerts.ApplicationKilled()

    def heard(state: str) -> bool:
        said = launcher("exec", MONITOR, "cat", "/run/listener").text
        told = [alert for line in said.splitlines() if line.startswith("{") for alert in json.loads(line)["alerts"]]
        (wanted,) = fault.alerts
        return any(
            (alert["status"], alert["labels"]["alertname"], alert["labels"].get("instance")) == (state, *wanted)
            for alert in told
        )

    on(MONITOR, "systemd-run", "--quiet", "--collect", "--unit=listener", "/usr/bin/python3", "-c", _LISTENER)
    try:
        succeed(*CONVERGE, "-e", json.dumps({"monitoring_stack_webhooks": HOOKS}))
        fault.make()
        try:
            until(lambda: heard("firing"), "word of the fault", 480)
        finally:
            fault.repair()
        # Alertmanager gathers what is new about the same for five minutes.
        until(lambda: heard("resolved"), "word of its end", 900)
    finally:
        succeed(*CONVERGE)
        on(MONITOR, "sh", "-c", "systemctl stop listener; rm -f /run/listener")


@pytest.mark.full
def test_the_monitoring_server_goes_away_and_comes_back_with_all_it_had() -> None:
    def up(at: float | None = None) -> dict[tuple[str, str], str]:
        when = "" if at is None else f"&time={at}"
        answer = ask(f"{alerts.PROMETHEUS}/api/v1/query?query=up{when}")
        return {(i["metric"]["job"], i["metric"]["instance"]): i["value"][1] for i in answer["data"]["result"]}

    # A program that has read its files again since it began must come back as well.
    succeed(*CONVERGE, "-e", json.dumps({"monitoring_stack_webhooks": HOOKS}))
    succeed(*CONVERGE)
    before, seen, files = time.time(), up(), running()["files"]
    assert set(seen.values()) == {"1"}
    power(MONITOR, "off")
    time.sleep(120)
    power(MONITOR, "on")

    def back() -> bool:
        ready = launcher("exec", MONITOR, "curl", "-sf", "-m", "5", f"{alerts.PROMETHEUS}/-/ready")
        # Within five minutes Prometheus still answers with what it knew before.
        return ready.code == 0 and time.time() - min(series("timestamp(up)").values()) < 60 and up() == seen

    until(back, "all targets are up again", 300)
    assert up(before) == seen
    assert running()["files"] == files
    with watching() as watch:
        alerts.calm(watch)
    assert sum(counts.changed for counts in recap(succeed(*CONVERGE)).values()) == 0
