"""The module's logic against the embedded cloud, served over HTTP with a driver that makes nothing."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import Client
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.execution import RefusedError

from tests.integration.environment import declared, made, run
from tests.integration.playbooks import playbook
from tests.lab.cloud_api import OTHER_SSH_KEY, SSH_KEY, TOKEN, CloudApi


def test_check_mode_then_made_then_nothing(api: CloudApi) -> None:
    checked = run(api, declared(), check=True)
    assert checked["changed"]
    assert api.get("/servers")["servers"] == []

    first = run(api, declared())
    assert made(first) == made(checked), "check mode shows what is done"
    assert {name: server["private_addresses"] for name, server in first["servers"].items()} == {
        "bastion-server": ["10.0.0.2"],
        "app-01": ["10.0.0.3"],
        "app-02": ["10.0.0.4"],
        "jobs-01": ["10.0.0.5"],
        "db-primary": ["10.0.0.6"],
        "db-replica": ["10.0.0.7"],
        "monitor-01": ["10.0.0.8"],
    }
    assert {name for name, server in first["servers"].items() if server["public_ipv4"]} == {"bastion-server"}
    assert {server["status"] for server in first["servers"].values()} == {"running"}
    machines = {machine.name: machine for machine in api.driver.machines.values()}
    assert len(machines["db-primary"].volumes) == 1
    assert machines["app-01"].public is None
    bastion = machines["bastion-server"].public
    assert bastion is not None
    assert bastion.firewall is not None
    assert {rule.networks for rule in bastion.firewall} == {("198.51.100.10/32",)}
    # A machine is started once, with everything plugged in.
    assert sorted(api.driver.running) == sorted(api.driver.machines)

    second = run(api, declared())
    assert (second["changed"], second["plan"]) == (False, [])
    assert second["servers"] == first["servers"]


def test_what_it_costs_stands_in_the_plan_the_difference_and_the_result(api: CloudApi) -> None:
    checked = run(api, declared(), check=True)
    total = Decimal(checked["monthly_price"]["difference"])
    assert total == sum(Decimal(step["monthly_price"]) for step in checked["plan"]) > 0
    last = checked["diff"][-1]
    assert (last["after_header"], last["after"]) == ("price of a month (net, EUR)", {"difference": str(total)})
    run(api, declared())
    assert run(api, declared())["diff"] == []

    gone = run(api, {"environment_name": "lab", "state": "absent", "confirm": "lab", "allow": ["volumes"]}, check=True)
    assert Decimal(gone["monthly_price"]["difference"]) == -total
    [server] = [entry for entry in gone["diff"] if entry["before_header"] == "server/app-01 delete"]
    assert re.fullmatch(r"server/app-01 delete \(destructive, -\d+\.\d\d EUR a month\)", server["after_header"])


def test_check_mode_of_nothing_to_do_is_not_changed(api: CloudApi) -> None:
    run(api, declared())
    assert run(api, declared(), check=True)["changed"] is False


def test_a_new_count_adds_one_server_and_touches_nothing_else(api: CloudApi) -> None:
    run(api, declared())
    grown = run(api, declared(servers={"app": {"count": 3}}))
    assert made(grown) == ["server/app-03 create", "server/app-03 attach", "server/app-03 power_on"]
    assert grown["servers"]["app-03"]["private_addresses"] == ["10.0.0.103"]

    shrunk = run(api, declared())
    assert shrunk["changed"] is False
    assert shrunk["undeclared"] == ["server/app-03"]
    gone = run(api, declared() | {"allow": ["server/app-03"]})
    assert made(gone) == ["server/app-03 delete"]
    assert "app-03" not in gone["servers"]
    assert run(api, declared())["undeclared"] == []


def test_drift_is_shown_and_mended(api: CloudApi) -> None:
    run(api, declared())
    [firewall] = api.get("/firewalls")["firewalls"]
    api.post(f"/firewalls/{firewall['id']}/actions/set_rules", rules=[])
    [network] = api.get("/networks")["networks"]
    api.post(f"/networks/{network['id']}/actions/delete_route", destination="0.0.0.0/0", gateway="10.0.0.2")
    [jobs] = api.get("/servers", name="jobs-01")["servers"]
    api.post(f"/servers/{jobs['id']}/actions/poweroff")
    api.settle()
    mended = run(api, declared())
    assert made(mended) == [
        "network/production-network add_route",
        "firewall/bastion-firewall set_rules",
        "server/jobs-01 power_on",
    ]
    assert run(api, declared())["changed"] is False


def test_a_volume_grows_and_a_type_changes_with_consent(api: CloudApi) -> None:
    run(api, declared())
    wanted = declared(servers={"db": {"volume_size": 150}, "jobs": {"type": "cax31"}})
    with pytest.raises(RefusedError, match="server/jobs-01 has the type cax21"):
        run(api, wanted)
    assert api.get("/volumes")["volumes"][0]["size"] == 100, "nothing was changed"
    assert made(run(api, wanted | {"allow": ["server/jobs-01"]})) == [
        "server/jobs-01 power_off",
        "server/jobs-01 change_type",
        "volume/db-primary-data resize",
        "volume/db-replica-data resize",
        "server/jobs-01 power_on",
    ]
    assert run(api, wanted)["changed"] is False


def test_a_role_that_grows_from_one_joins_its_group_with_consent(api: CloudApi) -> None:
    run(api, declared())
    wanted = declared(servers={"jobs": {"count": 2}})
    result = run(api, wanted)
    assert "server/jobs-01 is in placement group none, declared is jobs" in result["warnings"][0]
    assert made(run(api, wanted | {"allow": ["server/jobs-01"]})) == [
        "server/jobs-01 power_off",
        "server/jobs-01 join_group",
        "server/jobs-01 power_on",
    ]
    assert run(api, wanted)["warnings"] == []


def test_an_administrators_key_that_is_there_already_is_used(api: CloudApi) -> None:
    api.post("/ssh_keys", name="of somebody", public_key=SSH_KEY)
    api.post("/ssh_keys", name="other", public_key=OTHER_SSH_KEY)
    result = run(api, declared())
    assert not [step for step in made(result) if step.startswith("ssh_key/")]
    assert run(api, declared())["changed"] is False
    run(api, {"environment_name": "lab", "state": "absent", "confirm": "lab"})
    assert len(api.get("/ssh_keys")["ssh_keys"]) == 2


def test_two_environments_in_one_project(api: CloudApi) -> None:
    run(api, declared())
    with pytest.raises(RefusedError) as error:
        run(api, declared(environment="other"))
    assert "network/production-network: there is one of this name" in str(error.value)
    assert len(error.value.result["plan"]) >= 10, "every clash is told at once"
    assert run(api, declared())["changed"] is False


def test_absent_and_present_again_keeps_the_data(api: CloudApi) -> None:
    run(api, declared())
    volumes = {volume["id"] for volume in api.get("/volumes")["volumes"]}
    absent = {"environment_name": "lab", "state": "absent", "confirm": "lab"}
    gone = run(api, absent)
    assert gone["servers"] == {}
    assert gone["undeclared"] == ["volume/db-primary-data", "volume/db-replica-data"]
    assert run(api, absent)["changed"] is False
    for kind in ("servers", "networks", "firewalls", "placement_groups", "primary_ips", "ssh_keys"):
        assert api.get(f"/{kind}")[kind] == []

    run(api, declared())
    attached = {volume["id"] for volume in api.get("/volumes")["volumes"] if volume["server"]}
    assert attached == volumes
    run(api, absent | {"allow": ["volumes"]})
    assert api.get("/volumes")["volumes"] == []


def test_a_quiet_run_asks_little(api: CloudApi) -> None:
    run(api, declared())
    asked: list[str] = []

    class Counting(Client):
        def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
            asked.append(f"{method} {url}")
            return super().request(method, url, **kwargs)

    run(api, declared(), Counting(TOKEN, api.url))
    assert len(asked) == 11
    assert all(request.startswith("GET ") for request in asked)


def test_playbooks_make_and_destroy_the_lab(api: CloudApi, tmp_path: Path) -> None:
    shown = playbook(api, "provision.yml", "--check", "--diff")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "+++ after: server/app-01 create" in shown.stdout
    assert api.get("/servers")["servers"] == []

    first = playbook(api, "provision.yml", "-v")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed=1" in first.stdout
    assert TOKEN not in first.stdout + first.stderr
    assert len(api.get("/servers", label_selector="env=lab")["servers"]) == 7
    assert "changed=0" in playbook(api, "provision.yml").stdout

    unsure = playbook(api, "destroy.yml", "-e", "confirm=production")
    assert unsure.returncode != 0
    assert "confirm it with -e confirm=lab" in " ".join((unsure.stdout + unsure.stderr).split())
    assert len(api.get("/servers")["servers"]) == 7
    gone = playbook(api, "destroy.yml", "-e", json.dumps({"confirm": "lab", "allow": ["volumes"]}))
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert api.get("/servers")["servers"] == api.get("/volumes")["volumes"] == []


def test_a_wrong_token_is_one_sentence(api: CloudApi) -> None:
    wrong = base64.b16encode(b"not the token").decode()
    done = playbook(api, "provision.yml", token=wrong)
    assert done.returncode != 0
    assert "The API does not accept the token: check HCLOUD_TOKEN" in done.stdout + done.stderr
    assert wrong not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
