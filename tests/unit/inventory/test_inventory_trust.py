"""Host authorities in the inventory: which servers may still be met for the first time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.hosts import SshSettings, build_hosts
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import InventoryError

from tests.unit.inventory.builders import FakeApi, default_servers, snapshot
from tests.unit.inventory.runner import Runner

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostAuthority"
MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)  # as the builders say


def trust(new_since: datetime | None, authorities: tuple[str, ...] = (f"{KEY} production",)) -> dict[str, object]:
    settings = SshSettings("deployer", "/known", None, "/cp", authorities, new_since)
    servers = [server for server in default_servers() if not server["volumes"]]
    found = {host.name: host.variables["bulwark_ssh"] for host in build_hosts(snapshot(servers), settings)}
    way, jump = found["app-01"], found["app-01"]["jump"]
    assert {name: way.get(name) for name in ("host_authorities", "first_contact")} == {
        name: jump.get(name) for name in ("host_authorities", "first_contact")
    }
    return dict(way)


@pytest.mark.parametrize(
    ("new_since", "may_be_new"), [(MADE, True), (MADE + timedelta(seconds=1), False), (None, True)]
)
def test_older_server_is_not_met_for_the_first_time(new_since: datetime | None, may_be_new: bool) -> None:
    way = trust(new_since)
    assert way["host_authorities"] == [KEY]
    assert way["first_contact"] is may_be_new


def test_without_authorities_nothing_is_said_of_them() -> None:
    assert {"host_authorities", "first_contact"}.isdisjoint(trust(MADE, ()))


def test_what_is_no_public_key_is_refused_and_not_shown() -> None:
    with pytest.raises(InventoryError, match=r"public key.*Correct the option host_authorities") as caught:
        trust(None, ("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0",))
    assert "c2VjcmV0" not in str(caught.value)


def test_options_come_from_the_environment(runner: Runner, api: FakeApi) -> None:
    api.objects["servers"][0]["created"] = datetime.now(UTC).isoformat()
    hosts = runner.listing(BULWARK_HOST_AUTHORITIES=f"{KEY} lab")["_meta"]["hostvars"]
    assert hosts["bastion-server"]["bulwark_ssh"]["first_contact"] is True
    assert hosts["app-01"]["bulwark_ssh"]["first_contact"] is False
    assert f"@cert-authority hcloud-2 {KEY}" in hosts["app-01"]["ansible_ssh_common_args"]
    assert "StrictHostKeyChecking=yes" in hosts["app-01"]["ansible_ssh_common_args"]
    many = str(24 * 365 * 100)
    hosts = runner.listing(BULWARK_HOST_AUTHORITIES=KEY, BULWARK_FIRST_CONTACT_HOURS=many)["_meta"]["hostvars"]
    assert hosts["app-01"]["bulwark_ssh"]["first_contact"] is True
    hosts = runner.listing(BULWARK_HOST_AUTHORITIES=KEY, BULWARK_FIRST_CONTACT_HOURS="0")["_meta"]["hostvars"]
    assert hosts["bastion-server"]["bulwark_ssh"]["first_contact"] is False
