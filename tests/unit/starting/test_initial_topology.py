"""Answers become a topology; what cannot be meant is one sentence."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting.answers import (
    render_servers,
    render_topology,
    topology,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import edge, infrastructure
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError

from tests.lab.cloud_api import SSH_KEY

FEW: dict[str, Any] = {"admin_addresses": "198.51.100.7, 2001:db8::/48", "admin_key": SSH_KEY}
EDGE = {"edge_zone": "example.com", "edge_hostnames": "example.com www.example.com", "edge_zone_owned": "yes"}
STORAGE = {
    "object_storage_endpoint": "https://fsn1.your-objectstorage.com",
    "object_storage_region": "fsn1",
    "object_storage_uploads_bucket": "acme-uploads",
    "object_storage_backups_bucket": "acme-backups",
}


def test_what_is_not_answered_is_left_to_the_defaults() -> None:
    made = topology("production", FEW | {"location": "", "edge_zone": None})
    assert made == {
        "version": 1,
        "environment": "production",
        "admin_addresses": ["198.51.100.7/32", "2001:db8::/48"],
        "admin_keys": {"tests": SSH_KEY},
    }


def test_everything_answered_survives_its_file() -> None:
    answers = FEW | EDGE | STORAGE | {"location": "nbg1", "servers": {"app": {"count": 3}}, "admin_name": "alice"}
    made = topology("production", answers)
    assert yaml.safe_load(render_topology(made))["topology"] == made
    assert len([server for server in infrastructure(made)["servers"] if server["name"].startswith("app-")]) == 3
    assert edge(made, "", ())["hostnames"] == ["example.com", "www.example.com"]
    assert made["object_storage"]["backups_bucket"] == "acme-backups"
    assert made["edge"]["zone_owned"] is True


@pytest.mark.parametrize(
    ("answer", "declared"),
    [
        ("yes", {}),
        ("Y", {}),
        (True, {}),
        ({"type": "cax11"}, {"type": "cax11"}),
        ("no", None),
        (False, None),
        ("", None),
    ],
)
def test_one_server_or_the_whole_architecture(answer: object, declared: dict[str, str] | None) -> None:
    made = topology("staging", FEW | {"one_server": answer})
    assert made.get("one_server") == declared
    assert yaml.safe_load(render_topology(made)) == {"topology": made}


def test_keys_of_the_object_storage_are_not_in_the_topology() -> None:
    made = topology("production", FEW | STORAGE | {"object_storage_secret_key": "s3cret"})
    assert "s3cret" not in render_topology(made)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"admin_addresses": ""}, "answers.admin_addresses is missing"),
        ({"admin_addresses": "home"}, "'home' is no network such as 198.51.100.7/32"),
        ({"admin_key": ""}, "answers.admin_key is missing"),
        ({"admin_key": "ssh-ed25519 AAAA"}, "is no OpenSSH public key"),
        ({"admin_key": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "is a private key"),
        ({"one_server": "perhaps"}, "answers.one_server must be yes or no, not 'perhaps'"),
        ({"one_server": {"typ": "cax11"}}, "topology.one_server has an unknown key 'typ'"),
        (EDGE | {"one_server": "yes"}, "topology.edge leads users to the load balancer"),
        ({"servers": {"app": {"count": 1}}, "one_server": True}, "topology.one_server is the only server"),
        ({"locatoin": "fsn1"}, "unknown key 'locatoin': did you mean 'location'?"),
        ({"edge_hostnames": "www.example.com"}, "without answers.edge_zone"),
        (EDGE | {"edge_zone": "https://example.com"}, "is no name such as www.example.com"),
        (EDGE | {"edge_hostnames": "www.example.org"}, "is not in the zone example.com"),
        (EDGE | {"edge_zone_owned": "perhaps"}, "must be yes or no"),
        (STORAGE | {"object_storage_endpoint": "fsn1"}, "topology.object_storage.endpoint: 'fsn1' is no URL"),
        (STORAGE | {"object_storage_backups_bucket": ""}, "topology.object_storage.backups_bucket is missing"),
        (STORAGE | {"object_storage_backups_bucket": "acme-uploads"}, "share the bucket"),
        ({"servers": {"app": {"count": "{{ lookup('pipe', 'id') }}"}}}, "answers.servers.app.count holds a template"),
    ],
)
def test_bad_answers_are_one_sentence(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TopologyError) as refused:
        topology("production", FEW | more)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_lab_is_not_started_here() -> None:
    with pytest.raises(TopologyError, match="embedded cloud"):
        topology("lab", FEW)


def test_the_inventory_names_its_environment_and_authority() -> None:
    assert yaml.safe_load(render_servers("production", SSH_KEY)) == {
        "plugin": "bulwark.hetzner.servers",
        "environments": ["production"],
        "host_authorities": [SSH_KEY],
    }
