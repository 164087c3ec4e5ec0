"""The commands of the README that lead to an environment of one's own, as they stand there, in a fresh clone.

What needs servers ends at the embedded API here, which makes none behind it; on the lab, `./bulwark up` runs the same
playbooks.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.awx_job import copy_project
from tests.checkout import ROOT
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi
from tests.lab.cloudflare_api import ZONE, CloudflareApi

ANSWERS = {
    "admin_addresses": "198.51.100.10",
    "admin_key": SSH_KEY,
    "image": "debian-13",
    "edge_zone": ZONE,
    "edge_zone_owned": "yes",
}


@pytest.fixture
def cloudflare(tmp_path: Path) -> Iterator[CloudflareApi]:
    folder = tmp_path / "cloudflare"
    folder.mkdir()
    served = CloudflareApi(folder)
    yield served
    served.close()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `git clone` gives, with the environment that the first command would make."""
    files = ("checkout.txt", "collections.txt", "../requirements.yml", "unpack_collections.py")
    wanted = hashlib.sha256(b"".join((ROOT / "requirements" / name).read_bytes() for name in files)).hexdigest()
    if (ROOT / ".venv/.wanted").read_text().split()[0] != wanted:
        pytest.skip("the checkout's environment is not of its requirements: ./bulwark setup")
    copy_project(tmp_path / "clone")
    (tmp_path / "clone/.venv").symlink_to((ROOT / ".venv").resolve())
    return tmp_path / "clone"


def documented() -> list[str]:
    """The commands of the README from tokens to the first verified run."""
    section = (ROOT / "README.md").read_text().partition("\n## Use it\n")[2]
    (block, *_) = re.findall(r"```console\n(.*?)```", section, re.S)
    return str(block).splitlines()


def test_from_tokens_to_servers(api: CloudApi, cloudflare: CloudflareApi, clone: Path, tmp_path: Path) -> None:
    commands = documented()
    assert len(commands) == 5, commands
    assert commands[0].startswith("export ")
    assert commands[1].startswith("./bulwark init ")
    assert commands[4].endswith(" playbooks/site.yml")
    (tmp_path / "home").mkdir()
    (tmp_path / "answers.yml").write_text(yaml.safe_dump(ANSWERS))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HCLOUD_ENDPOINT": api.url,
        "CLOUDFLARE_API_ENDPOINT": cloudflare.url,
    }

    def type_in(*lines: str) -> str:
        done = subprocess.run(
            ["bash", "-e"],
            input="\n".join((f"export HCLOUD_TOKEN={TOKEN} CLOUDFLARE_API_TOKEN={cloudflare.token}", *lines)),
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=900,  # only ends what hangs
        )
        assert done.returncode == 0, done.stdout[-8000:]
        return done.stdout

    said = type_in(f"{commands[1]} --answers {tmp_path}/answers.yml")
    told = [line.strip() for line in said.partition("Next, see the plan, and carry it out:\n")[2].splitlines()[:3]]
    assert [line.replace(" -i inventories/production", "") for line in told] == commands[2:]

    with pytest.raises(AssertionError) as refused:
        type_in(told[2])
    sentence = (
        "vault.yml is encrypted, and no password that was given opens it: name the file that holds its password in"
    )
    assert sentence in " ".join(str(refused.value).split())
    assert api.get("/servers")["servers"] == []

    plan = type_in(told[0], told[1])
    assert "app-02" in plan
    assert api.get("/servers")["servers"] == []
    # The last one rehearsed: whatever comes after a server is left out until there is one, and nothing ends it.
    rehearsed = type_in(told[0], f"{told[2]} --check --diff")
    assert "There is no server" not in rehearsed
    assert api.get("/servers")["servers"] == []
    assert cloudflare.zone.records == {}
