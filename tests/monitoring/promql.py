"""What tests ask of an expression in PromQL: whether it parses, and whether its metrics exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from tests.checkout import ROOT
from tests.programs import program

RULES = sorted((ROOT / "roles/monitoring_stack/files/rules").glob("*.yml"))
#: Names of metrics, one a line, a file for each program that tells them.
METRICS = ROOT / "tests/monitoring/metrics"

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'")
_BRACES = re.compile(r"\{[^{}]*\}")
_LABELS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_RANGE = re.compile(r"\[[^\[\]]*\]|\boffset\s+\S+")
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()\b")
_WORDS = {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan"}
#: Grafana's variables that stand where PromQL wants something else than a string.
VARIABLES = {"$__rate_interval": "1m", "$__interval": "1m", "$__range": "1h"}


def known_metrics() -> set[str]:
    """Everything that is told by a program or recorded by a rule."""
    told = {
        line for path in METRICS.glob("*.txt") for line in path.read_text().splitlines() if not line.startswith("#")
    }
    return told | {rule["record"] for rule in rules() if "record" in rule}


def rules() -> list[dict]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics an expression asks for."""
    rest = _STRING.sub('""', plain(expression))
    for pattern in (_BRACES, _LABELS, _RANGE):
        rest = pattern.sub(" ", rest)
    # A number such as 1e9 or a name that begins a call is none.
    names = {match for match in _NAME.findall(rest) if match.lower() not in _WORDS}
    return {name for name in names if not re.search(rf"(?<![\w:]){re.escape(name)}\s*\(", rest)}


def selectors_in(expression: str) -> set[str]:
    """The metrics an expression asks for, each with the labels it asks for."""
    names = metrics_in(expression)
    return {found[0] for found in re.finditer(r"([a-zA-Z_:][\w:]*)(\{[^{}]*\})?", expression) if found[1] in names}


def plain(expression: str) -> str:
    """An expression as Prometheus gets it: with some value for each of Grafana's variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\{?\w+(:\w+)?\}?", "x", expression)


def refused(expressions: Mapping[str, str], folder: Path) -> str:
    """What promtool says against expressions, each under the name of whoever asks it; empty when they all parse."""
    entries = [{"record": f"asked_{number}", "expr": plain(text)} for number, text in enumerate(expressions.values())]
    path = folder / "asked.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": entries}]}))
    done = promtool("check", "rules", str(path))
    if done.returncode == 0:
        return ""
    names = list(expressions)
    return re.sub(r"asked_(\d+)", lambda found: names[int(found[1])], done.stdout + done.stderr)


def unknown(expressions: Iterable[str]) -> set[str]:
    return set().union(*map(metrics_in, expressions)) - known_metrics()


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False, cwd=ROOT)
