#!/usr/bin/env python3
"""Deploys one version of the application on this server, as Kamal does: start, wait, switch, drain, remove.

Needs root and Docker. May be killed at any point and repeated. Prints what it did, or "unchanged".
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from string import Template
from typing import Any

TEMPLATE = Path(__file__).with_name("haproxy.cfg")
CERTIFICATE = Path("/etc/bulwark/database/ca.crt")
CONFIGURATION = "/etc/application-proxy"
SOCKET = "/run/application-proxy/master.sock"

FIRST_VERSION = "1"
HEALTHY_SECONDS = 30
#: What requests that are under way may take, those that only read slowly included.
DRAIN_SECONDS = 60
#: For Docker, beyond what the container itself may take.
DOCKER_SECONDS = 300
_POLL_SECONDS = 0.1

#: What both containers do without.
_CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
_KEPT = ("--detach", "--restart", "unless-stopped", "--log-opt", "max-size=10m", "--log-opt", "max-file=3")


class DeployError(Exception):
    """Nothing more can be done here; the message is one sentence that says why, and what serves now."""


@dataclass(frozen=True)
class Site:
    """Where things are on a server. Tests have their own beside others'."""

    #: Begins the names of containers; the network's name.
    prefix: str = "application"
    folder: Path = Path("/var/lib/bulwark-application")
    #: Address and port of the host, or only the port, at which the proxy is published.
    publish: str = "80"
    #: Files with the environment: of the database, and others.
    environment_files: tuple[Path, ...] = ()
    certificate: Path = CERTIFICATE
    pull: bool = True

    @property
    def proxy(self) -> str:
        return f"{self.prefix}-proxy"

    @property
    def label(self) -> str:
        return f"bulwark.application={self.prefix}"

    @property
    def configuration(self) -> Path:
        return self.folder / "proxy"

    @property
    def url(self) -> str:
        return f"http://{self.publish}" if ":" in self.publish else f"http://127.0.0.1:{self.publish}"


@dataclass(frozen=True)
class Release:
    """What is to run."""

    version: str
    image: str
    proxy_image: str
    server: str


@dataclass(frozen=True)
class State:
    """What the proxy should do: the container that gets the requests, and whether it tells others to go elsewhere."""

    target: str = ""
    drained: bool = False


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it."""

    name: str
    image: str
    running: bool
    restarts: int
    address: str
    made_for: str


def docker(*words: str, errors_too: bool = False) -> str:
    """What a command of Docker's printed. Raises DeployError with its last words."""
    try:
        done = subprocess.run(
            ["docker", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors_too else subprocess.PIPE,
            text=True,
            check=False,
            timeout=DOCKER_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"docker {words[0]} did not end within {DOCKER_SECONDS} s") from None
    if done.returncode != 0:
        raise DeployError(f"docker {words[0]} failed: {_last_words(done.stderr or done.stdout)}")
    return done.stdout.strip()


def containers(label: str) -> list[Container]:
    """All containers with a label, running or not."""
    listed = docker("ps", "--all", "--quiet", "--filter", f"label={label}").split()
    return [_container(one) for one in json.loads(docker("inspect", *listed))] if listed else []


def _container(described: dict[str, Any]) -> Container:
    networks = described["NetworkSettings"]["Networks"].values()
    return Container(
        name=described["Name"].removeprefix("/"),
        image=described["Image"],
        running=described["State"]["Running"],
        restarts=described["RestartCount"],
        address=next((network["IPAddress"] for network in networks if network["IPAddress"]), ""),
        made_for=described["Config"]["Labels"].get("bulwark.made-for", ""),
    )


def ask(url: str) -> tuple[int, str]:
    """Status of an answer, and the version that gave it; status 0 for no answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 because all of ours begin with http
            return answer.status, answer.headers.get("X-Version", "")
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("X-Version", "")
    except OSError:
        return 0, ""


def configuration(state: State) -> tuple[str, str]:
    """The proxy's configuration file, and the digest by which the one that runs is known."""
    drained = 'http-request return status 503 content-type text/plain string "drained\\n" if { path /up }'
    server = f"server web {state.target}:3000 resolvers docker init-addr libc,none resolve-prefer ipv4 maxconn 64"
    nothing = 'http-request return status 503 content-type text/plain string "no version is deployed on this server\\n"'
    values = {
        "up": drained if state.drained else "# /up is the application's.",
        "server": server if state.target else nothing,
        "hard_stop": str(DRAIN_SECONDS),
    }
    template = Template(TEMPLATE.read_text())
    digest = _digest(template.substitute(values, digest=""))
    return template.substitute(values, digest=digest), digest


def _logged(container: str) -> str:
    """The last words of a container."""
    return _last_words(docker("logs", "--tail", "5", container, errors_too=True), 200) or "it said nothing"


class Deployment:
    """The application on this server."""

    def __init__(self, site: Site, say: Callable[[str], None] = print) -> None:
        self.site = site
        self._say = say
        self.changes = 0

    # What can be asked for

    def deploy(self, release: Release) -> None:
        """Have a version serve. Raises DeployError; what served before serves on then."""
        for file in (*self.site.environment_files, self.site.certificate):
            if not file.is_file():
                raise DeployError(f"{file} is missing: run site.yml first, whose role database_client puts it there")
        images = [self._pull(image) for image in (release.image, release.proxy_image)]
        self._have_network()
        target = self._start(release, images[0])
        self._switch(replace(self.state(), target=target), release.proxy_image, images[1])
        self._verify(release)
        self._remove_others(target, images[0])

    def set_drained(self, drained: bool) -> None:
        """Let the health check at /up fail, or succeed again; other requests are answered all the time."""
        proxy = self._proxy()
        if proxy is None:
            raise DeployError("nothing is deployed on this server: run lab/application/deploy.yml first")
        self._switch(replace(self.state(), drained=drained), proxy.image, proxy.image)

    def status(self) -> dict[str, Any]:
        """What is there, for people."""
        listed = containers(self.site.label)
        return {**asdict(self.state()), "containers": {one.name: one.running for one in listed}}

    def state(self) -> State:
        """What the proxy was last told."""
        try:
            return State(**json.loads((self.site.folder / "state.json").read_text()))
        except FileNotFoundError:
            return State()

    def version(self) -> str:
        """The version that the proxy was last led to; empty for none."""
        found = re.fullmatch(rf"{re.escape(self.site.prefix)}-web-(.+)-[0-9a-f]{{8}}", self.state().target)
        return found[1] if found else ""

    # The application's container

    def _pull(self, image: str) -> str:
        try:
            if self.site.pull:
                docker("pull", "--quiet", image)
            return docker("image", "inspect", "--format", "{{.Id}}", image)
        except DeployError as error:
            raise DeployError(f"there is no image {image} to be had ({error}); {self._serving()}") from None

    def _have_network(self) -> None:
        if self.site.prefix not in docker("network", "ls", "--format", "{{.Name}}").split():
            docker("network", "create", self.site.prefix)
            self._done(f"made the network {self.site.prefix}")

    def _start(self, release: Release, image: str) -> str:
        """Have a healthy container of this release, and return its name. One that is not healthy is removed."""
        mount = f"type=bind,source={self.site.certificate},target={CERTIFICATE},readonly"
        words = [
            *("--network", self.site.prefix, "--mount", mount, *_CONFINED),
            *(word for file in self.site.environment_files for word in ("--env-file", str(file))),
            *("--env", f"SERVER_NAME={release.server}", "--env", f"VERSION={release.version}"),
        ]
        # What a file holds counts as well: a container keeps the password that it was started with.
        read = [file.read_text() for file in (*self.site.environment_files, self.site.certificate)]
        made_for = _digest(json.dumps([words, image, read]))
        name = f"{self.site.prefix}-web-{release.version}-{made_for[:8]}"
        found = next((one for one in containers(self.site.label) if one.name == name), None)
        if found is not None:
            if found.running and any(self._is_healthy(found) for _ in _until(HEALTHY_SECONDS)):
                return name
            # It has never worked or works no more.
            docker("rm", "--force", name)
        labels = ("--label", self.site.label, "--label", f"bulwark.made-for={made_for}")
        docker("run", *_KEPT, "--name", name, *labels, *words, release.image)
        self._done(f"started {name}")
        try:
            self._wait_until_healthy(name)
        except DeployError:
            docker("rm", "--force", name)
            raise
        return name

    def _is_healthy(self, container: Container) -> bool:
        return ask(f"http://{container.address}:3000/up")[0] == 200

    def _wait_until_healthy(self, name: str) -> None:
        for _ in _until(HEALTHY_SECONDS):
            container = _container(json.loads(docker("inspect", name))[0])
            if container.running and self._is_healthy(container):
                return
            if container.restarts or not container.running:
                said = _logged(name)
                raise DeployError(f"the new version ends as soon as it starts ({said}); {self._serving()}")
        raise DeployError(f"the new version does not answer 200 at /up within {HEALTHY_SECONDS} s; {self._serving()}")

    def _serving(self) -> str:
        target = self.state().target
        return f"{target} serves on" if target else "nothing else is deployed here"

    # The proxy

    def _proxy(self) -> Container | None:
        return next(iter(containers(f"{self.site.label}-proxy")), None)

    def _switch(self, state: State, image: str, image_id: str) -> None:
        """Have the proxy do this, without a request that fails, and wait until nobody uses what it did before."""
        text, digest = configuration(state)
        folder = self.site.configuration
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        mount = f"type=bind,source={folder},target={CONFIGURATION},readonly"
        words = ("--network", self.site.prefix, "--mount", mount, *_CONFINED)
        file = folder / "haproxy.cfg"
        if not file.exists() or file.read_text() != text or self.state() != state:
            candidate = folder / "next.cfg"
            candidate.write_text(text)
            candidate.chmod(0o644)  # the proxy is not root, whatever our umask is
            self._check(words, image)
            _write(self.site.folder / "state.json", json.dumps(asdict(state)))
            candidate.replace(file)
        self._have_proxy(words, image, image_id)
        if self._running_digest() != digest:
            # Asked again afterwards: an answer may be about what a killed run had asked for.
            answer = self._tell("reload")
            if self._running_digest() != digest:
                raise DeployError(f"the proxy did not take its new configuration: {_last_words(answer)}")
            self._done(f"switched to {state.target}{', drained' if state.drained else ''}")
        for _ in _until(DRAIN_SECONDS + 5):
            if not _old_workers(self._tell("show proc")):
                return
        raise DeployError("the proxy's former worker does not end; repeat the deployment")

    def _check(self, words: Sequence[str], image: str) -> None:
        """Have the proxy's program read the next configuration."""
        name = f"{self.site.prefix}-check"
        with suppress(DeployError):
            docker("rm", "--force", name)  # of a run that was killed
        check = ("-c", "-q", "-f", f"{CONFIGURATION}/next.cfg")
        try:
            docker("run", "--rm", "--name", name, "--entrypoint", "haproxy", *words, image, *check)
        except DeployError as error:
            raise DeployError(f"the proxy refuses its new configuration ({error}); {self._serving()}") from None

    def _have_proxy(self, words: Sequence[str], image: str, image_id: str) -> None:
        made_for = _digest(json.dumps([list(words), self.site.publish, image_id]))
        proxy = self._proxy()
        if proxy and proxy.running and proxy.made_for == made_for:
            return
        if proxy:
            docker("rm", "--force", proxy.name)
        docker(
            *("run", *_KEPT, "--name", self.site.proxy, "--publish", f"{self.site.publish}:8080"),
            *("--label", f"{self.site.label}-proxy", "--label", f"bulwark.made-for={made_for}"),
            *("--tmpfs", f"{os.path.dirname(SOCKET)}:uid=65534,gid=65534,mode=0700"),
            *(*words, image),
        )
        self._done(f"started {self.site.proxy}")
        for _ in _until(HEALTHY_SECONDS):
            if self._running_digest():
                return
        raise DeployError(f"{self.site.proxy} does not start ({_logged(self.site.proxy)})")

    def _running_digest(self) -> str:
        """The digest of the configuration that the running proxy has read, empty while it does not answer."""
        try:
            return self._tell("@1 show env DEPLOYMENT").partition("DEPLOYMENT=")[2].strip()
        except DeployError:
            return ""

    def _tell(self, command: str) -> str:
        tell = f"echo '{command}' | socat -t {DRAIN_SECONDS} - {SOCKET}"
        return docker("exec", self.site.proxy, "sh", "-c", tell)

    def _verify(self, release: Release) -> None:
        """See the whole way on this server: from the published port through the proxy to this version."""
        if self.state().drained:
            self._say("this server is drained: its health check fails until lab/application/drain.yml takes that back")
            return
        for _ in _until(HEALTHY_SECONDS):
            status, version = ask(f"{self.site.url}/up")
            if (status, version) == (200, release.version):
                return
        answered = f"{status} by version {version}" if version else status or "nothing"
        raise DeployError(f"{self.site.url}/up answers {answered} instead of 200 by version {release.version}")

    def _remove_others(self, target: str, image: str) -> None:
        others = [one for one in containers(self.site.label) if one.name != target]
        if not others:
            return
        names = [one.name for one in others]
        docker("stop", "-t", str(DRAIN_SECONDS), *names)
        docker("rm", *names)
        self._done(f"stopped and removed {', '.join(names)}")
        for former in {one.image for one in others} - {image}:
            with suppress(DeployError):  # something else uses it
                docker("image", "rm", former)

    def _done(self, what: str) -> None:
        self.changes += 1
        self._say(what)


def _old_workers(answer: str) -> list[str]:
    """The lines about former workers in what HAProxy's master answers to `show proc`."""
    section = answer.partition("# old workers\n")[2].partition("\n#")[0]
    return [line for line in section.splitlines() if line and not line.startswith("#")]


def _until(seconds: float) -> Iterator[None]:
    """Try again and again, for so long."""
    deadline = time.monotonic() + seconds
    while True:
        yield
        if time.monotonic() > deadline:
            return
        time.sleep(_POLL_SECONDS)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _last_words(text: str, most: int = 300) -> str:
    return " ".join(text.split())[-most:]


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)


@contextmanager
def alone(site: Site) -> Iterator[None]:
    """One at a time on a server."""
    site.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (site.folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeployError("another deployment is under way on this server; wait for it to end") from None
        yield


def _version(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", text):
        raise argparse.ArgumentTypeError("give letters, digits, dots, hyphens and underscores, at most 63")
    return text


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", default=Site.prefix)
    parser.add_argument("--folder", type=Path, default=Site.folder)
    parser.add_argument("--publish", default=Site.publish)
    parser.add_argument("--certificate", type=Path, default=CERTIFICATE)
    commands = parser.add_subparsers(dest="command", required=True)
    deploy = commands.add_parser("deploy")
    deploy.add_argument("--version", type=_version, help=f"by default the one that is there, at first {FIRST_VERSION}")
    deploy.add_argument("--image", required=True)
    deploy.add_argument("--proxy-image", required=True)
    deploy.add_argument("--server", required=True)
    deploy.add_argument("--env-file", type=Path, action="append", default=[])
    deploy.add_argument("--no-pull", action="store_true", help="the images were loaded into the engine")
    for command in ("drain", "undrain", "status"):
        commands.add_parser(command)
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    wanted = _arguments(words)
    site = Site(wanted.prefix, wanted.folder, wanted.publish, certificate=wanted.certificate)
    deployment = Deployment(site)
    try:
        if wanted.command == "status":
            print(json.dumps(deployment.status()))
            return 0
        with alone(site):
            if wanted.command == "deploy":
                deployment.site = replace(site, environment_files=tuple(wanted.env_file), pull=not wanted.no_pull)
                version = wanted.version or deployment.version() or FIRST_VERSION
                deployment.deploy(Release(version, wanted.image, wanted.proxy_image, wanted.server))
            else:
                deployment.set_drained(wanted.command == "drain")
    except DeployError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    if not deployment.changes:
        print("unchanged")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
