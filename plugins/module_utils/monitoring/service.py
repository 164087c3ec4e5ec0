# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monitoring's containers, made what the files say: look, decide on one step, do it, look again.

Runs on the host: standard library only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .placing import Runner, last_words, reason
from .web import Web

#: Up, one reload for each program that can, and those that somebody else makes necessary, such as an old container.
MOST_STEPS = 20
#: How often in a row a program has to say that it refuses its files, a fifth of a second apart.
REFUSED_LOOKS = 20
_INSPECT = '{{.Name}} {{.State.Running}} {{index .Config.Labels "com.docker.compose.service"}} ' + (
    '{{index .Config.Labels "com.docker.compose.config-hash"}}'
)


class ServiceError(Exception):
    """What runs is not what the files say; the message says why, and what the program said."""


@dataclass(frozen=True)
class Service:
    """A container that has to run. ``reload`` begins the name of its metrics about reloads, empty where it has none."""

    name: str
    part: str
    url: str
    ready: str
    reload: str = ""


@dataclass(frozen=True)
class Container:
    """A container that is there; ``current`` says whether it is the one that compose.yml describes."""

    running: bool
    current: bool


@dataclass(frozen=True)
class Loaded:
    """What a program says of its last reload, in seconds since the epoch; ``good`` is None when it does not answer."""

    at: float = 0.0
    good: bool | None = None


@dataclass(frozen=True)
class Seen:
    """What is there. ``changed``: when the newest file of each container was put in its place."""

    containers: Mapping[str, Container]
    strange: Sequence[str] = ()
    loaded: Mapping[str, Loaded] = field(default_factory=dict)
    changed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One thing to do: ``up`` for all containers, or ``remove``, ``reload`` or ``wait`` for the one that is named."""

    kind: str
    name: str
    why: str


def decide(services: Sequence[Service], seen: Seen) -> Step | None:
    """The next step, None when what runs is what the files say. Pure."""
    for name in seen.strange:
        return Step("remove", name, "it is no longer declared")
    why = []
    for service in services:
        found = seen.containers.get(service.name)
        if found is None:
            why.append(f"{service.name} is not there")
        elif not found.current:
            why.append(f"{service.name} is not as compose.yml describes it")
        elif not found.running:
            why.append(f"{service.name} does not run")
    if why:
        return Step("up", "", "; ".join(why))
    for service in services:
        if not service.reload:
            continue
        loaded = seen.loaded.get(service.name, Loaded())
        if loaded.good is None:
            return Step("wait", service.name, "it does not answer yet")
        if not loaded.good or loaded.at <= seen.changed.get(service.name, 0.0):
            return Step("reload", service.name, "its files are newer than what it has read")
    return None


@dataclass
class Stack:
    """Carries steps out. ``seconds`` is how long a program may take to be ready; ``pause`` sleeps some."""

    run: Runner
    folder: str
    project: str
    services: Sequence[Service]
    seconds: int = 120
    web: Web = field(default_factory=Web)
    pause: Callable[[float], None] = time.sleep

    def settle(self, check_mode: bool) -> list[Step]:
        """All steps taken, or in check mode the next one; all programs are ready then.

        Raises ServiceError when one is not in time, or refuses its files.
        """
        steps: list[Step] = []
        for _ in range(MOST_STEPS):
            step = decide(self.services, self.look())
            if step is None:
                if not check_mode:
                    self._all_ready()
                return steps
            if check_mode:
                return [step] if step.kind != "wait" else []
            if step.kind != "wait":
                steps.append(step)
            self._take(step)
        why = steps[-1].why if steps else "a program does not answer"
        raise ServiceError(f"The monitoring does not settle: after {MOST_STEPS} steps, {why} still.")

    def look(self) -> Seen:
        """What is there."""
        code, out, _ = self._compose("config", "--hash", "*")
        wanted = dict(line.split() for line in out.splitlines() if len(line.split()) == 2) if code == 0 else {}
        label = f"label=com.docker.compose.project={self.project}"
        names = self.run(["docker", "ps", "--all", "--quiet", "--filter", label])[1].split()
        shown = self.run(["docker", "inspect", "--format", _INSPECT, *names])[1] if names else ""
        containers, strange = {}, []
        for line in shown.splitlines():
            name, running, service, present = [*line.split(), "", "", "", ""][:4]
            if service in wanted:
                containers[service] = Container(running == "true", wanted[service] == present)
            else:
                strange.append(name.removeprefix("/"))
        reloading = [service for service in self.services if service.reload]
        return Seen(
            containers,
            sorted(strange),
            {service.name: self._loaded(service) for service in reloading},
            {service.name: changed(f"{self.folder}/{service.part}") for service in reloading},
        )

    def _loaded(self, service: Service) -> Loaded:
        answer = self.web.get(f"{service.url}/metrics")
        good = answer.sample(f"{service.reload}_successful")
        return Loaded(
            answer.sample(f"{service.reload}_success_timestamp_seconds") or 0.0, None if good is None else good == 1
        )

    def _take(self, step: Step) -> None:
        if step.kind == "up":
            code, out, error = self._compose("up", "--detach", "--quiet-pull")
            if code != 0:
                raise ServiceError(f"The monitoring's containers do not start: {last_words(error or out)}")
            return
        if step.kind == "remove":
            self.run(["docker", "rm", "--force", "--volumes", step.name])
            return
        service = next(service for service in self.services if service.name == step.name)
        if step.kind == "wait":
            self._ready(service)
        else:
            self._reload(service)

    def _reload(self, service: Service) -> None:
        files = changed(f"{self.folder}/{service.part}")
        # Not by `docker kill`: the engine takes every signal that it passes on for a stop by hand, and from then on
        # starts the container neither when it ends nor when the server boots.
        process = self.run(["docker", "inspect", "--format", "{{.State.Pid}}", service.name])[1].strip()
        if process.isdecimal() and int(process) > 1:
            self.run(["kill", "-HUP", process])
        refused = 0
        for _ in range(self.seconds * 5):
            loaded = self._loaded(service)
            # At first it may still speak of the reload before this one.
            refused = refused + 1 if loaded.good is False else 0
            if refused > REFUSED_LOOKS:
                raise ServiceError(
                    f"{service.name} refuses its new files and goes on with what it had read before: "
                    f"{self._said(service)}"
                )
            if loaded.good and loaded.at > files:
                return
            self.pause(0.2)
        raise ServiceError(
            f"{service.name} has not read its files again within {self.seconds} s: {self._said(service)}"
        )

    def _all_ready(self) -> None:
        for service in self.services:
            self._ready(service)

    def _ready(self, service: Service) -> None:
        answer = self.web.get(service.url + service.ready)
        for _ in range(self.seconds * 2):
            if answer.ok:
                return
            self.pause(0.5)
            answer = self.web.get(service.url + service.ready)
        raise ServiceError(
            f"{service.name} is not ready after {self.seconds} s ({answer.reason or answer.status}). Its last words "
            f"(docker logs {service.name}): {self._said(service)}"
        )

    def unreachable(self) -> list[str]:
        """Members of the database that an exporter cannot ask, as sentences."""
        found = []
        for service in self.services:
            if service.part != "postgres_exporter":
                continue
            if self.web.get(f"{service.url}/metrics").sample("pg_up") != 1:
                _, out, error = self.run(["docker", "logs", "--tail", "20", service.name])
                why = reason(out + error)
                found.append(f"{service.name} cannot ask its database: {why}")
        return found

    def _compose(self, *words: str) -> tuple[int, str, str]:
        return self.run(["docker", "compose", "--file", f"{self.folder}/compose.yml", *words])

    def _said(self, service: Service) -> str:
        _, out, error = self.run(["docker", "logs", "--tail", "15", service.name])
        return last_words(f"{out}\n{error}")


@dataclass(frozen=True)
class Administrator:
    """Grafana's, whose password its file sets at the very first start only."""

    run: Runner
    web: Web
    url: str
    container: str
    password: str

    def settle(self, check_mode: bool) -> bool:
        """Whether the password had to be set, or would have to be. Raises ServiceError when it cannot be."""
        if self.web.get(f"{self.url}/api/user", user=("admin", self.password)).status != 401:
            return False
        if check_mode:
            return True
        words = ["docker", "exec", "--interactive", self.container, "grafana", "cli", "admin", "reset-admin-password"]
        code, out, error = self.run([*words, "--password-from-stdin"], feed=self.password)
        if code != 0:
            raise ServiceError(f"The password of Grafana's administrator cannot be set: {last_words(error or out)}")
        return True


def changed(folder: str) -> float:
    """When something in a folder was last put in its place or taken away: the newest time of an inode in it."""
    newest = 0.0
    for root, _, names in os.walk(folder):
        for path in (root, *(os.path.join(root, name) for name in names)):
            newest = max(newest, os.stat(path).st_ctime)
    return newest


def services(given: Sequence[Mapping[str, Any]]) -> list[Service]:
    """Module options as services."""
    return [
        Service(**{name: str(entry[name]) for name in ("name", "part", "url", "ready", "reload")}) for entry in given
    ]


def summary(steps: Sequence[Step]) -> str:
    """Steps as a diff shows them."""
    return "".join(f"{' '.join(filter(None, (step.kind, step.name)))}: {step.why}\n" for step in steps)
