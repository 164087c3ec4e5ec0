"""The very tests that describe the cloud's API, with the driver that makes everything real.

They run beside the lab: in a network namespace of their own, so that addresses and tables are theirs, with a prefix of
their own for containers, which share the lab's Docker Engine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from lab import engine
from tests.checkout import ROOT

#: A network and a folder of named namespaces that end with the command run in them.
A_WORLD_OF_ITS_OWN = (
    *("unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc"),
    'mount -t tmpfs tmpfs /run/netns; ip link set lo up; exec "$@"',
    "sh",
)


def test_the_real_driver_does_what_the_api_promises(tmp_path: Path) -> None:
    host = engine.find()
    assert host is not None
    done = subprocess.run(
        [*A_WORLD_OF_ITS_OWN, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/lab"],
        cwd=ROOT,
        env={
            **os.environ,
            "DOCKER_HOST": host,
            "BULWARK_TEST_DRIVER": "docker",
            "BULWARK_PREFIX": "trial",
            "BULWARK_STATE": str(tmp_path),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) > 100, "most of them were left out"
