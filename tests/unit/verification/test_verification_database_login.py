"""Logins of an application's server: those that must succeed, and those that must not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.database_login import Logins, examine

LOGINS = Logins("deployer", "/home/deployer", "rails_app", ["rails_production", "rails_production_cache"], True, 5)
NO_TLS = 'psql: error: connection to server failed: FATAL:  no pg_hba.conf entry for host "10.0.0.3", no encryption'
WRONG = 'psql: error: connection to server failed: FATAL:  password authentication failed for user "rails_app"'

#: What psql does: from its words to the server's answer about the session, or what it says of its failure.
Answer = Callable[[str], dict[str, Any] | str]


def session(replica: bool, **more: Any) -> dict[str, Any]:
    address = "10.0.0.7" if replica else "10.0.0.6"
    return {"user": "rails_app", "in_recovery": replica, "address": address, "tls": True} | more


def right(words: str) -> dict[str, Any] | str:
    if "sslmode=disable" in words:
        return NO_TLS
    if "PGPASSWORD=" in words:
        return WRONG
    return session("_read " in words)


def login(answer: Answer, logins: Logins = LOGINS) -> dict[str, tuple[bool, str]]:
    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        assert list(words[:4]) == ["runuser", "-u", "deployer", "--"]
        said = answer(" ".join(words))
        if isinstance(said, str):
            return 2, "", said
        # Of itself it says more than of the role that the application's second login acts as.
        assert words.index("SET ROLE NONE") < next(place for place, word in enumerate(words) if "pg_stat_ssl" in word)
        first = {key: value for key, value in said.items() if key != "tls"}
        return 0, f"{json.dumps(first)}\n{json.dumps({'tls': said['tls']})}\n", ""

    return dict(examine(run, logins))


def test_all_that_holds() -> None:
    assert login(right) == {
        "database for writing": (True, "rails_app on 10.0.0.6 (primary), 2 databases"),
        "database for reading": (True, "rails_app on 10.0.0.7 (replica), 2 databases"),
        "database without TLS": (True, 'refused: no pg_hba.conf entry for host "10.0.0.3", no encryption'),
        "database by a wrong password": (True, 'refused: password authentication failed for user "rails_app"'),
    }


@pytest.mark.parametrize(
    ("when", "answer", "check", "says"),
    [
        (
            "_cache ",
            "psql: error: timeout expired",
            "database for writing",
            "rails_production_cache: psql: error: time",
        ),
        ("_cache ", session(False, user="postgres"), "database for writing", "logged in as postgres"),
        ("_cache ", session(False, tls=False), "database for writing", "logged in without TLS"),
        ("_cache ", session(True), "database for writing", "on 10.0.0.7, which is a replica"),
        ("_read ", session(False), "database for reading", "on 10.0.0.6, which is a primary"),
        ("sslmode=disable", session(False), "database without TLS", "logged in on 10.0.0.6, should be refused"),
        ("PGPASSWORD=", session(False), "database by a wrong password", "should be refused"),
        ("PGPASSWORD=", "psql: error: timeout expired", "database by a wrong password", "failed for another reason"),
    ],
)
def test_what_does_not_hold(when: str, answer: dict[str, Any] | str, check: str, says: str) -> None:
    results = login(lambda words: answer if when in words else right(words))
    assert [name for name, (ok, _) in results.items() if not ok] == [check]
    assert says in results[check][1]


def test_without_a_replica_reading_leads_to_the_primary() -> None:
    results = login(
        lambda words: session(False) if "_read " in words else right(words), replace(LOGINS, replicas=False)
    )
    assert results["database for reading"] == (True, "rails_app on 10.0.0.6 (primary), 2 databases")


def test_where_no_login_succeeds_a_refusal_proves_nothing() -> None:
    results = login(lambda words: "psql: error: timeout expired")
    assert list(results) == ["database for writing", "database for reading"]
    assert not any(ok for ok, _ in results.values())
