# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the results of tasks in check mode to a report of what differs. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import unified_diff
from typing import Any

#: Lines of a command's output that are shown where a task has no difference to show.
OUTPUT_LINES = 10
#: Lines of one difference in the text for a terminal. Files have all of them.
TEXT_LINES = 60
HIDDEN = "(its content is secret)"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as declared."""

    host: str
    part: str  # the role, or the play
    task: str
    what: str = ""  # of a plan: the resource and what would be done with it
    why: str = ""
    refused: str = ""  # a sentence: why site.yml would stop here
    destructive: bool = False  # loses data, or takes a running server away for a while
    monthly_price: str = ""  # what the month would cost more
    diff: str = ""  # unified, or lines of text

    @property
    def title(self) -> str:
        return self.what or self.task


@dataclass(frozen=True)
class Unseen:
    """What could not be looked at. ``host`` is empty where it is more than one."""

    host: str
    part: str
    why: str


@dataclass
class Report:
    """What was found. ``currency`` is that of prices, empty where none was told."""

    differences: list[Difference] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)  # as kind/name; left alone by site.yml
    currency: str = ""

    @property
    def monthly_price(self) -> Decimal:
        return sum((Decimal(item.monthly_price) for item in self.differences if item.monthly_price), Decimal(0))


def unified(diff: object) -> str:
    """What a module returned as ``diff``, as unified text.

    Takes what Ansible does: one mapping or a list of them, each with ``before`` and ``after`` (text or data), or
    ``prepared``.
    """
    if isinstance(diff, Mapping):
        diff = [diff]
    if not isinstance(diff, Sequence) or isinstance(diff, str):
        return ""
    return "".join(_one(item) for item in diff if isinstance(item, Mapping))


def _one(diff: Mapping[str, Any]) -> str:
    if diff.get("prepared"):
        return _ended(str(diff["prepared"]))
    for name in ("src_binary", "dst_binary", "src_larger", "dst_larger"):
        if diff.get(name):
            return "(a binary or large file)\n"
    before, after = (_text(diff.get(name)) for name in ("before", "after"))
    old, new = (str(diff.get(f"{name}_header") or name) for name in ("before", "after"))
    lines = unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _text(value: object) -> str:
    if value is None or value == "":
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=4, sort_keys=True, default=str)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def differences(host: str, part: str, task: str, result: Mapping[str, Any]) -> Iterator[Difference]:
    """What a task would change, from its result in check mode; of a loop, what each turn would.

    A result with a plan (those of the modules for infrastructure and load balancers) gives one difference for each of
    its steps.
    """
    turns = result.get("results")
    if isinstance(turns, list):
        for turn in turns:
            if isinstance(turn, Mapping) and (turn.get("changed") or turn.get("plan")):
                label = turn.get("_ansible_item_label")
                name = f"{task} ({label})" if isinstance(label, str | int) else task
                yield from differences(host, part, name, turn)
        return
    plan = result.get("plan")
    if isinstance(plan, list) and plan:
        for step in plan:
            yield Difference(
                host,
                part,
                task,
                what=f"{step['kind']}/{step['name']} {step['action']}",
                why=str(step.get("why") or ""),
                refused=str(step.get("refused") or ""),
                destructive=bool(step.get("destructive")),
                monthly_price=_price(step.get("monthly_price")),
                diff=unified({"before": step.get("before"), "after": step.get("after")}),
            )
        return
    shown = f"{HIDDEN}\n" if "censored" in result else unified(result.get("diff")) or _output(result)
    yield Difference(host, part, task, diff=shown)


def _price(value: object) -> str:
    return str(value) if value is not None and Decimal(str(value)) != 0 else ""


def _output(result: Mapping[str, Any]) -> str:
    """What a command that compares printed."""
    lines = str(result.get("stdout") or "").splitlines()
    shown = [*lines[:OUTPUT_LINES], *([f"… {len(lines) - OUTPUT_LINES} more"] if len(lines) > OUTPUT_LINES else [])]
    return "".join(f"{line}\n" for line in shown)


def verdict(report: Report) -> str:
    """One sentence."""
    if report.unseen:
        found = f" Elsewhere: {_count(report)}." if report.differences else ""
        names = _names(item.host for item in report.unseen if item.host)
        return f"Not everything could be looked at{': ' if names else ''}{names}.{found}"
    if report.differences:
        refused = any(item.refused for item in report.differences)
        then = "stops at what is refused" if refused else "makes them what is declared"
        return f"{_count(report)}. site.yml {then}."
    return "No drift: everything is as declared."


def _count(report: Report) -> str:
    places = {item.host for item in report.differences}
    count = len(report.differences)
    losing = sum(item.destructive for item in report.differences)
    marks = f", {losing} of them destructive" if losing else ""
    refused = sum(bool(item.refused) for item in report.differences)
    marks += f", {refused} of them refused" if refused else ""
    return f"Drift: {count} difference{'s' if count > 1 else ''} on {_names(places)}{marks}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _unseen(report: Report) -> list[str]:
    return [": ".join(filter(None, (item.host, item.part, item.why))) for item in report.unseen]


def _grouped(report: Report) -> dict[str, dict[str, list[Difference]]]:
    """By host and part, both in the order they were looked at."""
    groups: dict[str, dict[str, list[Difference]]] = {}
    for item in report.differences:
        groups.setdefault(item.host, {}).setdefault(item.part, []).append(item)
    return groups


def _marks(item: Difference, currency: str) -> str:
    marks = ["destructive"] if item.destructive else []
    if item.monthly_price:
        marks.append(f"{Decimal(item.monthly_price):+} {currency} a month".replace("  ", " "))
    return f" ({', '.join(marks)})" if marks else ""


def _details(item: Difference) -> list[str]:
    # The reason for a refusal tells the reason for the change as well.
    return [item.refused or item.why] if item.refused or item.why else []


def _total(report: Report) -> list[str]:
    if not report.monthly_price:
        return []
    return [f"Difference in monthly price (net): {report.monthly_price:+} {report.currency}".rstrip()]


def text(report: Report) -> list[str]:
    """Lines for a terminal, the verdict last."""
    lines: list[str] = []
    for host, parts in _grouped(report).items():
        lines.append(host)
        for part, items in parts.items():
            lines.append(f"  {part}")
            for item in items:
                lines.append(f"    {item.title}{_marks(item, report.currency)}")
                lines += [f"      {detail}" for detail in _details(item)]
                shown = item.diff.splitlines()
                lines += [f"      {line}" for line in shown[:TEXT_LINES]]
                if len(shown) > TEXT_LINES:
                    lines.append(f"      … {len(shown) - TEXT_LINES} more lines; drift_report_path gets all of them")
    if report.unseen:
        lines.append("not looked at")
        lines += [f"  {line}" for line in _unseen(report)]
    if report.undeclared:
        lines.append(f"not declared, and left alone: {', '.join(report.undeclared)}")
    return [*lines, *_total(report), verdict(report)]


def markdown(report: Report) -> str:
    """The same as a document."""
    lines = ["# Drift", "", verdict(report), ""]
    for host, parts in _grouped(report).items():
        lines += [f"## {host}", ""]
        for part, items in parts.items():
            lines += [f"### {part}", ""]
            for item in items:
                lines += [f"- {item.title}{_marks(item, report.currency)}"]
                lines += [f"  {detail}" for detail in _details(item)]
                if item.diff:
                    # A fence longer than any in the content.
                    fence = "`" * max(3, *(_run(line) + 1 for line in item.diff.splitlines()))
                    lines += ["", f"  {fence}diff", *(f"  {line}" for line in item.diff.splitlines()), f"  {fence}"]
                lines.append("")
    if report.unseen:
        lines += ["## Not looked at", ""]
        lines += [f"- {line}" for line in _unseen(report)]
        lines.append("")
    if report.undeclared:
        lines += ["## Not declared, and left alone", "", *(f"- {name}" for name in report.undeclared), ""]
    lines += _total(report)
    return "\n".join(lines).rstrip("\n") + "\n"


def _run(line: str) -> int:
    """Backticks that a line begins with."""
    stripped = line.lstrip(" +-")
    return len(stripped) - len(stripped.lstrip("`"))


def as_json(report: Report) -> str:
    """The same for programs."""
    document = {
        "drift": bool(report.differences),
        "complete": not report.unseen,
        "verdict": verdict(report),
        "differences": [
            {
                "host": item.host,
                "part": item.part,
                "task": item.task,
                "what": item.what or None,
                "why": item.why or None,
                "refused": item.refused or None,
                "destructive": item.destructive,
                "monthly_price": item.monthly_price or None,
                "diff": item.diff,
            }
            for item in report.differences
        ],
        "not_looked_at": [{"host": item.host, "part": item.part, "why": item.why} for item in report.unseen],
        "undeclared": report.undeclared,
        "monthly_price": {"difference": str(report.monthly_price), "currency": report.currency or None},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
