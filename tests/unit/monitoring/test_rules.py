"""Alert rules: tested by promtool both ways, documented, with a page that says what to type, asking what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT
from tests.monitoring.document import DOCUMENT, rows, seconds
from tests.monitoring.promql import RULES, known_metrics, metrics_in, promtool, refused, rules, unknown

TESTS = sorted((ROOT / "tests/monitoring/rules").glob("*.test.yml"))
RUNBOOKS = ROOT / "docs/runbooks"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.name != "README.md")
ALERTS = [rule for rule in rules() if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})
#: Until a target is asked and until rules are evaluated.
INTERVALS_SECONDS = 30


def test_prometheus_accepts_them() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *map(str, RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_refuses_what_is_none(tmp_path: Path) -> None:
    assert refused({"good": "up == 0"}, tmp_path) == ""
    assert "bad" in refused({"good": "up == 0", "bad": "sum by instance (up)"}, tmp_path)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_they_fire_and_stay_silent_as_their_tests_say(path: Path) -> None:
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_both_ways() -> None:
    fires, silent = set(), set()
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                (fires if case["exp_alerts"] else silent).add(case["alertname"])
    assert fires == set(NAMES)
    assert silent == set(NAMES) - {"Watchdog"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_says_what_people_need(rule: dict) -> None:
    assert rule["labels"]["severity"] in ({"none"} if rule["alert"] == "Watchdog" else {"critical", "warning"})
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert [path.stem for path in PAGES] == NAMES
    index = re.findall(r"\]\((\w+)\.md\)", (RUNBOOKS / "README.md").read_text())
    assert sorted(index) == NAMES


def test_the_document_has_a_row_for_each_alert() -> None:
    table = rows()
    assert sorted(table) == NAMES
    for rule in ALERTS:
        assert table[rule["alert"]][0] == rule["labels"]["severity"], rule["alert"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_the_documented_time_can_be_kept(rule: dict) -> None:
    _, _, fires, resolves = rows()[rule["alert"]]
    assert seconds(fires) >= seconds(rule.get("for", "0s")) + INTERVALS_SECONDS
    assert rule["alert"] == "Watchdog" or seconds(resolves) >= INTERVALS_SECONDS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_names_only_what_exists(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Look first", "Mend", "When to be calm"]
    assert "```console\n" in text
    playbooks = set(re.findall(r"playbooks/(\w+\.yml)", text))
    assert playbooks <= {found.name for found in (ROOT / "playbooks").glob("*.yml")}
    tags = {tag for words in re.findall(r"--tags ([\w,]+)", text) for tag in words.split(",")}
    assert tags <= {found.name for found in (ROOT / "roles").iterdir()}
    commands = set(re.findall(r"\./bulwark (\w+)", text))
    assert commands <= set(re.findall(r"^  (\w+) ", (ROOT / "bulwark").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", [DOCUMENT, RUNBOOKS / "README.md", *PAGES], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", [RUNBOOKS / "README.md", *PAGES], ids=lambda path: path.name)
def test_commands_that_move_or_destroy_are_confirmed(path: Path) -> None:
    """As the playbooks ask for it: one without would stop and wait at a terminal."""
    confirmed = {
        found.name for found in (ROOT / "playbooks").glob("*.yml") if "tasks/confirmed.yml" in found.read_text()
    }
    assert "failover.yml" in confirmed
    for name, rest in re.findall(r"ansible-playbook playbooks/(\w+\.yml)([^`\n#]*)", path.read_text()):
        assert ("-e confirm=production" in rest) == (name in confirmed), name


def test_they_ask_for_metrics_that_exist() -> None:
    assert unknown(rule["expr"] for rule in rules()) == set()


def test_an_unknown_metric_would_be_found() -> None:
    expression = 'sum by (instance) (rate(node_no_such_total{mode="idle"}[5m])) / on (env) up offset 1h > 1e9'
    assert metrics_in(expression) == {"node_no_such_total", "up"}
    assert "up" in known_metrics()
    assert unknown([expression]) == {"node_no_such_total"}
