"""A topology: what a person may leave out, what it stands for, and what it may not say."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import infrastructure
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.schema import MAX_COUNT, ObjectStorage, parse
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkout import ROOT

ALICE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFSjQJBOGpYIMFHRgUBYBCIvDM3S2Jjph3W4KgVqAfTV alice"
BOB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOuOdRbYVVj9FbbYFR3rIIVXcHW3a7Jm7xIWzUf3ZnXh bob"


def topology(**more: Any) -> dict[str, Any]:
    required = {
        "version": 1,
        "environment": "production",
        "admin_addresses": ["198.51.100.7/32"],
        "admin_keys": {"alice": ALICE},
    }
    return {key: value for key, value in (required | more).items() if value is not None}


OBJECT_STORAGE = {
    "endpoint": "https://fsn1.your-objectstorage.com",
    "region": "fsn1",
    "uploads_bucket": "example-uploads",
    "backups_bucket": "example-backups",
}


def object_storage(**more: Any) -> dict[str, Any]:
    return {"object_storage": {key: value for key, value in (OBJECT_STORAGE | more).items() if value is not None}}


def servers_of(**more: Any) -> dict[str, dict[str, Any]]:
    return {server["name"]: server for server in infrastructure(topology(**more))["servers"]}


def addresses_of(**more: Any) -> dict[str, str]:
    return {name: server["networks"][0]["address"] for name, server in servers_of(**more).items()}


def test_what_is_required_is_enough_for_the_whole_architecture() -> None:
    assert addresses_of() == {
        "bastion-server": "10.0.0.2",
        "app-01": "10.0.0.3",
        "app-02": "10.0.0.4",
        "jobs-01": "10.0.0.5",
        "db-primary": "10.0.0.6",
        "db-replica": "10.0.0.7",
        "monitor-01": "10.0.0.8",
    }
    assert {name: server["type"] for name, server in servers_of().items()} == {
        "bastion-server": "cax11",
        "app-01": "cax31",
        "app-02": "cax31",
        "jobs-01": "cax21",
        "db-primary": "cax31",
        "db-replica": "cax31",
        "monitor-01": "cax21",
    }
    whole = infrastructure(topology())
    assert whole["environment_name"] == "production"
    assert whole["networks"] == [
        {
            "name": "production-network",
            "ip_range": "10.0.0.0/16",
            "location": "fsn1",
            "subnets": ["10.0.0.0/24"],
            "routes": [{"destination": "0.0.0.0/0", "gateway": "10.0.0.2"}],
        }
    ]
    assert [(volume["name"], volume["size"], volume["server"], volume["format"]) for volume in whole["volumes"]] == [
        ("db-primary-data", 100, "db-primary", "xfs"),
        ("db-replica-data", 100, "db-replica", "xfs"),
    ]
    assert [group["name"] for group in whole["placement_groups"]] == ["app", "db"]
    assert whole["primary_ips"] == [{"name": "bastion-ip", "type": "ipv4", "location": "fsn1", "auto_delete": False}]


def test_only_the_bastion_is_public_and_only_for_the_administrators() -> None:
    servers = servers_of(admin_addresses=["198.51.100.7/32", "2001:db8::/48"])
    public = {name for name, server in servers.items() if server["public_ipv4"] or server["public_ipv6"]}
    assert public == {"bastion-server"}
    assert servers["bastion-server"]["firewalls"] == ["bastion-firewall"]
    [firewall] = infrastructure(topology(admin_addresses=["198.51.100.7/32", "2001:db8::/48"]))["firewalls"]
    rules = firewall["rules"]
    assert {(rule["direction"], rule["protocol"], rule.get("port")) for rule in rules} == {
        ("in", "tcp", "22"),
        ("in", "icmp", None),
    }
    assert all(rule["source_ips"] == ["198.51.100.7/32", "2001:db8::/48"] for rule in rules)


def test_the_cloud_firewall_follows_the_flows() -> None:
    flows = {"admin-ping": False, "vpn": {"from": "internet", "to": "bastion", "protocol": "udp", "ports": 51820}}
    [firewall] = infrastructure(topology(flows=flows))["firewalls"]
    assert [
        (rule["description"], rule["protocol"], rule["port"], rule["source_ips"]) for rule in firewall["rules"]
    ] == [
        ("admin-ssh", "tcp", "22", ["198.51.100.7/32"]),
        ("vpn", "udp", "51820", ["0.0.0.0/0", "::/0"]),
    ]
    assert infrastructure(topology(flows=None)) == infrastructure(topology(flows={}))


def test_labels_name_the_role_twice() -> None:
    assert servers_of()["db-replica"]["labels"] == {"role": "db", "role-db": "true"}


@settings(max_examples=25, deadline=None)
@given(counts=st.fixed_dictionaries({role: st.integers(0, MAX_COUNT) for role in ("app", "jobs", "db", "monitoring")}))
def test_another_count_never_moves_a_server(counts: dict[str, int]) -> None:
    most = addresses_of(servers={role: {"count": MAX_COUNT} for role in counts})
    some = addresses_of(servers={role: {"count": count} for role, count in counts.items()})
    assert some.items() <= most.items()
    assert len(set(most.values())) == len(most)
    assert "10.0.0.9" not in most.values(), "that is the load balancer's"


def test_more_servers_than_a_placement_group_holds_get_a_second_one() -> None:
    groups = [server["placement_group"] for server in servers_of(servers={"app": {"count": 12}}).values()]
    assert groups.count("app") == 10
    assert groups.count("app-2") == 2
    assert servers_of(servers={"app": {"count": 1}})["app-01"]["placement_group"] is None


def test_names_of_further_servers() -> None:
    names = set(servers_of(servers={"db": {"count": 4}, "app": {"count": 3}, "jobs": {"count": 0}}))
    assert {"app-03", "db-replica-02", "db-replica-03"} <= names
    assert "jobs-01" not in names


def test_another_network_and_named_addresses() -> None:
    network = {"name": "net", "ip_range": "172.16.0.0/16", "subnet": "172.16.8.0/24"}
    found = addresses_of(network=network, servers={"app": {"count": 1, "addresses": ["172.16.8.77"]}})
    assert found["app-01"] == "172.16.8.77"
    assert found["bastion-server"] == "172.16.8.2"
    assert all(IPv4Address(address) in IPv4Network("172.16.8.0/24") for address in found.values())
    # The gateway is that of the range, not of the subnet.
    assert "Gateway=172.16.0.1" in servers_of(network=network)["app-01"]["user_data"]


def test_every_server_but_the_bastion_is_given_the_private_route() -> None:
    with_route = {name for name, server in servers_of().items() if "systemd-networkd" in server["user_data"]}
    assert with_route == set(servers_of()) - {"bastion-server"}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"sevrers": {}}, "topology has an unknown key 'sevrers': did you mean 'servers'?"),
        ({"servers": {"db": {"cuont": 2}}}, "topology.servers.db has an unknown key 'cuont': did you mean 'count'?"),
        ({"servers": {"web": {}}}, "topology.servers has an unknown key 'web': known are bastion, app, jobs, db"),
        ({"servers": {"app": [2]}}, "topology.servers.app must be a mapping, not a list."),
        ({"servers": {"app": {"count": 20}}}, "count must be a whole number from 0 to 19, not 20."),
        ({"servers": {"app": {"count": True}}}, "count must be a whole number from 0 to 19, not True."),
        ({"servers": {"app": {"count": "2"}}}, "count must be a whole number from 0 to 19, not '2'."),
        ({"servers": {"bastion": {"count": 2}}}, "count must be a whole number from 1 to 1, not 2."),
        ({"servers": {"db": {"volume_size": 5}}}, "volume_size must be a whole number from 10 to 10240, not 5."),
        ({"servers": {"app": {"addresses": ["10.0.0.3"]}}}, "topology.servers.app has 1 addresses for 2 servers"),
        (
            {"servers": {"app": {"addresses": ["10.0.0.3", "10.0.0.x"]}}},
            "topology.servers.app.addresses: '10.0.0.x' is no IPv4 address.",
        ),
        (
            {"servers": {"app": {"addresses": ["10.0.0.3", "10.0.0.6"]}}},
            "db-primary would get 10.0.0.6, which belongs to app-02",
        ),
        (
            {"servers": {"jobs": {"addresses": ["10.0.0.9"]}}},
            "jobs-01 would get 10.0.0.9, which belongs to the load balancer",
        ),
        (
            {"servers": {"jobs": {"addresses": ["10.0.0.1"]}}},
            "jobs-01 would get 10.0.0.1, which belongs to the network's gateway",
        ),
        (
            {"servers": {"jobs": {"addresses": ["10.0.0.255"]}}},
            "jobs-01 would get 10.0.0.255, which belongs to the subnet's broadcast",
        ),
        (
            {"servers": {"jobs": {"addresses": ["10.0.1.5"]}}},
            "jobs-01 would get 10.0.1.5, which is outside of the subnet 10.0.0.0/24",
        ),
        (
            {"network": {"subnet": "10.0.0.0/28"}, "servers": {"app": {"count": 3}}},
            "app-03 would get 10.0.0.103, which is outside of the subnet 10.0.0.0/28",
        ),
        ({"network": {"subnet": "10.1.0.0/24"}}, "10.1.0.0/24 is outside of ip_range 10.0.0.0/16."),
        ({"network": {"subnet": "10.0.0.7/24"}}, "'10.0.0.7/24' is no IPv4 network"),
        ({"network": {"ip_range": "203.0.113.0/24"}}, "203.0.113.0/24 is no private network"),
        ({"version": 2}, "topology.version must be a whole number from 1 to 1, not 2."),
        (
            {"flows": {"tunels": False}},
            "topology.flows.tunels closes a flow that is not there: did you mean 'tunnels'?",
        ),
        ({"flows": ["tunnels"]}, "topology.flows must be a mapping"),
        ({"object_storage": "fsn1"}, "topology.object_storage must be a mapping, not a text."),
        ({"object_storage": {}}, "topology.object_storage.endpoint is missing."),
        (object_storage(region=None), "topology.object_storage.region is missing."),
        (object_storage(uploads_bucket=None), "topology.object_storage.uploads_bucket is missing."),
        (object_storage(backups_bucket=7), "topology.object_storage.backups_bucket must be a text, not a number."),
        (object_storage(secret_key="s"), "topology.object_storage has an unknown key 'secret_key'"),
        (object_storage(endpoint="fsn1.example"), "topology.object_storage.endpoint: 'fsn1.example' is no URL such as"),
        (object_storage(endpoint="http://127.0.0.1"), "would send what is stored in the clear: use https."),
        (object_storage(region="fsn 1"), "topology.object_storage.region: 'fsn 1' is no region such as fsn1."),
        (object_storage(backups_bucket="Backups"), "object_storage.backups_bucket: 'Backups' is no bucket name: use 3"),
        (object_storage(backups_bucket="example-uploads"), "uploads and backups share the bucket 'example-uploads'"),
        ({"environment": None}, "topology.environment is missing."),
        ({"environment": "Prod uction"}, "topology.environment: 'Prod uction' is no label"),
        ({"environment": "a" * 64}, "is no label"),
        ({"user": "root"}, "topology.user: 'root' cannot be the servers' user"),
        ({"admin_addresses": None}, "topology.admin_addresses is missing"),
        ({"admin_addresses": "198.51.100.7"}, "topology.admin_addresses must be a list of texts."),
        ({"admin_addresses": ["198.51.100.7/24"]}, "'198.51.100.7/24' is no network such as 198.51.100.7/32"),
        ({"admin_addresses": ["198.51.100.7", "198.51.100.7/32"]}, "topology.admin_addresses names a network twice."),
        ({"admin_keys": None}, "topology.admin_keys is missing"),
        ({"admin_keys": {"alice": ""}}, "topology.admin_keys.alice is empty"),
        ({"admin_keys": {"alice": "ssh-ed25519 REPLACE-ME"}}, "topology.admin_keys.alice is no OpenSSH public key"),
        ({"admin_keys": {"alice": ALICE.replace("ssh-ed25519", "ssh-rsa")}}, "alice is no OpenSSH public key"),
        ({"admin_keys": {"alice": f"{ALICE}\n{BOB}"}}, "alice is no OpenSSH public key"),
        ({"admin_keys": {"alice": ALICE, "bob": f"{ALICE} bob"}}, "alice and bob are the same key."),
    ],
)
def test_mistakes_are_one_sentence_each(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TopologyError) as error:
        infrastructure(topology(**more))
    assert sentence in str(error.value)


def test_object_storage_is_no_infrastructure_of_the_cloud() -> None:
    """Its buckets are made by a module of their own; everything else stays as it is."""
    assert parse(topology(**object_storage())).object_storage == ObjectStorage(**OBJECT_STORAGE)
    assert parse(topology()).object_storage is None
    assert infrastructure(topology(**object_storage())) == infrastructure(topology())


def test_a_private_key_is_refused_and_not_repeated() -> None:
    # Spelt so that nothing takes this file for a key.
    key = "-----BEGIN OPENSSH PRIVATE" + " KEY-----\nc2VjcmV0\n-----END"
    with pytest.raises(TopologyError) as error:
        infrastructure(topology(admin_keys={"alice": key}))
    assert "is a private key" in str(error.value)
    assert "c2VjcmV0" not in str(error.value)


def test_more_keys_than_the_first_boot_data_holds() -> None:
    keys = {f"admin{number}": f"{_key(number)} {'x' * 200}" for number in range(130)}
    with pytest.raises(TopologyError, match="declare fewer admin keys"):
        infrastructure(topology(admin_keys=keys))


def _key(number: int) -> str:
    name = b"ssh-ed25519"
    blob = len(name).to_bytes(4, "big") + name + (32).to_bytes(4, "big") + number.to_bytes(32, "big")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def test_nothing_but_a_mapping_is_a_topology() -> None:
    for data in (None, [], "production"):
        with pytest.raises(TopologyError, match="topology must be a mapping"):
            infrastructure(data)


def test_the_production_file_is_the_default_and_waits_for_a_key() -> None:
    path = ROOT / "inventories/production/group_vars/all/topology.yml"
    written = yaml.safe_load(path.read_text())["topology"]
    with pytest.raises(TopologyError, match="alice is no OpenSSH public key"):
        infrastructure(written)
    assert infrastructure(written | {"admin_keys": {"alice": ALICE}}) == infrastructure(topology())
