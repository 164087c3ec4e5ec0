"""Load balancers: HAProxy with real targets and users, in namespaces, beside a lab that may be up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.checkout import ROOT
from tests.driver.test_docker_driver import A_WORLD_OF_ITS_OWN


def test_haproxy_plays_a_load_balancer(tmp_path: Path) -> None:
    tests = "tests/driver/real_load_balancer.py"
    done = subprocess.run(
        [*A_WORLD_OF_ITS_OWN, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", tests],
        cwd=ROOT,
        env={**os.environ, "BULWARK_PREFIX": "trial-lb", "BULWARK_STATE": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 30, "most of them were left out"
