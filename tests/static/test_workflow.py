"""The public continuous integration runs what a person runs, by a file that its host can read."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT
from tests.tools import tools

FILE = ROOT / ".github/workflows/ci.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    read: dict[Any, Any] = yaml.safe_load(FILE.read_text())
    return read


def schema_says(file: Path) -> subprocess.CompletedProcess[str]:
    words = [str(tools() / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(file)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_is_what_the_schema_of_its_host_allows() -> None:
    done = schema_says(FILE)
    assert done.returncode == 0, done.stdout


def test_the_schema_refuses_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "ci.yml"
    wrong.write_text(FILE.read_text().replace("runs-on:", "run-on:"))
    done = schema_says(wrong)
    assert done.returncode == 1
    assert "runs-on" in done.stdout


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_runs_all_checks_on_the_system_that_servers_have(workflow: dict[Any, Any]) -> None:
    assert {job["runs-on"] for job in workflow["jobs"].values()} == {"ubuntu-24.04"}
    assert commands(workflow["jobs"]["test"])[0].split()[:2] == ["./bulwark", "test"]
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["images"] == ["lab", "registry"]
    assert workflow["jobs"]["test"]["env"]["BULWARK_IMAGES"] == "${{ matrix.images }}"
    # What YAML 1.1 takes for a truth value.
    assert {"push", "pull_request"} <= workflow[True].keys()


def test_publishes_only_what_was_tagged_and_passed(workflow: dict[Any, Any]) -> None:
    artefact = workflow["jobs"]["artefact"]
    assert artefact["needs"] == "test"
    assert artefact["if"] == "github.ref_type == 'tag'"
    assert commands(artefact)[0] == './bulwark release build "$TAG"'
    # Nobody else may write.
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name, job in workflow["jobs"].items() if "permissions" in job] == ["artefact"]


def test_no_text_from_outside_gets_into_a_shell(workflow: dict[Any, Any]) -> None:
    scripts = [script for job in workflow["jobs"].values() for script in commands(job)]
    assert scripts
    assert [script for script in scripts if "${{" in script] == []


def test_every_launcher_command_exists(workflow: dict[Any, Any]) -> None:
    usage = subprocess.run(
        [ROOT / "bulwark", "help"], capture_output=True, text=True, check=True, env=dict(os.environ)
    ).stdout
    known = set(re.findall(r"^  ([a-z]+) ", usage, re.M))
    used = {
        found
        for job in workflow["jobs"].values()
        for script in commands(job)
        for found in re.findall(r"\./bulwark (\S+)", script)
    }
    assert used
    assert used <= known
