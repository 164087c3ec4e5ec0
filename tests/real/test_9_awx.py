"""Every template of AWX on the lab, each as a job that begins with nothing and leaves nothing behind.

Those that lose nothing are run, in the order of the file; those that somebody must approve first are run in check mode.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import settings
from tests.checkout import ROOT
from tests.launcher import launcher

TEMPLATES: dict[str, dict[str, Any]] = {
    template["name"]: template
    for template in yaml.safe_load((ROOT / "awx/job_templates.yml").read_text())["awx_job_templates"]
}
#: What a person enters where the survey has no answer of its own.
ANSWERS = {"confirm": "lab"}
#: Templates with nothing to do on a lab where all is well, and how they say so.
REFUSED = {
    "failover": "is primary and answers, so there is nothing to take over",
}
#: Templates that must find nothing to change when the lab is as it should be.
UNCHANGING = {"provision", "provision, plan", "provision with losses", "edge", "converge", "verify", "drift"}
#: The one that runs each time: it takes servers, secrets and the cloud's API.
ALWAYS = "verify"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: sockets live below it, whose names the system limits."""
    made = Path(tempfile.mkdtemp(prefix="awx-"))
    yield made
    shutil.rmtree(made)


def files() -> dict[Path, tuple[int, int]]:
    """Files of the controller that a run of these playbooks writes when it is not AWX's."""
    places = [Path.home() / ".ssh", settings.STATE / "ssh", ROOT / "reports", ROOT / "inventories", ROOT / "playbooks"]
    found: dict[Path, tuple[int, int]] = {}
    for place in places:
        for parent, _, names in os.walk(place):
            for name in names:
                path = Path(parent, name)
                if "__pycache__" not in path.parts and path.exists():
                    found[path] = (path.stat().st_mtime_ns, path.stat().st_size)
    return found


def answers(template: dict[str, Any]) -> dict[str, Any]:
    """The survey's variables as AWX gives them to the job."""
    given = {}
    for question in template.get("survey", []):
        name = question["variable"]
        given[name] = question.get("default", ANSWERS.get(name, ""))
        assert given[name] or not question["required"], (
            f"{template['name']} asks for {name}: an answer in ANSWERS, please"
        )
    return given


def rehearsed(template: dict[str, Any]) -> bool:
    return bool(template.get("job_type") == "check" or template.get("needs_approval"))


@pytest.mark.parametrize(
    "name", [name if name == ALWAYS else pytest.param(name, marks=pytest.mark.full) for name in TEMPLATES]
)
def test_a_job_begins_with_nothing_and_leaves_nothing(folder: Path, name: str) -> None:
    template = TEMPLATES[name]
    before = files()
    words = [sys.executable, "-m", "tests.awx_job", str(folder), template["playbook"], json.dumps(answers(template))]
    words += ["--check"] if rehearsed(template) else []
    said = launcher(
        "shell", feed=f"export BULWARK_STATE={shlex.quote(str(settings.STATE))}\nexec {shlex.join(words)}\n"
    )
    assert said.text, said.code
    result = json.loads(said.text.splitlines()[-1])
    if name in REFUSED:
        assert result["status"] == "failed", said.text[-8000:]
        assert REFUSED[name] in " ".join(said.text.split())
    else:
        assert result["status"] == "successful", said.text[-8000:]
        assert not result["stats"]["failures"]
        assert not result["stats"]["dark"]
        assert result["stats"]["ok"]
    if name in UNCHANGING:
        assert not result["stats"]["changed"], said.text[-8000:]
    after = files()
    assert [path for path, state in after.items() if before.get(path) != state] == []
