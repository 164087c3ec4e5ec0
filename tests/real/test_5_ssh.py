"""SSH on every server: its algorithms by ssh-audit's policy, and what the bastion passes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab import lifecycle
from tests.checkout import ROOT
from tests.launcher import launcher, succeed
from tests.real.test_1_first_run import BASTION, PRIVATE
from tests.real.test_4_reachability import place_of


@pytest.mark.parametrize("host", [*PRIVATE, BASTION])
def test_sshd_passes_the_policy_for_its_distribution(host: str) -> None:
    """Asked at the server's own loopback, where no firewall is in the way."""
    found = lifecycle.api(f"/servers?name={host}")["servers"][0]
    program = ROOT / "molecule/server_baseline/files/audit.py"
    words = [*place_of(host, found["id"]).words, sys.executable, str(program), "Hardened Debian 13 (version 1)"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert "Passed" in answer.stdout


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client configuration that people get, which knows the way to every server."""
    folder = tmp_path_factory.mktemp("ssh")
    succeed("run", "playbooks/ssh_config.yml", "-e", f"ssh_config_directory={folder}")
    return folder / "bulwark-lab"


def forwarded(config: Path, host: str, target: str) -> str:
    """What comes back when the administrator asks a server to connect him with an address and port."""
    return launcher("shell", feed=f"timeout 20 ssh -n -F {config} -o BatchMode=yes -W {target} {host} 2>&1; true").text


def test_the_bastion_forwards_to_flows_only(config: Path) -> None:
    assert "SSH-2.0" in forwarded(config, BASTION, "10.0.0.3:22")
    # Nothing listens there yet: the bastion tried, and the server itself refused.
    assert "prohibited" not in forwarded(config, BASTION, "10.0.0.8:9090")
    for target in ("10.0.0.3:80", "10.0.0.8:9100", "198.51.100.80:80", "127.0.0.1:22", "10.0.0.99:22"):
        assert "administratively prohibited" in forwarded(config, BASTION, target), target


def test_a_private_server_forwards_nothing(config: Path) -> None:
    assert "app-01" in launcher("shell", feed=f"ssh -n -F {config} -o BatchMode=yes app-01 hostname").text
    for target in ("10.0.0.6:5432", "127.0.0.1:22"):
        assert "administratively prohibited" in forwarded(config, "app-01", target), target
