"""What a server finds at its first boot."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from lab.drivers.base import Machine, PublicNic
from lab.drivers.docker import seed

MACHINE = Machine(
    machine_id=1000007,
    name="app-01",
    image="debian-13",
    user_data="#cloud-config\nusers: []\n",
    ssh_keys=("ssh-ed25519 AAAA alice",),
    public=PublicNic("96:00:00:00:00:01", "198.51.100.100", "2001:db8:0:1::/64", None),
    private=(),
    volumes=(),
)


def network_config(machine: Machine) -> dict[str, object]:
    config: dict[str, object] = json.loads(seed.files(machine)["network-config"])
    return config


def test_the_server_is_told_its_name_and_its_keys() -> None:
    metadata = json.loads(seed.files(MACHINE)["meta-data"])
    assert metadata == {
        "instance-id": "bulwark-1000007",
        "local-hostname": "app-01",
        "public-keys": ["ssh-ed25519 AAAA alice"],
    }


@pytest.mark.parametrize("text", ["#cloud-config\nusers: []\n", "#!/bin/sh\necho äöü\n"])
def test_user_data_arrives_as_it_was_given(text: str) -> None:
    assert seed.files(replace(MACHINE, user_data=text))["user-data"] == text


def test_without_user_data_there_is_nothing_to_do() -> None:
    assert seed.files(replace(MACHINE, user_data=""))["user-data"] == "#cloud-config\n{}\n"


def test_the_public_interface_reaches_its_gateways_on_link() -> None:
    assert network_config(MACHINE) == {
        "version": 2,
        "ethernets": {
            "eth0": {
                "dhcp4": False,
                "addresses": ["198.51.100.100/32", "2001:db8:0:1::1/64"],
                "routes": [
                    {"to": "0.0.0.0/0", "via": "172.31.1.1", "on-link": True},
                    {"to": "::/0", "via": "fe80::1", "on-link": True},
                ],
                "nameservers": {"addresses": ["185.12.64.1", "185.12.64.2"]},
            }
        },
    }


def test_a_public_interface_may_have_one_address_only() -> None:
    assert MACHINE.public is not None
    config = json.dumps(network_config(replace(MACHINE, public=replace(MACHINE.public, ipv6=None))))
    assert "198.51.100.100/32" in config
    assert "fe80::1" not in config


@pytest.mark.parametrize("public", [None, PublicNic("96:00:00:00:00:01", None, None, None)])
def test_a_private_server_has_nothing_to_configure(public: PublicNic | None) -> None:
    assert network_config(replace(MACHINE, public=public)) == {"config": "disabled"}


def test_the_archive_keeps_the_seed_to_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(seed.certificates, "CERTIFICATE", tmp_path / "none")
    with tarfile.open(fileobj=io.BytesIO(seed.archive(MACHINE))) as tar:
        modes = {entry.name: entry.mode for entry in tar.getmembers()}
        hostname = tar.extractfile("etc/hostname")
        assert hostname is not None
        assert hostname.read() == b"app-01\n"
    assert modes == {
        "var/lib/cloud/seed/nocloud/meta-data": 0o600,
        "var/lib/cloud/seed/nocloud/user-data": 0o600,
        "var/lib/cloud/seed/nocloud/network-config": 0o600,
        "etc/hostname": 0o644,
        "etc/hosts": 0o644,
    }


def test_a_server_learns_whom_the_embedded_internet_trusts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("an authority\n")
    monkeypatch.setattr(seed.certificates, "CERTIFICATE", authority)
    with tarfile.open(fileobj=io.BytesIO(seed.archive(MACHINE))) as tar:
        for place in ("usr/local/share/ca-certificates/lab.crt", "etc/docker/certs.d/registry.bulwark.example/ca.crt"):
            file = tar.extractfile(place)
            assert file is not None
            assert file.read() == b"an authority\n"
