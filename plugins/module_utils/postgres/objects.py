# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, databases, rights and replication slots of a primary: read, plan, apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import scram
from .container import Server

#: Attributes that are granted one by one; a declared user has exactly those it names.
ATTRIBUTES = ("REPLICATION", "CREATEDB")
# What pg_rewind calls on a running source server: https://www.postgresql.org/docs/current/app-pgrewind.html
REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)

_READ = """
SELECT json_build_object(
  'in_recovery', pg_is_in_recovery(),
  'users', (SELECT json_object_agg(rolname, json_build_object(
      'verifier', rolpassword, 'login', rolcanlogin, 'superuser', rolsuper,
      'attributes', array_remove(ARRAY[CASE WHEN rolreplication THEN 'REPLICATION' END,
                                       CASE WHEN rolcreatedb THEN 'CREATEDB' END], NULL),
      'groups', (SELECT coalesce(json_agg(g.rolname), '[]') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                 WHERE m.member = a.oid),
      'acts_as', (SELECT substring(c FROM '^role=(.*)') FROM pg_roles r, unnest(r.rolconfig) c
                  WHERE r.oid = a.oid AND c LIKE 'role=%')))
    FROM pg_authid a WHERE rolname !~ '^pg_'),
  'databases', (SELECT json_object_agg(datname, pg_get_userbyid(datdba)) FROM pg_database),
  'slots', (SELECT coalesce(json_agg(slot_name), '[]') FROM pg_replication_slots WHERE slot_type = 'physical'
            AND coalesce(wal_status, '') <> 'lost'),
  'lost', (SELECT coalesce(json_agg(slot_name), '[]') FROM pg_replication_slots WHERE slot_type = 'physical'
           AND wal_status = 'lost'),
  'functions', (SELECT json_object_agg(r.rolname, (SELECT coalesce(json_agg(f), '[]') FROM unnest({functions}) f
      WHERE has_function_privilege(r.oid, 'pg_catalog.' || f, 'EXECUTE'))) FROM pg_roles r WHERE r.rolname !~ '^pg_'));
"""


class ObjectsError(Exception):
    """The objects cannot be as declared; the message says why and what to do."""


@dataclass(frozen=True)
class User:
    """A declared user who logs in with a password. ``acts_as`` is whom the user becomes by logging in, empty for none:
    what it makes belongs to that one.
    """

    name: str
    password: str = field(repr=False)
    attributes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    acts_as: str = ""


@dataclass(frozen=True)
class Change:
    """One change: how it is told, and the statement, which may hold a verifier and is never shown."""

    told: str
    statement: str = field(repr=False)


def check(users: Sequence[User], databases: Mapping[str, str]) -> None:
    """Raises ObjectsError for what PostgreSQL would refuse or nobody would want."""
    names = [user.name for user in users]
    if "postgres" in names:
        raise ObjectsError("postgres is the superuser, who has no password: he only logs in through the local socket.")
    for user in users:
        if not scram.acceptable(user.password):
            raise ObjectsError(
                f"The password of {user.name} must be 12 or more printable ASCII characters: change it in the vault."
            )
    if len({user.password for user in users}) < len(users):
        raise ObjectsError("Two users have the same password: give each user one of their own in the vault.")
    strangers = sorted(set(databases.values()) - set(names))
    if strangers:
        raise ObjectsError(
            f"{', '.join(strangers)} should own a database and is not among the users: declare the user as well."
        )


def read(server: Server) -> dict[str, Any]:
    """What is there, in one question."""
    functions = "ARRAY[" + ", ".join(_literal(name) for name in REWIND_FUNCTIONS) + "]"
    found: dict[str, Any] = server.ask(_READ.replace("{functions}", functions))
    return found


def plan(
    found: Mapping[str, Any], users: Sequence[User], databases: Mapping[str, str], slots: Sequence[str]
) -> list[Change]:
    """What differs, in order; nothing on a server in recovery, which has its primary's objects. Pure."""
    if found["in_recovery"]:
        return []
    changes = [change for user in users for change in _user(user, (found["users"] or {}).get(user.name), found)]
    present = found["databases"] or {}
    for name, owner in databases.items():
        if name not in present:
            changes.append(Change(f"make the database {name}", f"CREATE DATABASE {_name(name)} OWNER {_name(owner)};"))
        elif present[name] != owner:
            changes.append(
                Change(
                    f"{name} belongs to {owner}, not {present[name]}",
                    f"ALTER DATABASE {_name(name)} OWNER TO {_name(owner)};",
                )
            )
    for slot in slots:
        if slot in found["lost"]:
            # Its WAL is gone, so its replica needs a new copy in any case; that copy needs a slot that works.
            changes.append(
                Change(f"make the lost slot {slot} anew", f"SELECT pg_drop_replication_slot({_literal(slot)});")
            )
        if slot not in found["slots"]:
            told = f"make the slot {slot}"
            changes.append(Change(told, f"SELECT pg_create_physical_replication_slot({_literal(slot)}, true);"))
    return changes


def apply(server: Server, changes: Sequence[Change]) -> None:
    """Carry the changes out, each by itself: what was done stays done when a later one fails."""
    if changes:
        server.sql("\n".join(change.statement for change in changes))


def _user(user: User, found: Mapping[str, Any] | None, everything: Mapping[str, Any]) -> list[Change]:
    changes = []
    name = _name(user.name)
    if found is None:
        changes.append(Change(f"make the user {user.name}", f"CREATE ROLE {name} LOGIN PASSWORD {_verifier(user)};"))
        found = {"superuser": False, "login": True, "attributes": [], "groups": []}
    elif not scram.matches(user.password, found["verifier"]):
        changes.append(Change(f"change the password of {user.name}", f"ALTER ROLE {name} PASSWORD {_verifier(user)};"))
    wrong = [word for word in ATTRIBUTES if (word in user.attributes) != (word in found["attributes"])]
    words = [word if word in user.attributes else f"NO{word}" for word in wrong]
    words += ["NOSUPERUSER"] if found["superuser"] else []
    words += [] if found["login"] else ["LOGIN"]
    if words:
        changes.append(Change(f"{user.name} is {', '.join(words)}", f"ALTER ROLE {name} {' '.join(words)};"))
    for group in (*user.groups, *([user.acts_as] if user.acts_as else [])):
        if group not in found["groups"]:
            changes.append(Change(f"{user.name} joins {group}", f"GRANT {_name(group)} TO {name};"))
    if user.acts_as and found.get("acts_as") != user.acts_as:
        changes.append(
            Change(f"{user.name} acts as {user.acts_as}", f"ALTER ROLE {name} SET role TO {_literal(user.acts_as)};")
        )
    allowed = (everything["functions"] or {}).get(user.name, [])
    for function in user.functions:
        if function not in allowed:
            changes.append(
                Change(
                    f"{user.name} may call {function}", f"GRANT EXECUTE ON FUNCTION pg_catalog.{function} TO {name};"
                )
            )
    return changes


def slot(member: str) -> str:
    """Name of a member's replication slot: lower case letters, digits and underscores, as PostgreSQL wants it."""
    return "".join(letter if letter.isalnum() else "_" for letter in member.lower())[:63]


def _verifier(user: User) -> str:
    return _literal(scram.verifier(user.password))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
