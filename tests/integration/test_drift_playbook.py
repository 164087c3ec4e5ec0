"""What drift.yml finds out about both embedded APIs, and that it leaves them as they are."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from tests.integration.playbooks import playbook
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import CloudflareApi

NONE, FAILED, FOUND, UNREACHABLE = 0, 2, 3, 4


@pytest.fixture
def cloudflare(tmp_path: Path) -> Iterator[CloudflareApi]:
    served = CloudflareApi(tmp_path)
    yield served
    served.close()


@pytest.fixture
def _made(api: CloudApi, cloudflare: CloudflareApi) -> None:
    for name in ("provision.yml", "edge.yml"):
        done = playbook(api, name, cloudflare=cloudflare)
        assert done.returncode == 0, done.stdout + done.stderr


def state(api: CloudApi, cloudflare: CloudflareApi) -> Any:
    kinds = (
        "servers",
        "networks",
        "firewalls",
        "volumes",
        "load_balancers",
        "certificates",
        "ssh_keys",
        "placement_groups",
    )
    return (
        {kind: api.get(f"/{kind}")[kind] for kind in kinds},
        {key: repr(record) for key, record in cloudflare.zone.records.items()},
    )


def act(api: CloudApi, path: str, **body: Any) -> None:
    api.post(path, **body)
    api.settle()


def drift(
    api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path, *words: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The run, and its report; the APIs are as before."""
    before = state(api, cloudflare)
    path = tmp_path / "reports" / "drift.json"
    done = playbook(api, "drift.yml", "-e", json.dumps({"drift_report_path": str(path)}), *words, cloudflare=cloudflare)
    assert state(api, cloudflare) == before
    assert path.is_file(), done.stdout + done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    report: dict[str, Any] = json.loads(path.read_text())
    assert done.stdout.rstrip().splitlines()[-1] == report["verdict"]
    return done, report


@pytest.mark.usefixtures("_made")
def test_what_is_as_declared_has_none(api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path) -> None:
    done, report = drift(api, cloudflare, tmp_path)
    assert done.returncode == NONE, done.stdout + done.stderr
    assert report["differences"] == report["not_looked_at"] == report["undeclared"] == []
    assert (report["drift"], report["complete"]) == (False, True)


def test_what_is_missing_altogether_is_told_with_its_price(
    api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path
) -> None:
    done, report = drift(api, cloudflare, tmp_path)
    assert done.returncode == FOUND, done.stdout + done.stderr
    assert {"server/app-01 create", "network/production-network create"} <= {
        item["what"] for item in report["differences"]
    }
    assert float(report["monthly_price"]["difference"]) > 50
    assert report["monthly_price"]["currency"] == "EUR"
    assert "PRIVATE KEY" not in done.stdout


@pytest.mark.usefixtures("_made")
def test_what_somebody_changed_is_named_and_left_alone(
    api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path
) -> None:
    (balancer,) = api.get("/load_balancers")["load_balancers"]
    act(api, f"/load_balancers/{balancer['id']}/actions/change_type", load_balancer_type="lb21")
    (firewall,) = api.get("/firewalls")["firewalls"]
    act(api, f"/firewalls/{firewall['id']}/actions/set_rules", rules=[])
    app = next(item for item in api.get("/servers")["servers"] if item["name"] == "app-01")
    act(api, f"/servers/{app['id']}/actions/poweroff")
    done, report = drift(api, cloudflare, tmp_path)
    assert done.returncode == FOUND, done.stdout + done.stderr
    whats = {item["what"]: item for item in report["differences"]}
    assert "22" in whats["firewall/bastion-firewall set_rules"]["diff"], whats.keys()
    assert whats["load_balancer/rails-lb change_type"]["monthly_price"].startswith("-")
    assert whats["server/app-01 power_on"]["host"] == "localhost"
    assert float(report["monthly_price"]["difference"]) < 0
    assert report["complete"]

    as_text = tmp_path / "drift.md"
    done = playbook(api, "drift.yml", "-e", json.dumps({"drift_report_path": str(as_text)}), cloudflare=cloudflare)
    assert done.returncode == FOUND
    assert "- load_balancer/rails-lb change_type (-" in as_text.read_text()


@pytest.mark.usefixtures("_made")
def test_what_site_would_refuse_is_drift_and_not_blindness(
    api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path
) -> None:
    """A volume that is bigger than declared cannot shrink: the plan stops, and the report says why."""
    volume = next(item for item in api.get("/volumes")["volumes"])
    act(api, f"/volumes/{volume['id']}/actions/resize", size=volume["size"] + 50)
    done, report = drift(api, cloudflare, tmp_path)
    assert done.returncode == FOUND, done.stdout + done.stderr
    assert any(volume["name"] in item["refused"] for item in report["differences"] if item["refused"])
    assert not report["complete"]  # the edge, which comes after it


@pytest.mark.usefixtures("_made")
def test_apis_that_do_not_answer_are_no_drift(api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path) -> None:
    cloudflare.token = "another"
    done, report = drift(api, cloudflare, tmp_path)
    assert done.returncode == FAILED, done.stdout + done.stderr
    assert report["not_looked_at"][0]["host"] == "localhost"
    assert "CLOUDFLARE_API_TOKEN" in report["not_looked_at"][0]["why"]
    assert not report["drift"]
    assert "Not everything could be looked at: localhost." in report["verdict"]


@pytest.mark.usefixtures("_made")
def test_a_server_nobody_declared_is_told_and_is_no_drift(
    api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path
) -> None:
    app = next(item for item in api.get("/servers")["servers"] if item["name"] == "app-01")
    labels = {key: value for key, value in app["labels"].items() if not key.startswith("role")}
    api.post("/servers", name="forgotten", server_type="cax11", image="debian-13", location="fsn1", labels=labels)
    api.settle()
    done, report = drift(api, cloudflare, tmp_path)
    assert done.returncode == NONE, done.stdout + done.stderr
    assert report["undeclared"] == ["server/forgotten"]
    assert "not declared, and left alone: server/forgotten" in done.stdout


def test_another_format_is_refused_first(api: CloudApi) -> None:
    done = playbook(api, "drift.yml", "-e", "drift_report_path=drift.pdf")
    assert done.returncode == FAILED
    assert "drift_report_path must end in .json or .md" in done.stdout
    assert not (ROOT / "drift.pdf").exists()


def test_a_run_without_its_callback_looks_at_nothing(api: CloudApi, tmp_path: Path) -> None:
    """Imported into a playbook elsewhere there would be no check mode and no report."""
    elsewhere = tmp_path / "mine.yml"
    elsewhere.write_text(f"- ansible.builtin.import_playbook: {ROOT}/playbooks/drift.yml\n")
    done = playbook(api, str(elsewhere))
    assert done.returncode == FAILED
    assert "Nothing has been looked at." in done.stdout
    assert api.get("/servers")["servers"] == api.get("/networks")["networks"] == []


@pytest.mark.usefixtures("_made")
def test_a_playbook_that_follows_in_the_same_run_is_carried_out(
    api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path
) -> None:
    other = tmp_path / "other.yml"
    said = {"ansible.builtin.debug": {"msg": "check mode: {{ ansible_check_mode }}, {{ carried_out is not skipped }}"}}
    tasks = [{"ansible.builtin.command": "true", "register": "carried_out", "changed_when": True}, said]
    other.write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]))
    done = playbook(api, "drift.yml", then=(str(other),), cloudflare=cloudflare)
    assert done.returncode == NONE, done.stdout + done.stderr
    assert "check mode: False, True" in done.stdout
    assert done.stdout.count("DRIFT **") == 1


def test_nothing_is_said_about_other_playbooks_of_the_folder(api: CloudApi) -> None:
    done = playbook(api, "provision.yml", "--check")
    assert done.returncode == NONE, done.stdout + done.stderr
    assert "DRIFT" not in done.stdout
