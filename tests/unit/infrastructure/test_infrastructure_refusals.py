"""What is never done: each refused with a sentence, before anything is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.actual import Actual
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.declared import DeclarationError

from tests.unit.infrastructure.builders import (
    EMPTY,
    actions,
    built,
    changed,
    declare,
    declare_with,
    options,
    plan,
    without,
)

NEW = {"image": "ubuntu-24.04", "location": "fsn1", "type": "cax11"}


@pytest.mark.parametrize(
    ("option", "name", "changes", "sentence"),
    [
        ("networks", "net", {"ip_range": "10.0.0.0/8"}, "has the ip_range 10.0.0.0/16, declared is 10.0.0.0/8."),
        (
            "primary_ips",
            "bastion-ip",
            {"type": "ipv6"},
            "has the type ipv4, declared is ipv6. An address keeps its type",
        ),
        ("servers", "app-01", {"location": "hel1"}, "has the location fsn1, declared is hel1. A server cannot move"),
        ("servers", "app-01", {"image": "debian-13"}, "has the image ubuntu-24.04, declared is debian-13."),
        (
            "servers",
            "app-01",
            {"type": "cx53"},
            "has the type cax21, declared is cx53. A server keeps its architecture, arm",
        ),
        ("servers", "app-01", {"type": "cax11"}, "The new disk of 40 GB is smaller than its own of 80 GB"),
        (
            "servers",
            "app-01",
            {"public_ipv6": True},
            "has the public_ipv6 none, declared is True. Set it in the Hetzner",
        ),
        (
            "servers",
            "bastion",
            {"public_ipv4": None, "firewalls": []},
            "has the public_ipv4 bastion-ip, declared is none.",
        ),
        (
            "servers",
            "app-01",
            {"networks": [{"name": "net", "address": "10.0.0.13"}]},
            "server/app-01 has the address in net 10.0.0.3, declared is 10.0.0.13. Detach the server from net yourself",
        ),
        ("volumes", "db-data", {"size": 99}, "has the size 100, declared is 99. A volume cannot shrink"),
        (
            "volumes",
            "db-data",
            {"format": "ext4"},
            "has the format xfs, declared is ext4. Formatting it anew would destroy",
        ),
        ("volumes", "db-data", {"server": "app-01"}, "has the server db, declared is app-01. Detach it yourself"),
    ],
)
def test_what_cannot_change_is_marked_and_refused(
    option: str, name: str, changes: dict[str, Any], sentence: str
) -> None:
    made = plan(declare_with(option, name, **changes), built())
    assert [text for text in made.refusals if sentence in text], made.refusals
    assert all(step.destructive and step.call is None for step in made.steps if step.refused)


def test_another_release_of_the_same_system_is_no_difference() -> None:
    assert actions(plan(declare_with("servers", "app-01", image="ubuntu-22.04"), built())) == []


def test_a_private_server_with_a_public_address_is_refused() -> None:
    address = built().primary_ips["bastion-ip"]
    project = changed(built(), "servers", "app-01", ipv4=(address.id, address.ip))
    assert "server/app-01 has the public_ipv4 bastion-ip, declared is none" in plan(declare(), project).refusals[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"type": "cpx31"},
            "server/app-01: there is no server type cpx31; in fsn1 there are cax11, cax21, cax31, cx23, cx53.",
        ),
        (
            {"type": "cpx11"},
            "cpx11 is not available in fsn1 (it is in ash); in fsn1 there are cax11, cax21, cax31, cx23, cx53.",
        ),
        ({"location": "fsn2"}, "server/app-01: there is no location fsn2; there are ash, fsn1, hel1."),
        (
            {"image": "ubuntu-24"},
            "there is no image ubuntu-24 (did you mean ubuntu-24.04?); there are debian-13, ubuntu",
        ),
        (
            {"image": "rocky-10"},
            "there is, for arm, no image rocky-10; there are debian-13, ubuntu-22.04, ubuntu-24.04.",
        ),
        (
            {"networks": [{"name": "nat", "address": "10.0.0.3"}]},
            "names the network nat, which does not exist (did you mean",
        ),
        ({"placement_group": "web"}, "server/app-01 names the placement_group web, which does not exist."),
        ({"ssh_keys": ["alcie"]}, "names the ssh_key alcie, which does not exist (did you mean alice?)."),
    ],
)
def test_what_cannot_be_had_is_said_with_what_can(changes: dict[str, Any], sentence: str) -> None:
    refusals = plan(declare_with("servers", "app-01", **changes), EMPTY).refusals
    assert len(refusals) == 1
    assert sentence in refusals[0]


def test_a_type_that_is_sold_out_is_said_for_a_change_too() -> None:
    made = plan(declare_with("servers", "app-01", type="cpx11"), built(), "server/app-01")
    assert "not available in fsn1" in made.refusals[0]
    assert "in fsn1 there are cax11, cax21, cax31." in made.refusals[0], "only what has its architecture helps"


def _foreign(kind: str, name: str) -> Actual:
    """Everything built, but one resource belongs to somebody else."""
    return changed(built(), kind, name, labels={"env": "staging", "managed-by": "bulwark"})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("networks", "net"),
        ("firewalls", "outer"),
        ("placement_groups", "app"),
        ("primary_ips", "bastion-ip"),
        ("servers", "app-01"),
        ("volumes", "db-data"),
    ],
)
def test_what_belongs_to_somebody_else_is_not_taken_over(kind: str, name: str) -> None:
    made = plan(declare(), _foreign(kind, name))
    assert len(made.refusals) == 1
    assert "does not belong to environment production" in made.refusals[0]
    assert len(made.steps) == 1


def test_an_address_that_a_foreign_server_has_is_refused() -> None:
    project = without(built(), "servers", "app-01")
    other = replace(built().servers["app-01"], name="somebody", labels={})
    project = replace(project, servers={**project.servers, "somebody": other})
    assert "the address 10.0.0.3 in net is taken by server somebody" in plan(declare(), project).refusals[0]


def test_a_primary_ip_that_another_server_has_is_refused() -> None:
    db = built().servers["db"]
    project = changed(without(built(), "servers", "bastion"), "primary_ips", "bastion-ip", server=db.id)
    assert plan(declare(), project).refusals == ["server/bastion: its primary IP bastion-ip is assigned to server db."]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"servers": [{"name": "a_b", **NEW}]}, "'a_b' is no host name"),
        ({"servers": [{"name": "a", **NEW}]}, "a has neither a public address nor a network"),
        ({"servers": [{"name": "a", "public_ipv6": True, **NEW}] * 2}, "servers: a is declared 2 times"),
        (
            {"servers": [{"name": "a", "networks": [{"name": "net", "address": "10.0.7.3"}], **NEW}]},
            "servers: a: 10.0.7.3 lies outside of 10.0.0.0/24.",
        ),
        (
            {"servers": [{"name": n, "networks": [{"name": "net", "address": "10.0.0.3"}], **NEW} for n in "ab"]},
            "servers: a and b both have 10.0.0.3 in net.",
        ),
        (
            {
                "servers": [
                    {"name": "a", "firewalls": ["outer"], "networks": [{"name": "n", "address": "10.0.0.3"}], **NEW}
                ]
            },
            "has firewalls but no public address",
        ),
        (
            {"servers": [{"name": "a", "public_ipv6": True, "user_data": "x" * 32769, **NEW}]},
            "user_data of more than 32768",
        ),
        ({"firewalls": [{"name": "f", "labels": {"a b": "c"}}]}, "f has the label a b=c"),
        ({"firewalls": [{"name": "f", "labels": {"hetzner.cloud/x": "c"}}]}, "hetzner.cloud/ is the vendor's"),
        ({"firewalls": [{"name": "f", "labels": {"a": "-c"}}]}, "f has the label a=-c"),
        (
            {
                "firewalls": [
                    {"name": "f", "rules": [{"direction": "in", "protocol": "icmp", "source_ips": ["10.0.0.1/8"]}]}
                ]
            },
            "f has a rule with a bad network",
        ),
        (
            {"networks": [{"name": "n", "ip_range": "10.0.0.0", "location": "x", "subnets": ["10.1.0.0/24"]}]},
            "outside of its",
        ),
        (
            {
                "networks": [
                    {"name": "n", "ip_range": "10.0.0.0/8", "location": "x", "subnets": ["10.0.0.0/16", "10.0.1.0/24"]}
                ]
            },
            "n has the subnets 10.0.0.0/16 and 10.0.1.0/24, which overlap",
        ),
        (
            {
                "networks": [
                    {
                        "name": "n",
                        "ip_range": "10.0.0.0/8",
                        "location": "x",
                        "routes": [{"destination": "0.0.0.0/0", "gateway": "192.168.0.1"}],
                    }
                ]
            },
            "networks: n: 192.168.0.1 lies outside of 10.0.0.0/8.",
        ),
        ({"volumes": [{"name": "v", "size": 10, "location": "hel1", "server": "db"}]}, "its volume v in hel1"),
        ({"primary_ips": [{"name": "bastion-ip", "location": "hel1"}]}, "its primary IP bastion-ip in hel1"),
        ({"environment_name": "a b"}, "environment_name: 'a b' cannot be the value of a label"),
    ],
)
def test_options_that_contradict_themselves(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as error:
        declare(**changes)
    assert sentence in str(error.value)


def test_a_subnet_that_servers_are_in_stays() -> None:
    made = plan(declare_with("networks", "net", subnets=["10.0.0.0/16"]), built())
    assert made.refusals == [
        "network/net: the subnet 10.0.0.0/24 is not declared, but app-01, bastion, db have addresses in it. Declare "
        "it, or delete these servers first."
    ]
    assert [step.destructive for step in made.steps if step.refused] == [True]


def many(number: int, **common: Any) -> list[dict[str, Any]]:
    return [{"name": f"many-{index}", **common} for index in range(number)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"servers": many(11, **NEW, public_ipv6=True, placement_group="app"), "volumes": []},
            "servers: 11 are declared for placement group app; the vendor allows 10.",
        ),
        (
            {"volumes": many(17, size=10, location="fsn1", server="db")},
            "volumes: 17 are declared for server db; the vendor allows 16.",
        ),
        (
            {
                "servers": [
                    {
                        "name": "one",
                        **NEW,
                        "networks": [{"name": f"net-{index}", "address": f"10.{index}.0.2"} for index in range(4)],
                    }
                ],
                "volumes": [],
            },
            "networks: 4 are declared for server one; the vendor allows 3.",
        ),
    ],
)
def test_the_vendors_limits_are_told_before(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as error:
        declare(**changes)
    assert str(error.value) == sentence


def test_all_refusals_are_told_at_once() -> None:
    given = options()
    for server in given["servers"]:
        server["type"] = "cpx31"
    assert len(plan(declare(**given), EMPTY).refusals) == 3
