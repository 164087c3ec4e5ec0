"""The plugin against the embedded cloud's API, which was written from the vendor's document alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.drivers.null import NullDriver
from tests.checkout import ROOT, ansible_environment, tool
from tests.lab import builders
from tests.lab.cloud_api import TOKEN, CloudApi, Host, cloud_api


@pytest.fixture
def api() -> Iterator[CloudApi]:
    host = Host()
    with cloud_api(host, NullDriver()) as running:
        yield running
    host.close()


def labels(role: str, env: str = "lab") -> dict[str, str]:
    return {"env": env, "managed-by": "bulwark", "role": role, f"role-{role}": "true"}


def listing(api: CloudApi, home: Path) -> dict[str, Any]:
    command = [tool("ansible-inventory"), "-i", str(ROOT / "inventories/lab/servers.yml"), "--list"]
    environment = ansible_environment(HOME=str(home), HCLOUD_TOKEN=TOKEN, HCLOUD_ENDPOINT=api.url)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout, object_hook=lambda item: item.get("__ansible_unsafe", item))
    return found


def test_servers_of_the_embedded_cloud(api: CloudApi, tmp_path: Path) -> None:
    network = builders.network(api, "production-network")
    bastion = builders.server(api, "bastion-server", networks=[network], labels=labels("bastion"))
    database = builders.server(
        api,
        "db-primary",
        networks=[network],
        labels=labels("db"),
        public_net=builders.PRIVATE_ONLY,
        start_after_create=False,
    )
    builders.server(api, "stranger-01", labels={"env": "lab"})
    builders.server(api, "prod-01", labels=labels("app", env="production"))
    volume = builders.volume(api, "db-primary-data", 100, server=database, format="xfs")

    found = listing(api, tmp_path)

    assert found["bulwark_servers"]["hosts"] == ["bastion-server", "db-primary"]
    assert found["role_bastion"]["hosts"] == ["bastion-server"]
    assert found["private_servers"]["hosts"] == ["db-primary"]
    variables = found["_meta"]["hostvars"]["db-primary"]
    server = variables["bulwark_server"]
    private_net = api.get(f"/servers/{database.id}")["server"]["private_net"][0]
    public_address = api.get(f"/servers/{bastion.id}")["server"]["public_net"]["ipv4"]["ip"]
    assert server["id"] == database.id
    assert server["status"] == "off"
    assert (server["type"], server["cores"], server["memory_gb"], server["architecture"]) == ("cax11", 2, 4.0, "arm")
    assert (server["location"], server["image"]) == ("fsn1", "debian-13")
    assert server["private_address"] == variables["ansible_host"] == private_net["ip"]
    assert server["private_mac"] == private_net["mac_address"]
    assert server["volumes"] == [
        {
            "id": volume.id,
            "name": "db-primary-data",
            "size_gb": 100,
            "device": f"/dev/disk/by-id/scsi-0HC_Volume_{volume.id}",
        }
    ]
    assert variables["bulwark_network"]["gateway"] == "10.0.0.1"
    assert variables["bulwark_ssh"]["jump"]["address"] == public_address
    assert variables["bulwark_bastion"]["public_address"] == public_address
