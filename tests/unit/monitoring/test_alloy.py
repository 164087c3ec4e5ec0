"""Alloy's configuration. Alloy itself cannot be had here, so its syntax is read by a small reader of its grammar."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.alloy import configuration
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.declared import MonitoringError

LABELS = {"host": "app-01", "role": "app", "env": "trial"}
# https://grafana.com/docs/alloy/latest/get-started/configuration-syntax/syntax/
TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_][\w.]*|\d+)|([{}\[\]=,]))')


class Reader:
    """Reads blocks and attributes; whatever is not the grammar's fails."""

    def __init__(self, text: str) -> None:
        self.tokens = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            found = TOKEN.match(text, position)
            assert found, f"cannot be read: {text[position : position + 40]!r}"
            self.tokens.append(found[0].strip())
            position = found.end()

    def next(self, *wanted: str) -> str:
        token = self.tokens.pop(0)
        assert not wanted or token in wanted, f"{token} where {wanted} should be"
        return token

    def body(self, end: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.tokens and self.tokens[0] != end:
            name = self.next()
            assert re.fullmatch(r"[A-Za-z_][\w.]*", name)
            if self.tokens[0] == "=":
                self.next("=")
                assert name not in found, f"{name} twice"
                found[name] = self.value()
            else:
                label = f" {json.loads(self.next())}" if self.tokens[0].startswith('"') else ""
                self.next("{")
                inner = self.body("}")
                self.next("}")
                found.setdefault(name + label, []).append(inner)
        return found

    def value(self) -> Any:
        token = self.next()
        if token == "[":
            items = []
            while self.tokens[0] != "]":
                items.append(self.value())
                if self.tokens[0] == ",":
                    self.next(",")
            self.next("]")
            return items
        if token == "{":
            entries = {}
            while self.tokens[0] != "}":
                key = json.loads(self.next())
                self.next("=")
                entries[key] = self.value()
                if self.tokens[0] == ",":
                    self.next(",")
            self.next("}")
            return entries
        return json.loads(token) if token[0] == '"' or token.isdigit() else f"<{token}>"


def read(containers: bool = True, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return Reader(configuration("10.0.0.8:3100", labels or LABELS, containers)).body()


def test_every_reference_leads_to_something_that_is_there() -> None:
    found = read()
    there = {name.replace(" ", ".") for name in found}
    references = set(re.findall(r"<((?:loki|discovery)\.[\w.]+)>", json.dumps(found)))
    assert references
    assert {reference.rpartition(".")[0] for reference in references} <= there


def test_all_lines_have_the_labels_and_go_to_loki() -> None:
    found = read()
    for name, job in (("loki.source.journal journal", "journal"), ("loki.source.docker containers", "containers")):
        (source,) = found[name]
        assert source["labels"] == {"job": job, **LABELS}
        assert source["forward_to"] == ["<loki.write.monitoring.receiver>"]
    (write,) = found["loki.write monitoring"]
    assert write["endpoint"][0]["url"] == "http://10.0.0.8:3100/loki/api/v1/push"


def test_lines_say_which_unit_or_container_they_come_from() -> None:
    found = read()
    assert {rule["target_label"] for rule in found["loki.relabel journal"][0]["rule"]} == {"unit", "level"}
    assert {rule["target_label"] for rule in found["discovery.relabel containers"][0]["rule"]} == {"container", "unit"}


def test_it_waits_a_week_for_loki_and_reads_as_far_back() -> None:
    found = read()
    endpoint = found["loki.write monitoring"][0]["endpoint"][0]
    assert endpoint["max_backoff_retries"] * 30 == 7 * 24 * 3600
    assert endpoint["max_backoff_period"] == "30s"
    assert found["loki.source.journal journal"][0]["max_age"] == "168h"
    # What its makers call experimental is not used.
    assert not {"wal", "queue_config"} & set(json.dumps(found).split('"'))


def test_docker_is_left_alone_where_there_is_none() -> None:
    assert "docker" not in json.dumps(read(containers=False))


def test_a_label_cannot_break_out_of_its_quotation_marks() -> None:
    hostile = 'x"} }\nlocal.file "f" { filename = "/etc/shadow" '
    found = read(labels={"host": hostile})
    assert found["loki.source.journal journal"][0]["labels"]["host"] == hostile
    assert set(found) == set(read())


@pytest.mark.parametrize(
    ("loki", "labels", "says"),
    [
        ("10.0.0.8", LABELS, "write address and port"),
        ("http://10.0.0.8:3100", LABELS, "write address and port"),
        ("10.0.0.8:3100", {"Host-name": "a"}, 'has "Host-name"'),
        ("10.0.0.8:3100", {"host": ""}, 'has "host" with the value ""'),
    ],
)
def test_it_says_what_cannot_be(loki: str, labels: dict[str, str], says: str) -> None:
    with pytest.raises(MonitoringError, match=re.escape(says)):
        configuration(loki, labels, containers=True)
