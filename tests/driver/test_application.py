"""The lab's application in real containers: one version after the other under a client that never stops asking.

Images, containers, network and port are of their own, so a lab that is up is not touched.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import engine
from lab.application import deploy
from lab.net import uplink
from tests.checkout import ROOT
from tests.driver.test_container_images import docker, loaded

PREFIX = f"bulwark-trial-application-{os.getpid()}"
PUBLISHED = f"127.0.0.1:{18000 + os.getpid() % 10000}"
SLOW = "/slow?seconds=0.03"

#: One request every 10 ms, every second one on a connection that stays, until its input ends. Prints what was answered.
CLIENT = """
import collections, concurrent.futures, http.client, json, sys, threading, time
address, path = sys.argv[1:]
answers, local = collections.Counter(), threading.local()
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

def ask(stay):
    try:
        kept = getattr(local, "kept", None) if stay else None
        # As a load balancer does, none that the other end may be about to close.
        if kept and time.monotonic() - local.used > 4:
            kept = None
        connection = kept or http.client.HTTPConnection(address, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        if stay:
            local.kept, local.used = None if answer.will_close else connection, time.monotonic()
        else:
            connection.close()
        answers[f"{answer.status} {answer.getheader('X-Version')}"] += 1
    except (OSError, http.client.HTTPException) as error:
        local.kept = None
        answers[type(error).__name__] += 1

with concurrent.futures.ThreadPoolExecutor(20) as pool:
    began, number = time.monotonic(), 0
    while not ended.is_set():
        pool.submit(ask, number % 2)
        number += 1
        time.sleep(max(0, began + number * 0.01 - time.monotonic()))
print(json.dumps(answers))
"""


STATUS = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=30)
connection.request("GET", sys.argv[2])
print(connection.getresponse().status)
"""


@dataclass
class Server:
    """A place to deploy on: the engine of the tests, entered where its ports are."""

    folder: Path
    image: str
    proxy_image: str

    def __post_init__(self) -> None:
        host = engine.find()
        assert host is not None
        self.environment = {**os.environ, "DOCKER_HOST": host, "PYTHONPATH": str(ROOT)}
        own = engine.own_pid() is not None
        self.enter = ["ip", "netns", "exec", uplink.ENGINE.namespace] if own else []
        (self.folder / "ca.crt").write_text("none\n")
        (self.folder / "application.env").write_text("DRAIN_SECONDS=0.2\n")

    def start(self, *words: str) -> subprocess.Popen[str]:
        options = [f"--prefix={PREFIX}", f"--folder={self.folder / 'state'}", f"--publish={PUBLISHED}"]
        program = [sys.executable, str(ROOT / "lab/application/deploy.py"), *options]
        return subprocess.Popen(
            [*self.enter, *program, f"--certificate={self.folder / 'ca.crt'}", *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def version(self, version: str, image: str = "") -> list[str]:
        images = [f"--image={image or self.image}", f"--proxy-image={self.proxy_image}", "--no-pull"]
        file = f"--env-file={self.folder / 'application.env'}"
        return ["deploy", f"--version={version}", *images, "--server=trial", file]

    def run(self, *words: str, code: int = 0) -> str:
        process = self.start(*words)
        said, _ = process.communicate(timeout=180)
        assert process.returncode == code, said
        return said.strip()

    def client(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.enter, sys.executable, "-c", CLIENT, PUBLISHED, SLOW],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def status(self, path: str) -> str:
        words = [*self.enter, sys.executable, "-c", STATUS, PUBLISHED, path]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def web(self) -> list[str]:
        return docker("ps", "--all", "--filter", f"name={PREFIX}-web", "--format", "{{.Names}}").split()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("application")
    folder.chmod(0o755)
    with ExitStack() as stack:
        names = [
            stack.enter_context(loaded(image, folder))[1]
            for image in ("bulwark/application", "bulwark/application-proxy")
        ]
        try:
            yield Server(folder, *names)
        finally:
            left = docker("ps", "--all", "--quiet", "--filter", f"name={PREFIX}").split()
            if left:
                docker("rm", "--force", *left)
            docker("network", "rm", PREFIX, check=False)


def test_the_images_are_what_their_tags_say(server: Server) -> None:
    assert docker("run", "--rm", "--network", "none", server.image, "--version") == "1"
    version = docker("run", "--rm", "--network", "none", server.proxy_image, "-v")
    assert version.startswith("HAProxy version 3.")


def test_versions_follow_each_other_without_a_request_that_fails(server: Server) -> None:
    server.run(*server.version("1"))
    assert server.run(*server.version("1")) == "unchanged"
    client = server.client()
    try:
        server.run(*server.version("2"))
        # Killed on the way, at moments that differ: the last one is repeated.
        for moment in (0.6, 1.2, 1.8, 2.4):
            process = server.start(*server.version("3"))
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        server.run(*server.version("3"))
        assert server.run(*server.version("3")) == "unchanged"
        said = server.run(*server.version("4", "no-such-image"), code=1)
        assert "there is no image no-such-image to be had" in said
        (server.folder / "application.env").write_text("PORT=none\n")
        said = server.run(*server.version("4"), code=1)
        assert "the new version ends as soon as it starts (PORT and DRAIN_SECONDS are numbers" in said
        assert f"{PREFIX}-web-3-" in said
    finally:
        (server.folder / "application.env").write_text("DRAIN_SECONDS=0.2\n")
        answers, _ = client.communicate("", timeout=60)
    counted = json.loads(answers)
    assert set(counted) == {"200 1", "200 2", "200 3"}, counted
    (left,) = server.web()
    assert left.startswith(f"{PREFIX}-web-3-")


def test_a_drained_server_answers_everything_but_its_health_check(server: Server) -> None:
    server.run(*server.version("3"))
    client = server.client()
    try:
        server.run("drain")
        assert server.status("/up") == "503"
        server.run("undrain")
        assert server.status("/up") == "200"
    finally:
        answers, _ = client.communicate("", timeout=60)
    assert set(json.loads(answers)) == {"200 3"}


def test_without_a_database_it_is_up_and_says_what_is_missing(server: Server) -> None:
    server.run(*server.version("3"))
    assert server.status("/up") == "200"
    assert server.status("/") == "503"


def test_containers_can_do_no_more_than_they_need(server: Server) -> None:
    server.run(*server.version("3"))
    (web,) = server.web()
    for name in (web, f"{PREFIX}-proxy"):
        status = docker("exec", name, "cat", "/proc/1/status")
        found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert found["Uid"].split() == ["65534"] * 4
        assert int(found["CapBnd"], 16) == 0
        assert found["NoNewPrivs"] == "1"
        assert "Read-only file system" in docker("exec", "--user", "0", name, "touch", "/trial", check=False)


def test_a_proxy_that_died_comes_back_to_the_same_version(server: Server) -> None:
    server.run(*server.version("3"))
    docker("restart", f"{PREFIX}-proxy")
    assert server.run(*server.version("3")) == "unchanged"
    assert server.status(SLOW) == "200"
    assert deploy.CONFIGURATION in docker("inspect", f"{PREFIX}-proxy")
