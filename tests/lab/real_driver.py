"""The driver that makes servers real, for the conformance tests.

They run in a network of their own, with a prefix of their own (see tests/real/test_0_driver.py): a lab that is up is
not touched.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from lab import settings
from lab.drivers.docker import driver, load_balancers, volumes
from lab.drivers.docker.driver import DockerDriver
from lab.net import internet, router


def _say(text: str) -> None:
    print(text)


@cache
def _internet() -> None:
    """The embedded internet, made for the first test and removed after the last one."""
    assert settings.PREFIX != "bulwark", "these tests must not touch a lab that is up: set BULWARK_PREFIX"
    driver.remove_containers(_say)  # of a run that was killed
    atexit.register(internet.down)
    internet.up()


@contextmanager
def docker_driver() -> Iterator[DockerDriver]:
    _internet()
    made = DockerDriver()
    try:
        yield made
    finally:
        driver.remove_containers(_say)
        load_balancers.delete_all()
        for network_id in router.present():
            router.delete(network_id)
        volumes.forget_all()
