"""From results of tasks in check mode to the report of what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.plugin_utils.drift import (
    HIDDEN,
    OUTPUT_LINES,
    TEXT_LINES,
    Difference,
    Report,
    Unseen,
    as_json,
    differences,
    markdown,
    text,
    unified,
    verdict,
)


def found(result: dict[str, Any]) -> list[Difference]:
    return list(differences("app-01", "docker", "Put the files in place", {"changed": True, **result}))


def step(**more: Any) -> dict[str, Any]:
    return {
        "kind": "server",
        "name": "app-01",
        "action": "change_type",
        "before": {"type": "cax21"},
        "after": {"type": "cax31"},
        "destructive": False,
        "why": "declared cax31",
        "refused": None,
        "monthly_price": "0.00",
        **more,
    }


@pytest.mark.parametrize(
    ("diff", "shown"),
    [
        (None, ""),
        ("text", ""),
        ([], ""),
        ({"before": "", "after": ""}, ""),
        ({"before": "a\nb\n", "after": "a\nc\n"}, "--- before\n+++ after\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"),
        (
            {"before": "", "after": "a\n", "before_header": "/etc/x", "after_header": "/etc/x (new)"},
            "--- /etc/x\n+++ /etc/x (new)\n@@ -0,0 +1 @@\n+a\n",
        ),
        ([{"prepared": "one"}, {"prepared": "two\n"}], "one\ntwo\n"),
        (
            {"before": {"a": 1}, "after": {"a": 2}},
            '--- before\n+++ after\n@@ -1,3 +1,3 @@\n {\n-    "a": 1\n+    "a": 2\n }\n',
        ),
        ({"src_binary": 1, "before": "x"}, "(a binary or large file)\n"),
        (
            {"before": "no end of line", "after": "other"},
            "--- before\n+++ after\n@@ -1 +1 @@\n-no end of line\n+other\n",
        ),
    ],
)
def test_what_modules_call_a_difference_is_shown_as_one(diff: object, shown: str) -> None:
    assert unified(diff) == shown


def test_one_task_is_one_difference() -> None:
    (one,) = found({"diff": {"before": "", "after": "x\n"}})
    assert (one.host, one.part, one.title) == ("app-01", "docker", "Put the files in place")
    assert one.diff.endswith("+x\n")


def test_of_a_loop_only_the_turns_that_differ() -> None:
    turns = [
        {"changed": False, "_ansible_item_label": "a"},
        {"changed": True, "_ansible_item_label": "b", "diff": {"before": "1", "after": "2"}},
        {"changed": True},
    ]
    assert [item.task for item in found({"results": turns})] == ["Put the files in place (b)", "Put the files in place"]


def test_a_secret_result_is_named_and_nothing_of_it_shown() -> None:
    (one,) = found({"censored": "the output has been hidden"})
    assert one.diff == f"{HIDDEN}\n"


def test_a_command_shows_what_it_printed_but_not_all_of_it() -> None:
    (one,) = found({"stdout": "rules\nforwarding"})
    assert one.diff == "rules\nforwarding\n"
    (many,) = found({"stdout": "\n".join(str(number) for number in range(OUTPUT_LINES + 5))})
    assert many.diff.splitlines()[-1] == "… 5 more"
    assert len(many.diff.splitlines()) == OUTPUT_LINES + 1


def test_a_plan_is_a_difference_for_each_step() -> None:
    plan = [
        step(),
        step(action="delete", destructive=True, monthly_price="-7.50"),
        step(refused="It cannot.", why="refused"),
    ]
    first, second, third = found({"plan": plan, "diff": [{"before": "", "after": "all of it"}]})
    assert first.what == "server/app-01 change_type"
    assert '+    "type": "cax31"' in first.diff
    assert (first.why, first.monthly_price, first.destructive) == ("declared cax31", "", False)
    assert (second.monthly_price, second.destructive) == ("-7.50", True)
    assert third.refused == "It cannot."


def report(**more: Any) -> Report:
    kinds = [
        Difference("app-01", "docker", "Compare", diff="".join(f"line {number}\n" for number in range(TEXT_LINES + 3))),
        Difference("app-01", "node_exporter", "Start it"),
        Difference(
            "localhost",
            "Infrastructure",
            "Plan",
            what="volume/data delete",
            why="not declared",
            destructive=True,
            monthly_price="-4.40",
            diff="-```\n",
        ),
        Difference("localhost", "Edge", "Plan", what="load_balancer/lb create", monthly_price="5.40"),
    ]
    return Report(differences=kinds, currency="EUR", **more)


def test_the_text_has_hosts_parts_marks_and_the_verdict_last() -> None:
    lines = text(report())
    assert lines[:3] == ["app-01", "  docker", "    Compare"]
    assert "      … 3 more lines; drift_report_path gets all of them" in lines
    assert "    volume/data delete (destructive, -4.40 EUR a month)" in lines
    assert "      not declared" in lines
    assert lines[-2] == "Difference in monthly price (net): +1.00 EUR"
    assert lines[-1] == (
        "Drift: 4 differences on app-01, localhost, 1 of them destructive. site.yml makes them what is declared."
    )


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (Report(), "No drift: everything is as declared."),
        (Report(undeclared=["server/old"]), "No drift: everything is as declared."),
        (
            Report(differences=[Difference("a", "b", "c")]),
            "Drift: 1 difference on a. site.yml makes them what is declared.",
        ),
        (
            Report(differences=[Difference("a", "b", "c", refused="No.")]),
            "Drift: 1 difference on a, 1 of them refused. site.yml stops at what is refused.",
        ),
        (Report(unseen=[Unseen("a", "b", "c")]), "Not everything could be looked at: a."),
        (
            Report(unseen=[Unseen("b", "", "c"), Unseen("", "Plays", "c")], differences=[Difference("a", "b", "c")]),
            "Not everything could be looked at: b. Elsewhere: Drift: 1 difference on a.",
        ),
        (Report(unseen=[Unseen("", "Plays", "c")]), "Not everything could be looked at."),
    ],
)
def test_the_verdict_is_one_sentence(what: Report, sentence: str) -> None:
    assert verdict(what) == sentence
    assert text(what)[-1] == sentence
    assert sentence in markdown(what)
    assert json.loads(as_json(what))["verdict"] == sentence


def test_what_was_not_looked_at_and_what_nobody_declared_is_listed() -> None:
    whole = report(unseen=[Unseen("db-primary", "postgres", "unreachable"), Unseen("", "Monitoring", "ended")])
    whole.undeclared = ["server/old"]
    for shown in ("\n".join(text(whole)), markdown(whole)):
        assert "db-primary: postgres: unreachable" in shown
        assert "Monitoring: ended" in shown
        assert "server/old" in shown


def test_a_document_has_all_lines_and_its_fences_hold() -> None:
    document = markdown(report())
    assert f"  line {TEXT_LINES + 2}" in document
    assert "  ````diff\n  -```\n  ````\n" in document, "a fence in the content would end a shorter one"
    assert document.index("## app-01") < document.index("### docker") < document.index("## localhost")


def test_json_is_whole() -> None:
    document = json.loads(as_json(report(unseen=[Unseen("a", "b", "c")])))
    assert (document["drift"], document["complete"]) == (True, False)
    assert document["monthly_price"] == {"difference": "1.00", "currency": "EUR"}
    assert document["not_looked_at"] == [{"host": "a", "part": "b", "why": "c"}]
    volume = document["differences"][2]
    assert volume["what"] == "volume/data delete"
    assert volume["destructive"] is True
    assert document["differences"][1]["what"] is None
