"""Container images: made by the lab, or, where it is asked for, pulled from where everybody gets them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT, ansible_environment, tool

APPLICATION = {"bulwark/application", "bulwark/application-proxy"}


def made(**environment: str) -> set[str]:
    """The images that `up` makes, in a process with this environment."""
    program = "import json; from lab import settings; print(json.dumps(settings.CONTAINER_IMAGES))"
    known = {name: value for name, value in os.environ.items() if name != "BULWARK_IMAGES"}
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=ROOT, env=known | environment, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_everything_is_made_unless_a_registry_is_asked_for() -> None:
    assert made() > APPLICATION
    assert "postgres" in made()
    assert made(BULWARK_IMAGES="registry") == APPLICATION


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """The lab's variables, for a host that takes no API to be known."""
    folder = tmp_path / "inventories/lab"
    shutil.copytree(ROOT / "inventories/lab/group_vars", folder / "group_vars")
    (folder / "hosts.yml").write_text("all: {hosts: {somebody: {ansible_connection: local}}}\n")
    (tmp_path / "roles").symlink_to(ROOT / "roles")
    return folder


NAMES = {
    "postgres": "postgres_version",
    "prom/prometheus": "monitoring_stack_prometheus_version",
    "prom/alertmanager": "monitoring_stack_alertmanager_version",
    "prom/blackbox-exporter": "monitoring_stack_blackbox_exporter_version",
    "prometheuscommunity/postgres-exporter": "monitoring_stack_postgres_exporter_version",
}


def variables(inventory: Path, versions: dict[str, str]) -> dict[str, Any]:
    """What roles are given when the lab has these versions of images."""
    asked = [*NAMES.values(), "monitoring_stack_parts", "alloy_enabled"]
    message = "{{ {" + ", ".join(f"'{name}': {name}" for name in asked) + "} }}"
    environment = ansible_environment(
        BULWARK_LAB_VERSIONS=json.dumps(versions), ANSIBLE_STDOUT_CALLBACK="json", ANSIBLE_LOAD_CALLBACK_PLUGINS="1"
    )
    (inventory.parent / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [{"debug": {"msg": message}}]}])
    )
    words = [tool("ansible-playbook"), "-i", str(inventory), str(inventory.parent / "play.yml")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["somebody"]["msg"]
    return told


def test_what_is_made_decides_versions_and_parts(inventory: Path) -> None:
    told = variables(inventory, {image: f"{number}.0" for number, image in enumerate(NAMES)})
    assert [told[name] for name in NAMES.values()] == ["0.0", "1.0", "2.0", "3.0", "4.0"]
    assert {"grafana", "loki"}.isdisjoint(told["monitoring_stack_parts"])
    assert told["alloy_enabled"] is False


def test_what_is_pulled_has_the_version_of_its_role_and_all_parts_run(inventory: Path) -> None:
    told = variables(inventory, dict.fromkeys(APPLICATION, "1"))
    of_roles = {}
    for role in ("postgres", "monitoring_stack"):
        of_roles |= yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
    assert {name: told[name] for name in NAMES.values()} == {name: of_roles[name] for name in NAMES.values()}
    assert set(told["monitoring_stack_parts"]) == set(of_roles["monitoring_stack_parts"])
    assert told["alloy_enabled"] is True
