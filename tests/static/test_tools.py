"""The checkers' opinion of the whole checkout."""

from __future__ import annotations

import subprocess

import pytest

from tests.checkout import ROOT, ansible_environment, tool


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([tool("ruff"), "check", "."], id="ruff-check"),
        pytest.param([tool("ruff"), "format", "--check", "."], id="ruff-format"),
        pytest.param([tool("mypy"), "lab"], id="mypy-lab"),
        pytest.param(
            [tool("mypy"), "-p", "ansible_collections.bulwark.hetzner.plugins"],
            id="mypy-plugins",
        ),
        pytest.param([tool("mypy"), "playbooks/callback_plugins"], id="mypy-callback-beside-playbooks"),
        pytest.param(
            [
                tool("ansible-lint"),
                "-q",
                "playbooks",
                "roles",
                "molecule",
                "inventories",
                "awx",
                "lab/application",
                "meta",
                "galaxy.yml",
            ],
            id="ansible-lint",
        ),
        pytest.param(["bash", "-n", "bulwark"], id="launcher-syntax"),
    ],
)
def test_checker_is_content(words: list[str]) -> None:
    # Not the production inventory: it would ask for a token.
    environment = ansible_environment(ANSIBLE_INVENTORY="/dev/null")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
