"""Each role alone on a fresh system: its molecule scenario from creation to destruction."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.checkout import ROOT, ansible_environment, tool

SCENARIOS = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: str, pytestconfig: pytest.Config) -> None:
    environment = ansible_environment()
    if pytestconfig.getoption("--full"):
        environment["BULWARK_FULL"] = "1"
    if "DOCKER_HOST" in os.environ:
        environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
    # The scenarios bring their own configuration of Ansible.
    del environment["ANSIBLE_CONFIG"]
    done = subprocess.run(
        [tool("molecule"), "-c", "molecule/base.yml", "test", "-s", scenario],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-6000:]


def test_every_role_has_a_scenario() -> None:
    roles = {path.name for path in (ROOT / "roles").iterdir() if path.is_dir()}
    elsewhere = {
        "verify",  # only reads, and is tried with hosts that fail it in tests/unit/verification
        "postgres",  # what the roles of a pair share: runs in their scenarios
        "postgres_upgrade",  # postgres_pair
        # What only the lab has: object storage, a load balancer, more releases than one.
        "postgres_backup",  # tests/real/test_7_database.py
        "load_balancer_target",  # tests/real/test_6_scaling.py
        "system_upgrade",  # tests/real/test_9_upgrades.py
    }
    assert roles - elsewhere == set(SCENARIOS)
