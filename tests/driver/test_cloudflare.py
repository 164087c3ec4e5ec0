"""The embedded Cloudflare's names and edge, on an embedded internet that is made for it beside the lab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT
from tests.driver.test_docker_driver import A_WORLD_OF_ITS_OWN


def test_names_and_edge_on_an_internet_of_their_own(tmp_path: Path) -> None:
    words = ["-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/driver/world_cloudflare.py"]
    done = subprocess.run(
        [*A_WORLD_OF_ITS_OWN, sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "BULWARK_PREFIX": "edge", "BULWARK_STATE": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 5, "most of them were left out"
