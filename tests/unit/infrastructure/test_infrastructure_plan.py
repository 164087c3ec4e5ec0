"""What has to change: from nothing, from half a run, after drift."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.plan import Ref, dependencies

from tests.unit.infrastructure.builders import (
    EMPTY,
    KEY,
    OTHER_KEY,
    actions,
    built,
    changed,
    declare,
    declare_with,
    options,
    plan,
    without,
)


def test_nothing_changes_where_everything_is_as_declared() -> None:
    made = plan(declare(), built())
    assert actions(made) == []
    assert made.warnings == ()
    assert made.undeclared == ()
    assert made.monthly == 0


def test_everything_is_made_from_nothing() -> None:
    made = plan(declare(), EMPTY)
    assert made.refusals == []
    assert actions(made) == [
        ("ssh_key/alice", "create"),
        ("network/net", "create"),
        ("firewall/outer", "create"),
        ("placement_group/app", "create"),
        ("primary_ip/bastion-ip", "create"),
        ("server/bastion", "create"),
        ("server/bastion", "attach"),
        ("server/app-01", "create"),
        ("server/app-01", "attach"),
        ("server/db", "create"),
        ("server/db", "attach"),
        ("volume/db-data", "create"),
        ("volume/db-data", "attach"),
        ("server/bastion", "power_on"),
        ("server/app-01", "power_on"),
        ("server/db", "power_on"),
    ]
    assert not any(step.destructive for step in made.steps)
    # 3.29 + 5.99 + 11.99 for servers, 0.50 for the address, 100 GB at 0.044
    assert str(made.monthly) == "26.170"


def test_a_private_server_is_made_stopped_and_without_public_addresses() -> None:
    [step] = [step for step in plan(declare(), EMPTY).steps if step.ref.name == "app-01" and step.action == "create"]
    assert step.call is not None
    assert step.call.body is not None
    assert step.call.body["start_after_create"] is False
    assert step.call.body["public_net"] == {"enable_ipv4": False, "enable_ipv6": False}
    assert step.call.body["placement_group"] == Ref("placement_group", "app")
    assert step.call.body["labels"] == {
        "role": "app",
        "env": "production",
        "managed-by": "bulwark",
        "bulwark-version": "1",
    }
    assert step.after is not None
    assert step.after["user_data"] == "14 bytes"


def _order(first: tuple[str, str], then: tuple[str, str]) -> bool:
    """Whether ``then`` waits for ``first``, directly or not, when everything is made."""
    made = plan(declare(), EMPTY)
    needs, names = dependencies(made.steps), actions(made)
    reached, todo = set(), {names.index(then)}
    while todo:
        index = todo.pop()
        reached.add(index)
        todo |= needs[index] - reached
    return names.index(first) in reached


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("network/net", "create"), ("server/app-01", "attach")),
        (("server/app-01", "create"), ("server/app-01", "attach")),
        (("server/app-01", "attach"), ("server/app-01", "power_on")),
        (("ssh_key/alice", "create"), ("server/db", "create")),
        (("primary_ip/bastion-ip", "create"), ("server/bastion", "create")),
        (("firewall/outer", "create"), ("server/bastion", "create")),
        (("placement_group/app", "create"), ("server/app-01", "create")),
        (("volume/db-data", "create"), ("volume/db-data", "attach")),
        (("server/db", "create"), ("volume/db-data", "attach")),
        (("volume/db-data", "attach"), ("server/db", "power_on")),
    ],
)
def test_a_step_waits_for_what_it_needs(first: tuple[str, str], then: tuple[str, str]) -> None:
    assert _order(first, then)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("server/app-01", "create"), ("server/db", "create")),
        (("server/app-01", "attach"), ("server/db", "attach")),
        (("server/db", "create"), ("volume/db-data", "create")),
        (("network/net", "create"), ("server/app-01", "create")),
        (("firewall/outer", "create"), ("server/app-01", "create")),
    ],
)
def test_what_needs_not_wait_does_not(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert not _order(one, other)
    assert not _order(other, one)


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        pytest.param(
            changed(built(), "servers", "app-01", private={}, status="off"),
            [("server/app-01", "attach"), ("server/app-01", "power_on")],
            id="made, not attached",
        ),
        pytest.param(
            changed(built(), "servers", "app-01", status="off"), [("server/app-01", "power_on")], id="not started"
        ),
        pytest.param(
            changed(changed(built(), "volumes", "db-data", server=None), "servers", "db", status="off"),
            [("volume/db-data", "attach"), ("server/db", "power_on")],
            id="volume not attached",
        ),
        pytest.param(
            without(built(), "volumes", "db-data"),
            [("volume/db-data", "create"), ("volume/db-data", "attach")],
            id="volume not made",
        ),
    ],
)
def test_a_run_that_was_killed_is_completed(project: Any, expected: list[tuple[str, str]]) -> None:
    made = plan(declare(), project)
    assert made.refusals == []
    assert actions(made) == expected


def test_the_start_waits_for_the_volume_that_was_missing() -> None:
    project = changed(changed(built(), "volumes", "db-data", server=None), "servers", "db", status="off")
    assert dependencies(plan(declare(), project).steps) == [set(), {0}]


OURS = {"env": "production", "managed-by": "bulwark", "bulwark-version": "1"}


@pytest.mark.parametrize(
    ("project", "expected", "path", "body"),
    [
        pytest.param(
            changed(built(), "firewalls", "outer", rules=()),
            ("firewall/outer", "set_rules"),
            "/firewalls/{id}/actions/set_rules",
            {"rules": [{"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["198.51.100.7/32"]}]},
            id="firewall opened by hand",
        ),
        pytest.param(
            changed(built(), "servers", "app-01", labels=OURS | {"role": "db"}),
            ("server/app-01", "update"),
            "/servers/{id}",
            {"labels": OURS | {"role": "app"}},
            id="label",
        ),
        pytest.param(
            changed(built(), "networks", "net", routes=()),
            ("network/net", "add_route"),
            "/networks/{id}/actions/add_route",
            {"destination": "0.0.0.0/0", "gateway": "10.0.0.2"},
            id="route gone",
        ),
        pytest.param(
            changed(built(), "networks", "net", subnets=("10.0.0.0/24", "10.0.9.0/24")),
            ("network/net", "delete_subnet"),
            "/networks/{id}/actions/delete_subnet",
            {"ip_range": "10.0.9.0/24"},
            id="subnet too many",
        ),
        pytest.param(
            changed(built(), "networks", "net", subnets=()),
            ("network/net", "add_subnet"),
            "/networks/{id}/actions/add_subnet",
            {"type": "cloud", "ip_range": "10.0.0.0/24", "network_zone": "eu-central"},
            id="subnet gone",
        ),
        pytest.param(
            changed(built(), "primary_ips", "bastion-ip", auto_delete=True),
            ("primary_ip/bastion-ip", "update"),
            "/primary_ips/{id}",
            {"auto_delete": False},
            id="address goes with its server",
        ),
        pytest.param(
            changed(built(), "servers", "bastion", firewalls=()),
            ("server/bastion", "add_firewall"),
            "/firewalls/{id}/actions/apply_to_resources",
            {"apply_to": [{"type": "server", "server": {"id": Ref("server", "bastion")}}]},
            id="firewall taken off",
        ),
        pytest.param(
            changed(built(), "volumes", "db-data", size=50),
            ("volume/db-data", "resize"),
            "/volumes/{id}/actions/resize",
            {"size": 100},
            id="volume grows",
        ),
    ],
)
def test_drift_is_mended_by_one_call(
    project: Any, expected: tuple[str, str], path: str, body: dict[str, object]
) -> None:
    made = plan(declare(), project)
    assert actions(made) == [expected]
    [step] = made.steps
    assert step.call is not None
    assert (step.call.path, step.call.body) == (path, body)
    assert not step.destructive


def test_a_route_by_another_gateway_goes_before_the_declared_one_comes() -> None:
    project = changed(built(), "networks", "net", routes=(("0.0.0.0/0", "10.0.0.9"),))
    made = plan(declare(), project)
    assert actions(made) == [("network/net", "delete_route"), ("network/net", "add_route")]
    assert dependencies(made.steps) == [set(), {0}]


def test_a_firewall_put_on_by_hand_is_taken_off() -> None:
    project = built(declare(firewalls=[{"name": name, "rules": []} for name in ("outer", "inner")]))
    inner, bastion = project.firewalls["inner"], project.servers["bastion"]
    project = changed(project, "firewalls", "inner", servers=(bastion.id,))
    project = changed(project, "servers", "bastion", firewalls=(*bastion.firewalls, inner.id))
    declared = declare(firewalls=[{"name": name, "rules": []} for name in ("outer", "inner")])
    assert actions(plan(declared, project)) == [("server/bastion", "remove_firewall")]

    by_selector = changed(project, "firewalls", "inner", servers=())
    made = plan(declared, by_selector)
    assert actions(made) == []
    assert "firewall inner by a label selector" in made.warnings[0]


def test_what_is_omitted_is_left_alone() -> None:
    declared = declare(
        networks=[{"name": "net", "ip_range": "10.0.0.0/16", "location": "fsn1"}],
        firewalls=[{"name": "outer"}],
        volumes=None,
        ssh_keys=None,
    )
    project = changed(built(), "networks", "net", routes=(("0.0.0.0/0", "10.0.0.9"),), subnets=("10.0.7.0/24",))
    project = changed(project, "firewalls", "outer", rules=(), labels=OURS | {"owner": "alice"})
    made = plan(declared, project)
    assert actions(made) == []
    assert made.undeclared == ()


class TestSshKeys:
    def test_one_that_somebody_has_uploaded_is_used_as_it_is(self) -> None:
        key = replace(built().ssh_keys["alice"], name="her laptop", labels={}, public_key=f"{KEY} other comment")
        project = replace(EMPTY, ssh_keys={"her laptop": key})
        made = plan(declare(servers=[], volumes=[]), project)
        assert ("ssh_key/alice", "create") not in actions(made)
        assert made.ids[Ref("ssh_key", "alice")] == key.id
        assert made.refusals == []

    def test_another_key_of_that_name_is_replaced_where_it_is_ours(self) -> None:
        project = changed(built(), "ssh_keys", "alice", public_key=OTHER_KEY)
        made = plan(declare(), project)
        assert actions(made) == [("ssh_key/alice", "delete"), ("ssh_key/alice", "create")]
        assert dependencies(made.steps) == [set(), {0}]

    def test_another_key_of_that_name_is_refused_where_it_is_not(self) -> None:
        project = changed(built(), "ssh_keys", "alice", public_key=OTHER_KEY, labels={})
        assert "ssh_key/alice: there is one of this name" in plan(declare(), project).refusals[0]


class TestChangesWhileOff:
    def test_type_needs_consent(self) -> None:
        made = plan(declare_with("servers", "app-01", type="cax31"), built())
        assert made.refusals == [
            "server/app-01 has the type cax21, declared is cax31. Allow server/app-01 to have it powered off (hard), "
            "changed and powered on; or declare what it has."
        ]

    def test_type_is_changed_between_off_and_on(self) -> None:
        made = plan(declare_with("servers", "app-01", type="cax31"), built(), "server/app-01")
        assert actions(made) == [
            ("server/app-01", "power_off"),
            ("server/app-01", "change_type"),
            ("server/app-01", "power_on"),
        ]
        assert dependencies(made.steps) == [set(), {0}, {1}]
        assert [step.destructive for step in made.steps] == [True, False, False]
        assert str(made.monthly) == "6.00"

    def test_two_types_need_consent_for_both_and_do_not_wait_for_each_other(self) -> None:
        given = options()
        for server in given["servers"]:
            server["type"] = {"app-01": "cax31", "bastion": "cax21"}.get(server["name"], server["type"])
        infrastructure = declare(servers=given["servers"])
        assert len(plan(infrastructure, built(), "server/app-01").refusals) == 1
        made = plan(infrastructure, built(), "server/app-01", "server/bastion")
        assert made.refusals == []
        first = [step for step, needs in zip(made.steps, dependencies(made.steps), strict=True) if not needs]
        assert [step.action for step in first] == ["power_off", "power_off"]

    def test_a_killed_change_goes_on_where_it_was(self) -> None:
        project = changed(built(), "servers", "app-01", status="off")
        made = plan(declare_with("servers", "app-01", type="cax31"), project, "server/app-01")
        assert actions(made) == [("server/app-01", "change_type"), ("server/app-01", "power_on")]

    def test_placement_group_is_a_warning_without_consent(self) -> None:
        project = changed(built(), "servers", "app-01", placement_group=None)
        made = plan(declare(), project)
        assert actions(made) == []
        assert "allow server/app-01" in made.warnings[0]

    def test_placement_group_with_consent(self) -> None:
        project = changed(built(), "servers", "app-01", placement_group=None)
        assert actions(plan(declare(), project, "server/app-01")) == [
            ("server/app-01", "power_off"),
            ("server/app-01", "join_group"),
            ("server/app-01", "power_on"),
        ]
