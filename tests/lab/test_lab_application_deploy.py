"""The deployment of the lab's application, on an engine that is a few dictionaries.

After every command that the engine carries out, whoever the proxy sends requests to must be running.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lab.application import deploy

PROXY = "application-proxy"


class KilledError(BaseException):
    """The deployment was killed: nothing of it may catch this."""


class Engine:
    """Docker and the proxy's program, as far as a deployment asks them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: By tag: an ID, and whether what is inside answers.
        self.images = {"web:1": ("sha256:one", True), "proxy:3": ("sha256:proxy", True)}
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: list[str] = ["bridge"]
        #: The configuration that the proxy has read, and how often it is asked until its former worker ends.
        self.loaded = ""
        self.former, self.old_workers = "", 0
        #: A container to which requests fail anyhow.
        self.broken = ""
        self.refuses_configuration = False
        self.commands: list[tuple[str, ...]] = []
        #: Number of the command that is not carried out any more, or whose answer is not heard any more.
        self.kill_before = self.kill_after = 0

    def docker(self, *words: str, errors_too: bool = False) -> str:
        self.commands.append(words)
        if len(self.commands) == self.kill_before:
            raise KilledError
        answer = self._do(words)
        self.check()
        if len(self.commands) == self.kill_after:
            raise KilledError
        return answer

    def check(self) -> None:
        """No request may go to somebody who is not there."""
        if PROXY not in self.containers:
            return
        for target in {self.target(), self.former if self.old_workers else ""} - {"", self.broken}:
            assert self.containers[target]["State"]["Running"], f"the proxy sends to {target}, which was stopped"

    def target(self) -> str:
        found = re.search(r"server web (\S+):3000", self.loaded)
        return found[1] if found else ""

    def _do(self, words: tuple[str, ...]) -> str:
        match words:
            case ("pull", _, image) | ("image", "inspect", _, _, image):
                if image not in self.images:
                    raise deploy.DeployError(f"{image} not found")
                return self.images[image][0]
            case ("network", "ls", *_):
                return "\n".join(self.networks)
            case ("network", "create", name):
                self.networks.append(name)
            case ("ps", *_, chosen):
                key, _, value = chosen.removeprefix("label=").partition("=")
                labels = {name: one["Config"]["Labels"] for name, one in self.containers.items()}
                return "\n".join(name for name, has in labels.items() if has.get(key) == value)
            case ("inspect", *names):
                return json.dumps([self.containers[name] for name in names])
            case ("run", *options):
                self._run(options)
            case ("exec", _, "sh", "-c", told):
                return self._told(told)
            case ("stop", _, _, *names):
                for name in names:
                    self.containers[name]["State"]["Running"] = False
            case ("rm", *names):
                for name in names:
                    self.containers.pop(name, None)
            case ("image", "rm", former):
                assert all(one["Image"] != former for one in self.containers.values())
            case ("logs", *_):
                return "no port\n"
            case _:
                raise AssertionError(f"unexpected: {words}")
        return ""

    def _run(self, options: Sequence[str]) -> None:
        if "--rm" in options:
            assert (self.folder / "proxy/next.cfg").exists()
            if self.refuses_configuration:
                raise deploy.DeployError("line 7")
            return
        name, image = options[options.index("--name") + 1], options[-1]
        assert name not in self.containers
        labels = [options[at + 1] for at, word in enumerate(options) if word == "--label"]
        identity, works = next(found for tag, found in self.images.items() if image in (tag, found[0]))
        self.containers[name] = {
            "Name": f"/{name}",
            "Image": identity,
            "State": {"Running": works is not None},
            "RestartCount": 0,
            "NetworkSettings": {"Networks": {"application": {"IPAddress": name}}},
            "Config": {"Labels": dict(label.split("=", 1) for label in labels)},
            "works": works,
            "version": next((word[8:] for word in options if word.startswith("VERSION=")), ""),
        }
        if name == PROXY:
            self.loaded = (self.folder / "proxy/haproxy.cfg").read_text()

    def _told(self, told: str) -> str:
        assert PROXY in self.containers
        if "reload" in told:
            self.former, self.old_workers = self.target(), 2
            self.loaded = (self.folder / "proxy/haproxy.cfg").read_text()
            return "Success=1\n"
        if "show env" in told:
            return "DEPLOYMENT=" + re.findall(r"setenv DEPLOYMENT (\S+)", self.loaded)[0] + "\n"
        assert "show proc" in told
        self.old_workers = max(0, self.old_workers - 1)
        old = "33 worker 1 0d00h00m43s 3.0\n" * self.old_workers
        return f"#<PID> <type>\n1 master 5 0d 3.0\n# workers\n40 worker 0 0d 3.0\n# old workers\n{old}# programs\n\n"

    def ask(self, url: str) -> tuple[int, str]:
        host = url.removeprefix("http://").partition(":")[0]
        if host != "127.0.0.1":
            one = self.containers[host]
            return (200, one["version"]) if one["works"] and one["State"]["Running"] else (0, "")
        if "if { path /up }" in self.loaded:
            return 503, ""
        return self.ask(f"http://{self.target()}:3000/up") if self.target() else (503, "")


class Server:
    """A server with an engine, to deploy on."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(folder / "state")
        (folder / "ca.crt").write_text("certificate")
        (folder / "database.env").write_text("DATABASE_URL=postgresql://u:secret-password@h/d\n")
        self.site = deploy.Site(
            folder=folder / "state", certificate=folder / "ca.crt", environment_files=(folder / "database.env",)
        )
        self.site.folder.mkdir()
        self.said: list[str] = []

    def deploy(self, version: str, image: str = "web:1") -> int:
        """How many changes it made."""
        made = deploy.Deployment(self.site, self.said.append)
        made.deploy(deploy.Release(version, image, "proxy:3", "app-01"))
        return made.changes

    def drain(self, drained: bool = True) -> int:
        made = deploy.Deployment(self.site, self.said.append)
        made.set_drained(drained)
        return made.changes

    def up(self) -> tuple[int, str]:
        return self.engine.ask("http://127.0.0.1:80/up")

    def web(self) -> list[str]:
        return [name for name in self.engine.containers if name != PROXY]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server(tmp_path)
    monkeypatch.setattr(deploy, "docker", made.engine.docker)
    monkeypatch.setattr(deploy, "ask", made.engine.ask)
    monkeypatch.setattr(deploy, "HEALTHY_SECONDS", 0)
    monkeypatch.setattr(deploy, "_POLL_SECONDS", 0)
    return made


def test_a_version_is_deployed_once(server: Server) -> None:
    assert server.deploy("1") == 3
    assert server.up() == (200, "1")
    assert server.deploy("1") == 0
    assert server.web() == [server.engine.target()]


def test_the_version_that_is_there_is_known(server: Server) -> None:
    assert deploy.Deployment(server.site).version() == ""
    server.deploy("2.1-rc_3")
    assert deploy.Deployment(server.site).version() == "2.1-rc_3"


def test_another_version_takes_over_and_the_former_one_goes(server: Server) -> None:
    server.deploy("1")
    (former,) = server.web()
    assert server.deploy("2") == 3
    assert server.up() == (200, "2")
    (name,) = server.web()
    assert name.startswith("application-web-2-")
    assert server.said[-1] == f"stopped and removed {former}"
    # Back again is a deployment like any other.
    assert server.deploy("1") == 3
    assert server.web() == [former]


@pytest.mark.parametrize("side", ["kill_before", "kill_after"])
def test_killed_anywhere_and_repeated_it_ends_right(server: Server, side: str) -> None:
    version = 1
    number = 0
    while True:
        number += 1
        server.engine.commands.clear()
        setattr(server.engine, side, number)
        try:
            server.deploy(str(version))
        except KilledError:
            setattr(server.engine, side, 0)
            server.deploy(str(version))
        else:
            break
        finally:
            setattr(server.engine, side, 0)
        assert server.up() == (200, str(version))
        assert server.web() == [server.engine.target()]
        assert server.deploy(str(version)) == 0
        version += 1
    assert number > 15, "it was killed fewer times than there are commands"


def test_the_version_after_a_killed_one_ends_right_as_well(server: Server) -> None:
    server.deploy("1")
    for number in range(1, 25):
        server.engine.commands.clear()
        server.engine.kill_after = number
        with suppress(KilledError):
            server.deploy(f"half-{number}")
        server.engine.kill_after = 0
        server.deploy(f"next-{number}")
        assert server.up() == (200, f"next-{number}")
        assert server.web() == [server.engine.target()]


@pytest.mark.parametrize(
    ("works", "said"),
    [
        (False, r"the new version does not answer 200 at /up within 0 s; (\S+) serves on"),
        (None, r"the new version ends as soon as it starts \(no port\); (\S+) serves on"),
    ],
)
def test_a_version_that_does_not_work_leaves_the_former_one(server: Server, works: bool | None, said: str) -> None:
    server.deploy("1")
    before = server.web()
    server.engine.images["web:bad"] = ("sha256:bad", works)
    with pytest.raises(deploy.DeployError, match=said):
        server.deploy("2", "web:bad")
    assert server.web() == before
    assert server.up() == (200, "1")
    assert server.deploy("1") == 0


def test_the_first_version_may_be_the_bad_one(server: Server) -> None:
    server.engine.images["web:bad"] = ("sha256:bad", False)
    with pytest.raises(deploy.DeployError, match="nothing else is deployed here"):
        server.deploy("1", "web:bad")
    assert not server.engine.containers
    server.deploy("1")
    assert server.up() == (200, "1")


def test_an_image_that_is_not_there_changes_nothing(server: Server) -> None:
    server.deploy("1")
    before = server.web()
    with pytest.raises(deploy.DeployError, match=r"no image web:9 to be had \(web:9 not found\); application-web-1-"):
        server.deploy("2", "web:9")
    assert server.web() == before


def test_a_configuration_that_the_proxy_refuses_is_not_put_in_place(server: Server) -> None:
    server.deploy("1")
    server.engine.refuses_configuration = True
    before = (server.site.configuration / "haproxy.cfg").read_text()
    with pytest.raises(deploy.DeployError, match=r"the proxy refuses its new configuration \(line 7\)"):
        server.deploy("2")
    assert (server.site.configuration / "haproxy.cfg").read_text() == before
    assert server.up() == (200, "1")
    server.engine.refuses_configuration = False
    server.deploy("2")
    assert server.up() == (200, "2")


def test_what_the_files_hold_is_part_of_a_version(server: Server) -> None:
    server.deploy("1")
    before = server.web()
    server.site.environment_files[0].write_text("DATABASE_URL=postgresql://u:another-password@h/d\n")
    assert server.deploy("1") == 3
    assert server.web() != before
    server.site.certificate.write_text("another")
    assert server.deploy("1") == 3
    # The same tag with something else inside.
    server.engine.images["web:1"] = ("sha256:two", True)
    assert server.deploy("1") == 3
    assert ("image", "rm", "sha256:one") in server.engine.commands
    assert server.deploy("1") == 0


def test_no_secret_is_an_argument(server: Server) -> None:
    server.deploy("1")
    server.deploy("2")
    assert not any("secret-password" in word for words in server.engine.commands for word in words)
    assert "secret-password" not in " ".join(server.said)


def test_a_container_that_works_no_more_is_made_again(server: Server) -> None:
    server.deploy("1")
    (name,) = server.web()
    server.engine.containers[name]["works"] = False
    server.engine.broken = name
    server.deploy("1")
    assert server.up() == (200, "1")


def test_a_proxy_that_is_gone_or_another_is_started(server: Server) -> None:
    server.deploy("1")
    del server.engine.containers[PROXY]
    assert server.deploy("1") == 1
    server.engine.images["proxy:3"] = ("sha256:newer", True)
    assert server.deploy("1") == 1
    assert server.engine.containers[PROXY]["Image"] == "sha256:newer"
    assert server.up() == (200, "1")


def test_a_drained_server_fails_its_health_check_until_it_is_taken_back(server: Server) -> None:
    with pytest.raises(deploy.DeployError, match="nothing is deployed on this server"):
        server.drain()
    server.deploy("1")
    target = server.engine.target()
    assert server.drain() == 1
    assert server.up() == (503, "")
    assert server.engine.target() == target, "requests are answered all the time"
    assert server.drain() == 0
    # A deployment does not take it back.
    server.deploy("2")
    assert server.up() == (503, "")
    assert "drained" in " ".join(server.said)
    assert server.drain(False) == 1
    assert server.up() == (200, "2")


def test_what_must_be_there_is_missed_before_the_first_change(server: Server) -> None:
    server.site.environment_files[0].unlink()
    with pytest.raises(deploy.DeployError, match=r"database\.env is missing: run site\.yml first"):
        server.deploy("1")
    assert not server.engine.commands


def test_one_deployment_at_a_time(server: Server) -> None:
    with deploy.alone(server.site), pytest.raises(deploy.DeployError, match="another deployment is under way"):  # noqa: SIM117 because the second is what must fail
        with deploy.alone(server.site):
            pass


def test_a_program_that_fails_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--folder={tmp_path}", f"--certificate={tmp_path / 'ca.crt'}", "deploy", "--version=1"]
    assert deploy.main([*words, "--image=x", "--proxy-image=y", "--server=z"]) == 1
    said = capsys.readouterr()
    assert said.err == f"{tmp_path}/ca.crt is missing: run site.yml first, whose role database_client puts it there\n"
    with pytest.raises(SystemExit):
        deploy.main(["deploy", "--version=a b", "--image=x", "--proxy-image=y", "--server=z"])
    assert "letters, digits" in capsys.readouterr().err
