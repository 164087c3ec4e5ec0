#!/usr/bin/env python3
"""The pictures in docs/images, taken by Chromium from the running lab. With the lab up, all targets too:

    .venv/bin/python tests/screenshots.py

Needs the Debian package chromium. Takes the page of Prometheus' targets, through the tunnel of ./bulwark open, and the
report that the last run of verify.yml wrote.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.checkout import ROOT

IMAGES = ROOT / "docs/images"
WIDTH = 1280
#: Nothing that talks to anybody but the page; no service of a desktop.
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    "--virtual-time-budget=10000",
)


def take(url: str, name: str, height: int) -> None:
    path = IMAGES / name
    with tempfile.TemporaryDirectory() as profile:
        words = ["chromium", *_FLAGS, f"--user-data-dir={profile}", f"--window-size={WIDTH},{height}"]
        subprocess.run([*words, f"--screenshot={path}", url], check=True, capture_output=True, timeout=120)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KiB")


@contextmanager
def opened(page: str) -> Iterator[str]:
    """A page of the lab's monitoring at a port of this machine."""
    process = subprocess.Popen(
        ["./bulwark", "open", page], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        said = process.stdout.readline().split()
        if not said:
            sys.exit("the lab's monitoring cannot be reached; ./bulwark up starts it")
        yield said[0]
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def main() -> None:
    if not shutil.which("chromium"):
        sys.exit("Chromium is missing: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with opened("prometheus") as url:
        # Debian's Prometheus has its pages there; those of its makers lie at /targets.
        take(f"{url}classic/targets", "prometheus-targets.png", 2150)
    take((ROOT / "reports/reachability-lab.html").as_uri(), "verification.png", 816)


if __name__ == "__main__":
    main()
