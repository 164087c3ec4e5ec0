"""The distribution's ``hcloud`` command, unmodified: what it makes, finds, changes and deletes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.drivers.base import Health
from tests.lab import builders
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi
from tests.lab.pairs import issue


class Command:
    def __init__(self, api: CloudApi, home: Path) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HCLOUD_")},
            "HCLOUD_TOKEN": TOKEN,
            "HCLOUD_ENDPOINT": api.url,
            "HOME": str(home),
        }

    def run(self, line: str, *more: str) -> subprocess.CompletedProcess[str]:
        words = ["hcloud", *line.split(), *more]
        return subprocess.run(words, env=self._environment, capture_output=True, text=True, check=False, timeout=60)

    def __call__(self, line: str, *more: str) -> str:
        """What it prints; it must succeed. ``more`` are words that may contain blanks."""
        done = self.run(line, *more)
        assert done.returncode == 0, f"hcloud {line}: {done.stdout}{done.stderr}"
        return done.stdout

    def describe(self, kind: str, name: str) -> Any:
        return json.loads(self(f"{kind} describe {name} -o json"))

    def refused(self, line: str) -> str:
        done = self.run(line)
        assert done.returncode != 0, f"hcloud {line}: {done.stdout}"
        return done.stderr


@pytest.fixture
def hcloud(cloud_api: CloudApi, tmp_path: Path) -> Command:
    return Command(cloud_api, tmp_path)


SERVER = "server create --type cax11 --image debian-13 --location fsn1 --name"


def test_a_private_server_with_everything(hcloud: Command) -> None:
    hcloud("network create --name net --ip-range 10.77.0.0/16")
    hcloud("network add-subnet net --type cloud --network-zone eu-central --ip-range 10.77.1.0/24")
    hcloud("network add-route net --destination 0.0.0.0/0 --gateway 10.77.1.1")
    hcloud("placement-group create --name group --type spread")
    hcloud(f"{SERVER} app-1 --without-ipv4 --without-ipv6 --network net --placement-group group --label purpose=trial")
    hcloud("volume create --name data --size 10 --server app-1 --format xfs")
    server = hcloud.describe("server", "app-1")
    assert (server["status"], server["private_net"][0]["ip"]) == ("running", "10.77.1.1")
    assert server["placement_group"]["name"] == "group"
    volume = hcloud.describe("volume", "data")
    assert volume["linux_device"] == f"/dev/disk/by-id/scsi-0HC_Volume_{volume['id']}"
    assert server["volumes"] == [volume["id"]]
    network = hcloud.describe("network", "net")
    assert network["subnets"][0]["ip_range"] == "10.77.1.0/24"
    assert network["routes"] == [{"destination": "0.0.0.0/0", "gateway": "10.77.1.1"}]
    hcloud("server delete app-1")
    hcloud("volume resize data --size 20")
    assert hcloud.describe("volume", "data")["size"] == 20
    hcloud("volume delete data")
    hcloud("network delete net")
    hcloud("placement-group delete group")
    for kind in ("server", "volume", "network", "placement-group", "primary-ip"):
        assert hcloud(f"{kind} list -o noheader") == ""


def test_one_server_from_all_sides(hcloud: Command) -> None:
    """One test, since the command waits half a second for every action, whatever it is told."""
    hcloud(f"{SERVER} app-1 --start-after-create=false --label purpose=trial")
    selected = hcloud("server list -o noheader -o columns=name,status -l", "purpose in (trial),!nothing")
    assert selected.split() == ["app-1", "off"]
    hcloud("server remove-label app-1 purpose")
    assert hcloud("server list -l purpose=trial -o noheader") == ""
    assert "uniqueness_error" in hcloud.refused(f"{SERVER} app-1")

    hcloud("server poweron app-1")
    assert hcloud.describe("server", "app-1")["status"] == "running"
    hcloud("server poweroff app-1")
    hcloud("server enable-protection app-1 delete rebuild")
    assert "protected" in hcloud.refused("server delete app-1")
    hcloud("server update app-1 --name app-2")

    hcloud("firewall create --name fw")
    hcloud("firewall add-rule fw --direction in --protocol tcp --port 22 --source-ips 0.0.0.0/0")
    hcloud("firewall apply-to-resource fw --type server --server app-2")
    assert [rule["port"] for rule in hcloud.describe("firewall", "fw")["rules"]] == ["22"]
    assert "still in use" in hcloud.refused("firewall delete fw")

    hcloud("network create --name net --ip-range 10.0.0.0/16")
    hcloud("network add-subnet net --type cloud --network-zone eu-central --ip-range 10.0.0.0/24")
    hcloud("server attach-to-network app-2 --network net --ip 10.0.0.5")
    assert hcloud.describe("server", "app-2")["private_net"][0]["ip"] == "10.0.0.5"


def test_primary_ips(hcloud: Command) -> None:
    hcloud(f"{SERVER} app-1 --without-ipv6 --start-after-create=false")
    (row,) = hcloud("primary-ip list -o noheader -o columns=id,name").splitlines()
    hcloud(f"primary-ip update {row.split()[0]} --name app-ip --auto-delete=false")
    ip = hcloud.describe("primary-ip", "app-ip")
    assert (ip["auto_delete"], ip["assignee_type"]) == (False, "server")
    hcloud("primary-ip unassign app-ip")
    hcloud("primary-ip delete app-ip")


def test_ssh_keys(hcloud: Command, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(SSH_KEY + "\n")
    hcloud(f"ssh-key create --name alice --public-key-from-file {key}")
    hcloud("ssh-key update alice --name bob")
    assert "already exists" in hcloud.refused(f"ssh-key create --name eve --public-key-from-file {key}")
    hcloud("ssh-key delete bob")


def test_certificates(hcloud: Command, tmp_path: Path) -> None:
    pair = issue(["bulwark.example"])
    (tmp_path / "web.crt").write_text(pair.certificate)
    (tmp_path / "web.key").write_text(pair.private_key)
    files = f"--cert-file {tmp_path / 'web.crt'} --key-file {tmp_path / 'web.key'}"
    hcloud(f"certificate create --name web {files}")
    assert hcloud.describe("certificate", "web")["domain_names"] == ["bulwark.example"]
    assert "web" in hcloud("certificate list")
    assert "bulwark.example" in hcloud("certificate describe web")
    hcloud("certificate add-label web purpose=trial")
    hcloud("certificate update web --name other")
    (tmp_path / "web.key").write_text(issue().private_key)
    assert "does not belong to the certificate" in hcloud.refused(f"certificate create --name web {files}")
    assert "not_implemented" in hcloud.refused("certificate create --type managed --name m --domain bulwark.example")
    hcloud("certificate delete other")


def test_a_load_balancer_from_all_sides(hcloud: Command, cloud_api: CloudApi) -> None:
    certificate = builders.certificate(cloud_api).id
    builders.network(cloud_api)
    hcloud(f"{SERVER} app-1 --network net --label role=app")
    hcloud("load-balancer create --name rails-lb --type lb11 --location fsn1 --label env=lab")
    hcloud("load-balancer attach-to-network rails-lb --network net --ip 10.0.0.9")
    service = "rails-lb --protocol https --listen-port 443 --destination-port 80"
    hcloud(f"load-balancer add-service {service} --http-certificates {certificate} --http-redirect-http")
    check = "--health-check-protocol http --health-check-http-path /up --health-check-timeout 5s --health-check-port 80"
    hcloud(f"load-balancer update-service rails-lb --listen-port 443 {check} --http-sticky-sessions")
    hcloud("load-balancer add-target rails-lb --label-selector role=app --use-private-ip")
    hcloud("load-balancer add-target rails-lb --server app-1 --use-private-ip")
    cloud_api.driver.health["10.0.0.2", 443] = Health.HEALTHY
    printed = hcloud("load-balancer describe rails-lb -o json")
    assert re.search(r'"status": *"healthy"', printed)
    described = json.loads(printed)
    assert described["private_net"][0]["ip"] == "10.0.0.9"
    assert (
        described["services"][0]["health_check"]["http"]["path"],
        described["services"][0]["http"]["certificates"],
    ) == (
        "/up",
        [certificate],
    )
    shown = hcloud("load-balancer describe rails-lb")
    for text in ("10.0.0.9", r"Sticky Sessions:\s+yes", "healthy", "role=app", "/up"):
        assert re.search(text, shown), shown
    assert "rails-lb" in hcloud("load-balancer list -l env=lab")
    assert "still in use" in hcloud.refused(f"certificate delete {certificate}")
    hcloud("load-balancer remove-target rails-lb --server app-1")
    hcloud("load-balancer remove-target rails-lb --label-selector role=app")
    hcloud("load-balancer metrics rails-lb --type open_connections")
    for line in (
        "change-algorithm rails-lb --algorithm-type least_connections",
        "change-type rails-lb lb21",
        "set-rdns rails-lb --hostname lb.bulwark.example",
        "disable-public-interface rails-lb",
        "enable-public-interface rails-lb",
        "delete-service rails-lb --listen-port 443",
        "detach-from-network rails-lb --network net",
        "enable-protection rails-lb delete",
    ):
        hcloud(f"load-balancer {line}")
    assert "protected" in hcloud.refused("load-balancer delete rails-lb")
    hcloud("load-balancer disable-protection rails-lb delete")
    hcloud("load-balancer update rails-lb --name other")
    hcloud("load-balancer delete other")
    cloud_api.settle()
    hcloud(f"certificate delete {certificate}")


@pytest.mark.parametrize(
    "kind", ["location", "server-type", "image", "server", "volume", "network", "firewall", "load-balancer-type"]
)
def test_lists(hcloud: Command, kind: str) -> None:
    assert hcloud(f"{kind} list").splitlines()[0].startswith("ID")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("server create --name app-2 --type nosuch --image debian-13", "server type 'nosuch' not found"),
        ("server create --name app-2 --type cax11 --image nosuch", "image not found: nosuch"),
        ("server create --name app-2 --type cx23 --image debian-13", "image has incompatible architecture"),
        ("server delete nobody", "not found: nobody"),
        ("datacenter list", "deprecated_api_endpoint"),
        ("primary-ip create --name p --type ipv4 --datacenter fsn1-dc14", "was removed in July 2026"),
        ("iso list", "not_implemented"),
        ("floating-ip list", "not_implemented"),
    ],
)
def test_refusals_are_shown(hcloud: Command, line: str, text: str) -> None:
    assert text in hcloud.refused(line)
