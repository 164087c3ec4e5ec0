"""Users, databases and slots: the plan, and what of it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import objects, scram
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.configuration import pgpass
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import PostgresError, Server
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.objects import ObjectsError, User

APP = User("rails_app", "the password of the application", ("CREATEDB",))
METRICS = User("metrics", "the password of the metrics", groups=("pg_monitor",))
REWIND = User("rewind", "the password for rewinding", functions=objects.REWIND_FUNCTIONS)
USERS = (APP, METRICS, REWIND)
DATABASES = {"rails_production": "rails_app"}


def role(user: User, **more: Any) -> dict[str, Any]:
    found = {
        "verifier": scram.verifier(user.password),
        "login": True,
        "superuser": False,
        "attributes": list(user.attributes),
        "groups": list(user.groups),
    }
    return found | more


def everything(**more: Any) -> dict[str, Any]:
    found = {
        "in_recovery": False,
        "users": {user.name: role(user) for user in USERS},
        "databases": {"postgres": "postgres", "rails_production": "rails_app"},
        "slots": ["db_replica"],
        "lost": [],
        "functions": {user.name: list(user.functions) for user in USERS},
    }
    return found | more


def told(found: dict[str, Any]) -> list[str]:
    return [change.told for change in objects.plan(found, USERS, DATABASES, ["db_replica"])]


def test_where_everything_is_there_is_nothing_to_do() -> None:
    assert told(everything()) == []


def test_on_an_empty_server_everything_is_made_users_first() -> None:
    changes = told(everything(users={}, databases={"postgres": "postgres"}, slots=[], functions={}))
    assert changes[0] == "make the user rails_app"
    assert changes.index("make the user rails_app") < changes.index("make the database rails_production")
    assert "metrics joins pg_monitor" in changes
    assert len([line for line in changes if line.startswith("rewind may call")]) == 4
    assert changes[-1] == "make the slot db_replica"


def test_a_replica_is_left_alone_whatever_is_declared() -> None:
    assert told(everything(in_recovery=True, users={}, databases={}, slots=[])) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"verifier": scram.verifier("another password")}, "change the password of rails_app"),
        ({"verifier": None}, "change the password of rails_app"),
        ({"superuser": True}, "rails_app is NOSUPERUSER"),
        ({"attributes": ["REPLICATION", "CREATEDB"]}, "rails_app is NOREPLICATION"),
        ({"attributes": []}, "rails_app is CREATEDB"),
        ({"login": False}, "rails_app is LOGIN"),
    ],
)
def test_what_differs_is_mended_and_nothing_else(change: dict[str, Any], says: str) -> None:
    users = everything()["users"] | {"rails_app": role(APP, **change)}
    assert told(everything(users=users)) == [says]


def test_a_database_gets_its_owner_back() -> None:
    assert told(everything(databases={"rails_production": "postgres"})) == [
        "rails_production belongs to rails_app, not postgres"
    ]


def test_a_slot_that_has_lost_its_wal_is_made_anew() -> None:
    found = everything(slots=[], lost=["db_replica"])
    assert told(found) == ["make the lost slot db_replica anew", "make the slot db_replica"]


def test_no_password_and_no_verifier_is_shown_and_no_password_is_sent() -> None:
    changes = objects.plan(everything(users={}, functions={}), USERS, DATABASES, [])
    shown = repr(changes) + repr(USERS)
    assert "SCRAM" not in shown
    sent = "".join(change.statement for change in changes)
    assert sent.count("SCRAM-SHA-256$4096:") == len(USERS)
    assert not [user.name for user in USERS if user.password in shown + sent]


def test_names_cannot_end_their_quotes() -> None:
    (change, *_) = objects.plan(everything(users={}), [User('x"; DROP', "a long password")], {}, [])
    assert change.statement.startswith('CREATE ROLE "x""; DROP" LOGIN')


@pytest.mark.parametrize(
    ("users", "databases", "says"),
    [
        ([User("rails_app", "short")], {}, "must be 12 or more printable ASCII"),
        ([APP, User("other", APP.password)], {}, "Two users have the same password"),
        ([User("postgres", "a long password")], {}, "only logs in through the local socket"),
        ([METRICS], DATABASES, "rails_app should own a database and is not among the users"),
    ],
)
def test_what_nobody_would_want_is_refused(users: list[User], databases: dict[str, str], says: str) -> None:
    with pytest.raises(ObjectsError, match=says) as refused:
        objects.check(users, databases)
    assert not [user for user in users if user.password in str(refused.value)]


@pytest.mark.parametrize(("member", "slot"), [("db-primary", "db_primary"), ("DB.1", "db_1"), ("a" * 80, "a" * 63)])
def test_a_slots_name_is_one_that_postgresql_takes(member: str, slot: str) -> None:
    assert objects.slot(member) == slot


def test_a_server_gets_its_statements_through_standard_input() -> None:
    seen: list[tuple[Sequence[str], str]] = []

    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        seen.append((words, feed))
        return 0, "", ""

    change = objects.Change("change the password", "ALTER ROLE x PASSWORD 'SCRAM';")
    objects.apply(Server(run), [change])
    ((words, feed),) = seen
    assert "SCRAM" in feed
    assert "SCRAM" not in " ".join(words)
    objects.apply(Server(run), [])
    assert len(seen) == 1, "nothing to do is not asked for"


def test_a_refusal_says_what_the_server_said() -> None:
    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        return 3, "", "psql:<stdin>:1: ERROR:  no\nDETAIL:  because\n"

    with pytest.raises(PostgresError, match="ERROR:  no / DETAIL:  because"):
        Server(run).sql("SELECT 1")


def test_passwords_keep_their_colons_and_backslashes_in_the_file() -> None:
    assert pgpass({"replicator": "a:b\\c", "rewind": "plain"}) == "*:*:*:replicator:a\\:b\\\\c\n*:*:*:rewind:plain\n"


def test_another_login_acts_as_the_user_and_owns_nothing_by_itself() -> None:
    other = User("rails_app_alternate", "another password of the application", acts_as="rails_app")
    empty = everything()
    changes = objects.plan(empty, [*USERS, other], DATABASES, ["db_replica"])
    assert [change.told for change in changes] == [
        "make the user rails_app_alternate",
        "rails_app_alternate joins rails_app",
        "rails_app_alternate acts as rails_app",
    ]
    assert changes[-1].statement == "ALTER ROLE \"rails_app_alternate\" SET role TO 'rails_app';"
    there = role(other, groups=["rails_app"], acts_as="rails_app")
    found = everything(users={**empty["users"], other.name: there})
    assert objects.plan(found, [*USERS, other], DATABASES, ["db_replica"]) == []
