# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the results of all hosts to one report. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT, Check


class Report(TypedDict):
    """Every check, whether all of them hold, a table for people, the names of those that do not hold, and sentences."""

    ok: bool
    checks: list[Check]
    lines: list[str]
    failures: list[str]
    summary: list[str]


def build_report(
    results: Mapping[str, Iterable[tuple[str, Mapping[str, Any]]]], together: Iterable[Check] = ()
) -> Report:
    """The report of what each host's examinations, by their name, returned to Ansible.

    An examination without checks, because the host was unreachable, the module failed or never ran, is a failed check.
    ``together`` are checks that no host can make alone.
    """
    checks: list[Check] = []
    summary: list[str] = []
    for host, examinations in sorted(results.items()):
        for examination, result in examinations:
            summary.extend(result.get("summary", ()))
            checks.extend(result["checks"] if "checks" in result else [_not_examined(host, examination, result)])
    checks.extend(together)
    failures = [f"{check['host']}: {check['check']}" for check in checks if not check["ok"]]
    return {
        "ok": bool(checks) and not failures,
        "checks": checks,
        "lines": _table(checks),
        "failures": failures,
        "summary": summary,
    }


def one_primary(results: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """Whether exactly one of a database's members is primary, from what M(verify_database) returned for each host.

    No check where not all members took part, since one that did not may be the primary.
    """
    roles = {host: str(result["role"]) for host, result in results.items() if "role" in result}
    members = {str(name) for host in roles for name in results[host]["members"]}
    if not members or not members <= results.keys():
        return []
    primaries = sorted(host for host, role in roles.items() if role == "primary")
    seen = f"{' and '.join(primaries) or 'nobody'} of {', '.join(sorted(members))}"
    return [{"check": "one primary", "host": "database", "ok": len(primaries) == 1, "detail": f"primary is {seen}"}]


def _not_examined(host: str, examination: str, result: Mapping[str, Any]) -> Check:
    reason = " ".join(str(result.get("msg") or "it did not take part in this run").split())
    return {"check": examination, "host": host, "ok": False, "detail": f"not examined: {reason[-REASON_LIMIT:]}"}


def _table(checks: list[Check]) -> list[str]:
    rows = [("HOST", "CHECK", "RESULT", "DETAIL")]
    rows += [(check["host"], check["check"], "ok" if check["ok"] else "FAILED", check["detail"]) for check in checks]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(row[i].ljust(widths[i]) for i in range(3)), row[3]]) for row in rows]
