"""Users of the lab's application, and what is done to it under their hands, as tests and benchmarks use them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from lab import settings
from tests.checkout import ROOT
from tests.launcher import succeed
from tests.real.database import until

NAME = "bulwark.example"
BALANCER = "rails-lb"
#: A page that takes an application server and no database, so that what is measured is the way to it.
PAGE = f"https://{NAME}/slow?seconds=0"
_PROGRAM = Path(__file__).parent / "requester.py"
_MANAGEMENT = f"http://{settings.API_HOST}:{settings.MANAGEMENT_PORT}/_lab"


@dataclass
class Requests:
    """What became of a user's requests, in the order they were begun."""

    path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> list[dict[str, Any]]:
        # The last line may be half written.
        whole = self.path.read_text().rpartition("\n")[0]
        self.lines = sorted(map(json.loads, whole.splitlines()), key=lambda line: line["begun"])
        return self.lines

    def failed(self, after: float = 0.0) -> list[dict[str, Any]]:
        """Those that failed, of all that were begun after a point in time."""
        return [line for line in self.lines if "failed" in line and line["begun"] >= after]

    def seen(self, what: str) -> set[str]:
        """Each ``server`` or ``version`` that has answered."""
        return {line[what] for line in self.lines if line.get(what)}

    def goes_on(self, more: int = 100) -> None:
        """Wait until so many further requests have been made."""
        there = len(self.read())
        until(lambda: len(self.read()) >= there + more, f"{more} further requests")


@contextmanager
def asking(url: str = PAGE) -> Iterator[Requests]:
    """Somebody on the internet asks every 10 ms; what came of it is there to be read afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        requests = Requests(Path(folder) / "requests")
        requests.path.touch()
        words = ["./bulwark", "user", "python3", str(_PROGRAM), url, "--out", str(requests.path)]
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL)
        try:
            requests.goes_on()
            yield requests
            requests.goes_on()
        finally:
            # The launcher has become the program.
            os.kill(process.pid, signal.SIGTERM)
            process.wait(60)
            requests.read()


def get(url: str, *words: str) -> str:
    """What curl gives somebody on the internet."""
    return succeed("user", "curl", "-s", "-m", "10", *words, url)


def code(path: str) -> str:
    """The status that somebody on the internet gets of the application, as curl prints it."""
    return get(f"https://{NAME}{path}", "-o", "/dev/null", "-w", "%{http_code}")


def shell(command: str) -> str:
    """What a command of the administrator's shell prints."""
    return succeed("shell", feed=command)


def balancer() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(shell(f"hcloud load-balancer describe {BALANCER} -o json"))
    return found


def health() -> dict[str, str]:
    """How the load balancer finds each application server."""
    names = {server["id"]: server["name"] for server in json.loads(shell("hcloud server list -o json"))}
    members = [member for target in balancer()["targets"] for member in target["targets"]]
    return {names[member["server"]["id"]]: member["health_status"][0]["status"] for member in members}


def healthy(*hosts: str) -> bool:
    """Whether exactly these take traffic, and no other is a target."""
    return health() == dict.fromkeys(hosts, "healthy")


def detection_limit() -> float:
    """Seconds in which the load balancer must have taken out a server that is dead."""
    check = balancer()["services"][0]["health_check"]
    return float(check["interval"] * check["retries"] + check["timeout"])


def edge(*words: str) -> str:
    """Converge the edge."""
    return succeed("run", "playbooks/edge.yml", *words)


def with_load_balancer(folder: Path, **more: Any) -> str:
    """The lab's own topology with something else about the load balancer, as an argument."""
    declared = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/topology.yml").read_text())
    declared["topology"]["load_balancer"] = {**declared["topology"].get("load_balancer", {}), **more}
    path = folder / "topology.json"
    path.write_text(json.dumps(declared))
    return f"@{path}"


def lab(path: str, method: str = "GET", body: Any = None) -> Any:
    """Ask the management interface; ``path`` is below /_lab."""
    token = (settings.STATE / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.request(method, _MANAGEMENT + path, headers=headers, json=body, timeout=20)
    return answer.raise_for_status().json() if answer.content else None


def shown_certificate() -> str:
    """The serial number of the certificate that the load balancer shows."""
    address = balancer()["public_net"]["ipv4"]["ip"]
    connect = f"openssl s_client -connect {address}:443 -servername {NAME} </dev/null 2>/dev/null"
    return shell(f"{connect} | openssl x509 -noout -serial")


# --- what is done under the users' hands ------------------------------------------------------------------------------


def rotate_certificate() -> None:
    before = shown_certificate()
    edge("-e", json.dumps({"origin_certificate_renew": True}))
    assert shown_certificate() != before


def change_settings() -> None:
    """Another algorithm and another health check, and back."""
    with tempfile.TemporaryDirectory() as folder:
        declared = with_load_balancer(
            Path(folder),
            algorithm="least_connections",
            health_check={"interval": 4, "timeout": 6, "retries": 4},
        )
        edge("-e", declared)
        assert balancer()["algorithm"]["type"] == "least_connections"
    edge()
    assert balancer()["algorithm"]["type"] == "round_robin"


def deploy(version: str) -> str:
    return succeed("deploy", version)


def remove_as_planned(host: str) -> None:
    """Its health check fails first, then it is no target any more."""
    drain = ("run", "lab/application/drain.yml", "--limit", host, "-e")
    succeed(*drain, json.dumps({"application_drain": True}))
    until(lambda: health()[host] == "unhealthy", f"{host} taken out")
    shell(f"hcloud server remove-label {host} role-app")
    until(lambda: host not in health(), f"{host} removed")


def take_back(host: str) -> None:
    shell(f"hcloud server add-label {host} role-app=true")
    succeed("run", "lab/application/drain.yml", "--limit", host, "-e", json.dumps({"application_drain": False}))
    until(lambda: health().get(host) == "healthy", f"{host} taken in")


@dataclass(frozen=True)
class Kill:
    """When a server was switched off, and when the load balancer had taken it out."""

    killed: float
    out: float


def kill(host: str) -> Kill:
    """Pull a server's plug, and wait until it is known."""
    shell(f"hcloud server poweroff {host}")
    killed = time.time()
    until(lambda: health()[host] == "unhealthy", f"{host} taken out")
    return Kill(killed, time.time())


def revive(host: str) -> None:
    shell(f"hcloud server poweron {host}")
    until(lambda: health()[host] == "healthy", f"{host} taken in", seconds=240)
