"""What goes: resources that are not declared any more, and whole environments."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.plan import Plan, Ref, dependencies
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.planner import plan_absent

from tests.unit.infrastructure.builders import actions, built, changed, declare, options, plan

FOREIGN = {"labels": {"env": "staging", "managed-by": "bulwark"}}


def without_db() -> Plan:
    servers = [server for server in options()["servers"] if server["name"] != "db"]
    return plan(declare(servers=servers, volumes=[]), built())


def test_what_is_not_declared_any_more_is_told_and_left_alone() -> None:
    made = without_db()
    assert actions(made) == []
    assert made.undeclared == (Ref("server", "db"), Ref("volume", "db-data"))
    assert made.warnings == (
        "Not declared any more and left alone: server/db, volume/db-data. Allow them by name to delete them.",
    )


def test_it_is_deleted_by_name() -> None:
    servers = [server for server in options()["servers"] if server["name"] != "db"]
    made = plan(declare(servers=servers, volumes=[]), built(), "server/db", "volume/db-data")
    assert actions(made) == [("server/db", "delete"), ("volume/db-data", "delete")]
    assert dependencies(made.steps) == [set(), {0}], "a volume goes after its server"
    assert all(step.destructive for step in made.steps)
    assert str(made.monthly) == "-16.390"
    assert made.undeclared == ()


def test_a_volume_is_detached_from_a_server_that_stays() -> None:
    made = plan(declare(volumes=[]), built(), "volume/db-data")
    assert actions(made) == [("volume/db-data", "detach"), ("volume/db-data", "delete")]


def test_consent_is_no_order() -> None:
    made = plan(declare(), built(), "server/db", "volume/db-data")
    assert actions(made) == []


def test_absent_deletes_everything_but_the_data() -> None:
    made = plan_absent("production", built())
    assert made.refusals == []
    assert {ref for ref, _ in actions(made)} == {
        "server/app-01",
        "server/bastion",
        "server/db",
        "primary_ip/bastion-ip",
        "placement_group/app",
        "firewall/outer",
        "network/net",
        "ssh_key/alice",
    }
    assert made.undeclared == (Ref("volume", "db-data"),)
    assert "Volumes are kept with their data: db-data." in made.warnings[0]


def test_absent_deletes_the_data_where_that_is_allowed() -> None:
    made = plan_absent("production", built(), frozenset({"volumes"}))
    assert ("volume/db-data", "delete") in actions(made)
    assert made.warnings == ()
    # 3.29 + 5.99 + 11.99 for servers, 0.50 for the address, 100 GB at 0.044
    assert str(made.monthly) == "-26.170"


def test_nothing_goes_before_the_servers_that_use_it() -> None:
    made = plan_absent("production", built(), frozenset({"volumes"}))
    servers = {index for index, step in enumerate(made.steps) if step.ref.kind == "server"}
    for step, needs in zip(made.steps, dependencies(made.steps), strict=True):
        assert needs == (set() if step.ref.kind == "server" else servers), step.ref


def test_absent_a_second_time_is_nothing() -> None:
    kept = replace(built(), servers={}, networks={}, firewalls={}, placement_groups={}, primary_ips={}, ssh_keys={})
    detached = changed(kept, "volumes", "db-data", server=None)
    assert actions(plan_absent("production", detached)) == []


def test_what_belongs_to_another_environment_stays() -> None:
    project = changed(built(), "placement_groups", "app", **FOREIGN)
    assert "placement_group/app" not in {ref for ref, _ in actions(plan_absent("production", project))}
    assert actions(plan_absent("elsewhere", built())) == []


def test_what_is_protected_is_refused_before_anything_goes() -> None:
    made = plan_absent("production", changed(built(), "servers", "db", protected=True))
    assert "server/db cannot be deleted: it is protected" in made.refusals[0]


def test_a_network_that_somebody_elses_server_uses_is_refused() -> None:
    made = plan_absent("production", changed(built(), "servers", "app-01", **FOREIGN))
    assert made.refusals == ["network/net cannot be deleted: in use by server app-01."]
