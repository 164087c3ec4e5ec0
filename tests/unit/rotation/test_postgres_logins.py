"""Logins between members: what is asked, and what is said of those that fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import logins
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import NotSetUpError, Server

CONNINFO = "user=replicator port=5432 sslmode=verify-full passfile=/etc/bulwark/postgres/pgpass"


def test_each_peer_is_asked_as_both_users_and_every_refusal_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "FOLDER", str(tmp_path))
    asked: list[str] = []

    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        asked.append(words[words.index("--dbname") + 1])
        bad = "user=rewind" in asked[-1] and "10.0.0.7" in asked[-1]
        return (2, "", 'FATAL:  password\nauthentication failed for user "rewind"') if bad else (0, "ok", "")

    with pytest.raises(NotSetUpError):
        logins.refused(Server(run))
    peers = [{"name": "db-replica", "address": "10.0.0.7"}, {"name": "db-third", "address": "10.0.0.8"}]
    (tmp_path / "members.json").write_text(json.dumps({"peers": peers, "conninfo": CONNINFO}))
    assert logins.refused(Server(run)) == [
        'rewind on db-replica: FATAL: password authentication failed for user "rewind"'
    ]
    assert len(asked) == 4
    assert all("sslmode=verify-full" in conninfo for conninfo in asked)
    assert asked[0].startswith("host=10.0.0.7 user=replicator ")
    assert "replication=true" in asked[0]
    assert "replication=true" not in asked[1]


def test_who_uses_a_login() -> None:
    given: list[str] = []

    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        given.append(feed)
        return 0, '["10.0.0.4", "10.0.0.3"]\n', ""

    assert logins.sessions(Server(run), "rails_app") == ["10.0.0.3", "10.0.0.4"]
    assert "usename = 'rails_app'" in given[0]
