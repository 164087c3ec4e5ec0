"""From the API's objects to hosts, groups and variables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.hosts import Host, SshSettings, build_hosts
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import InventoryError, server_record

from tests.unit.inventory.builders import default_servers, network_json, server_json, snapshot, volume_json

SETTINGS = SshSettings("deployer", "/home/alice/.ssh/known_hosts_bulwark", None, "/cp")


def hosts(servers: list[dict[str, Any]], **others: list[dict[str, Any]]) -> dict[str, Host]:
    return {host.name: host for host in build_hosts(snapshot(servers, **others), SETTINGS)}


def default_hosts() -> dict[str, Host]:
    return hosts(default_servers(), volumes=[volume_json(70)])


def test_groups_by_role_environment_and_reach() -> None:
    groups = {name: set(host.groups) for name, host in default_hosts().items()}
    assert groups == {
        "bastion-server": {"bulwark_servers", "public_servers", "env_production", "role_bastion"},
        "app-01": {"bulwark_servers", "private_servers", "env_production", "role_app"},
        "db-primary": {"bulwark_servers", "private_servers", "env_production", "role_db"},
    }


def test_server_with_several_roles_is_in_each_group() -> None:
    server = server_json(1, "staging-01", roles=("db", "app", "load-test"), env="pre.prod-2", public="198.51.100.101")
    host = hosts([server])["staging-01"]
    assert host.variables["bulwark_server"]["roles"] == ["app", "db", "load-test"]
    assert {"role_app", "role_db", "role_load_test", "env_pre_prod_2"} <= set(host.groups)


def test_role_label_counts_only_when_true() -> None:
    server = server_json(1, "app-01", labels={"role-db": "false", "role": "monitoring"}, private="10.0.0.3")
    assert hosts([server])["app-01"].variables["bulwark_server"]["roles"] == []


def test_server_is_described_as_promised() -> None:
    server = default_hosts()["db-primary"].variables["bulwark_server"]
    assert server == {
        "id": 3,
        "name": "db-primary",
        "status": "running",
        "type": "cax21",
        "cores": 4,
        "memory_gb": 8.0,
        "architecture": "arm",
        "location": "fsn1",
        "image": "ubuntu-24.04",
        "created": "2026-01-02T03:04:05+00:00",
        "env": "production",
        "roles": ["db"],
        "labels": {"env": "production", "role-db": "true", "managed-by": "bulwark"},
        "private_address": "10.0.0.6",
        "private_mac": "86:00:00:00:00:03",
        "public_address": None,
        "volumes": [
            {"id": 70, "name": "db-primary-data", "size_gb": 100, "device": "/dev/disk/by-id/scsi-0HC_Volume_70"}
        ],
    }


def test_network_and_bastion_are_described_as_promised() -> None:
    variables = default_hosts()["app-01"].variables
    assert variables["bulwark_network"] == {
        "id": 1,
        "name": "production-network",
        "ip_range": "10.0.0.0/16",
        "subnets": ["10.0.0.0/24"],
        "gateway": "10.0.0.1",
    }
    assert variables["bulwark_bastion"] == {
        "name": "bastion-server",
        "private_address": "10.0.0.2",
        "public_address": "198.51.100.100",
    }


def test_private_server_is_reached_through_the_bastion() -> None:
    route = default_hosts()["app-01"].variables["bulwark_ssh"]
    assert route["address"] == "10.0.0.3"
    assert route["jump"]["address"] == "198.51.100.100"
    assert route["jump"]["host_key_alias"] == "hcloud-1"


def test_new_server_behind_the_bastion_is_not_reached_by_a_connection_made_before() -> None:
    def sockets(servers: list[dict[str, Any]]) -> set[str]:
        found = hosts(servers, volumes=[volume_json(70)]).values()
        return {jump["control_name"] for host in found if (jump := host.variables["bulwark_ssh"]["jump"])}

    (before,) = sockets(default_servers())
    (after,) = sockets([*default_servers(), server_json(4, "app-02", roles=("app",), private="10.0.0.4")])
    assert before.startswith("hcloud-1-")
    assert before != after
    assert sockets(list(reversed(default_servers()))) == {before}


def test_public_server_is_reached_directly() -> None:
    variables = default_hosts()["bastion-server"].variables
    assert variables["ansible_host"] == "198.51.100.100"
    assert variables["bulwark_ssh"]["jump"] is None
    assert "ProxyCommand" not in variables["ansible_ssh_common_args"]


def test_bastion_of_another_environment_or_network_is_no_way_in() -> None:
    servers = [
        *default_servers(),
        *default_servers(env="other", first_id=11),
        server_json(21, "lonely", private="10.9.0.2", network_id=2),
    ]
    for number, data in enumerate(servers[3:6]):
        data["name"] = f"other-{number}"
    network = network_json(2, "second", "10.9.0.0/16")
    found = hosts(servers, networks=[network_json(), network], volumes=[volume_json(70)])
    assert found["other-1"].variables["bulwark_bastion"]["name"] == "other-0"
    assert found["app-01"].variables["bulwark_bastion"]["name"] == "bastion-server"
    lonely = found["lonely"].variables
    assert lonely["bulwark_bastion"] is None
    assert lonely["bulwark_ssh"]["jump"] is None
    assert lonely["ansible_host"] == "10.9.0.2"
    assert lonely["bulwark_network"]["gateway"] == "10.9.0.1"


def test_of_several_bastions_the_first_by_name_is_taken() -> None:
    servers = [
        server_json(1, "bastion-b", roles=("bastion",), private="10.0.0.2", public="198.51.100.100"),
        server_json(2, "bastion-a", roles=("bastion",), private="10.0.0.3", public="198.51.100.101"),
        server_json(3, "bastion-0", roles=("bastion",), private="10.0.0.4"),  # nobody gets in there
        server_json(4, "app-01", roles=("app",), private="10.0.0.5"),
    ]
    assert hosts(servers)["app-01"].variables["bulwark_bastion"]["name"] == "bastion-a"


def test_server_without_bastion_or_private_address_uses_its_public_one() -> None:
    variables = hosts([server_json(1, "staging-01", public="198.51.100.101")])["staging-01"].variables
    assert variables["ansible_host"] == "198.51.100.101"
    assert variables["bulwark_network"] is None
    assert variables["bulwark_bastion"] is None


def test_server_with_only_ipv6_is_public() -> None:
    host = hosts([server_json(1, "six-01", ipv6="2001:db8:1::/64")])["six-01"]
    assert host.variables["ansible_host"] == "2001:db8:1::1"
    assert "public_servers" in host.groups


def test_server_without_any_address_is_listed_without_a_way() -> None:
    host = hosts([server_json(1, "new-01", status="off")])["new-01"]
    assert host.variables["bulwark_server"]["status"] == "off"
    assert "bulwark_ssh" not in host.variables
    assert "ansible_host" not in host.variables


def test_key_appears_where_ansible_and_people_look_for_it() -> None:
    settings = SshSettings("deployer", "/known", "/keys/id", "/cp")
    (host,) = build_hosts(snapshot([server_json(1, "a", public="198.51.100.101")]), settings)
    assert host.variables["ansible_ssh_private_key_file"] == "/keys/id"
    assert host.variables["bulwark_ssh"]["private_key_file"] == "/keys/id"


@pytest.mark.parametrize("user", ["", "-oProxyCommand=x", "a b", "Deployer", "x" * 33])
def test_user_that_is_none_is_refused(user: str) -> None:
    with pytest.raises(InventoryError, match="option user"):
        SshSettings(user, "/known", None, "/cp")


def test_path_that_ssh_would_misread_is_refused() -> None:
    with pytest.raises(InventoryError, match="quotation marks"):
        SshSettings("deployer", '/kno"wn', None, "/cp")


@pytest.mark.parametrize(
    "name", ["-oProxyCommand=x", "a b", "a;b", "a$(b)", "{{ 7 * 7 }}", "", "a..b", "a-", "a\n", "x" * 64, "ä"]
)
def test_name_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InventoryError, match="no host name"):
        server_record(server_json(1, name))


@pytest.mark.parametrize("name", ["localhost", "all", "ungrouped", "127.0.0.1"])
def test_name_with_a_meaning_of_its_own_is_refused(name: str) -> None:
    with pytest.raises(InventoryError, match="means something else"):
        server_record(server_json(1, name))


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="ProxyCommand"):
        server_record(server_json(1, "app-01", private="10.0.0.3 -oProxyCommand=x"))


@pytest.mark.parametrize("created", ["", "yesterday", "2026-01-02T03:04:05"])
def test_time_that_is_none_is_refused(created: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat|no time zone"):
        server_record({**server_json(1, "app-01"), "created": created})


def test_environment_that_is_no_label_is_refused() -> None:
    with pytest.raises(InventoryError, match="no label"):
        server_record(server_json(1, "app-01", env="x\n  ProxyCommand touch y"))


def test_empty_environment_is_none() -> None:
    assert server_record(server_json(1, "app-01", labels={"env": ""}))["server"]["env"] is None
