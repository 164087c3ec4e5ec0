"""The report: complete, readable, and never better than what was found."""

from __future__ import annotations

from ansible_collections.bulwark.hetzner.plugins.filter.verification_report import verification_report
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import Check
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.report import build_report

EXAMINATIONS = {"seen from inside": "inside", "seen from outside": "outside"}


def check(host: str, ok: bool = True, name: str = "default route") -> Check:
    return {"check": name, "host": host, "ok": ok, "detail": "default via 10.0.0.1 dev enp7s0"}


def test_all_that_holds_is_a_table_by_host() -> None:
    hostvars = {
        host: {"inside": {"checks": [check(host)]}, "outside": {"checks": [check(host, name="open ports")]}}
        for host in ("db-primary", "app-01")
    }
    report = verification_report(["db-primary", "app-01"], hostvars, EXAMINATIONS)
    assert report["ok"]
    assert report["failures"] == []
    assert report["lines"] == [
        "HOST        CHECK          RESULT  DETAIL",
        "app-01      default route  ok      default via 10.0.0.1 dev enp7s0",
        "app-01      open ports     ok      default via 10.0.0.1 dev enp7s0",
        "db-primary  default route  ok      default via 10.0.0.1 dev enp7s0",
        "db-primary  open ports     ok      default via 10.0.0.1 dev enp7s0",
    ]


def test_what_does_not_hold_is_named() -> None:
    report = build_report({"app-01": [("seen from inside", {"checks": [check("app-01", ok=False)]})]})
    assert not report["ok"]
    assert report["failures"] == ["app-01: default route"]
    assert "FAILED" in report["lines"][1]


def test_unreachable_host_is_a_failed_check() -> None:
    result = {"unreachable": True, "msg": "Failed to connect\nto the host via ssh"}
    report = verification_report(["app-01"], {"app-01": {"inside": result, "outside": {"checks": []}}}, EXAMINATIONS)
    assert report["failures"] == ["app-01: seen from inside"]
    assert report["checks"][0]["detail"] == "not examined: Failed to connect to the host via ssh"


def test_host_that_took_no_part_is_a_failed_check() -> None:
    report = verification_report(["app-01"], {"app-01": {}}, EXAMINATIONS)
    assert report["failures"] == ["app-01: seen from inside", "app-01: seen from outside"]
    assert "did not take part" in report["checks"][0]["detail"]


def test_nothing_checked_does_not_hold() -> None:
    assert not build_report({})["ok"]
    assert not build_report({"app-01": [("seen from inside", {"checks": []})]})["ok"]


def test_examinations_of_some_hosts_are_missed_on_no_other() -> None:
    everybody = {"inside": {"checks": []}, "outside": {"checks": []}}
    hostvars = {
        "app-01": everybody | {"database": {"skipped": True, "changed": False}},
        "db-primary": everybody | {"database": {"checks": [check("db-primary", name="database")]}},
        "db-replica": everybody | {"database": {"failed": True, "msg": "No such container"}},
    }
    report = verification_report(list(hostvars), hostvars, EXAMINATIONS, {"database": "database"}, "database")
    assert [(found["host"], found["check"], found["ok"]) for found in report["checks"]] == [
        ("db-primary", "database", True),
        ("db-replica", "database", False),
    ]
