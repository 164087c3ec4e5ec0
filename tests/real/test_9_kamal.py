"""What the playbook writes for Kamal, used on the lab as Kamal uses it: way in, user, secrets in a container."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.launcher import launcher, status, succeed
from tests.real.database import other, primary
from tests.real.test_1_first_run import BASTION, status_of
from tests.real.test_2_reboots import api
from tests.real.users import balancer, shell

__all__ = ["api"]

KAMAL = {
    "service": "shop",
    "image": "example/shop",
    "registry": {"server": "registry.bulwark.example", "username": "example"},
    "secrets": ["RAILS_MASTER_KEY"],
}
#: Of somebody else.
_OTHER_KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIOuOdRbYVVj9FbbYFR3rIIVXcHW3a7Jm7xIWzUf3ZnXh"
#: An image that has a client of PostgreSQL in it.
IMAGE = "registry.bulwark.example/bulwark/application:1"
#: Where each URL leads, over which kind of connection.
ASK = """
import json, os, psycopg2
found = {}
for name, url in os.environ.items():
    if name.endswith("DATABASE_URL") or name == "DATABASE_READ_URL":
        connection = psycopg2.connect(url)
        cursor = connection.cursor()
        cursor.execute("SELECT host(inet_server_addr()), pg_is_in_recovery(), current_database(), ssl, current_user"
                       " FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        *where, user = cursor.fetchone()
        found[name] = [*where, connection.info.dsn_parameters["sslmode"], user]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An application's folder with what the playbook has written."""
    folder = tmp_path_factory.mktemp("shop")
    said = succeed("run", "playbooks/kamal.yml", "-e", json.dumps({"kamal": KAMAL, "kamal_application": str(folder)}))
    assert "set docker_users to" not in " ".join(said.split())
    assert "put the other secrets (KAMAL_REGISTRY_PASSWORD, RAILS_MASTER_KEY)" in " ".join(said.split())
    return folder


@pytest.fixture(scope="module")
def deploy(shop: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((shop / "config/deploy.yml").read_text())
    return found


def secrets(shop: Path) -> dict[str, str]:
    """As dotenv reads them."""
    lines = (shop / ".kamal/secrets-common").read_text().splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def words_of(deploy: dict[str, Any], address: str, *command: str) -> str:
    """A command on a server by the way that Kamal goes, as one of a shell."""
    ssh = deploy["ssh"]
    words = ["ssh", "-F", ssh["config"], "-J", ssh["proxy"], "-o", "BatchMode=yes", "-o", "ControlPath=none"]
    return shlex.join([*words, f"{ssh['user']}@{address}", shlex.join(command)])


def kamal(deploy: dict[str, Any], address: str, *command: str, feed: str = "") -> str:
    """What a command there prints; it gets ``feed`` at its standard input."""
    return shell(f"{words_of(deploy, address, *command)} <<'END'\n{feed}\nEND\n")


@pytest.fixture(scope="module")
def addresses() -> dict[str, list[str]]:
    """The private addresses of the lab's servers, by role."""
    found: dict[str, list[str]] = {}
    for server in status()["servers"]:
        if server["labels"].get("env") == "lab":
            found.setdefault(server["labels"]["role"], []).append(server["private_ip"])
    return found


def test_it_says_what_the_lab_is(deploy: dict[str, Any], addresses: dict[str, list[str]], api: httpx.Client) -> None:
    assert sorted(deploy["servers"]["web"]["hosts"]) == sorted(addresses["app"])
    assert sorted(deploy["servers"]["jobs"]["hosts"]) == sorted(addresses["jobs"])
    assert deploy["ssh"]["proxy"] == f"{deploy['ssh']['user']}@{status_of(BASTION)['public_ip']}"
    assert deploy["registry"]["server"] == "registry.bulwark.example"
    (service,) = balancer()["services"]
    check = service["health_check"]
    assert deploy["proxy"]["healthcheck"]["path"] == check["http"]["path"]
    assert deploy["proxy"]["healthcheck"]["timeout"] <= check["timeout"]
    assert deploy["proxy"]["healthcheck"]["interval"] <= check["interval"]
    assert service["destination_port"] == check["port"] == 80  # where kamal-proxy is published
    assert ("hosts" in deploy["proxy"]) == bool(check["http"]["domain"])
    run = api.get("/servers", params={"label_selector": "env=lab,role in (app,jobs)"}).json()["servers"]
    assert set(deploy["builder"]["arch"]) == {
        {"arm": "arm64", "x86": "amd64"}[server["server_type"]["architecture"]] for server in run
    }


def test_its_user_reaches_every_server_it_names_and_may_use_docker(
    shop: Path, deploy: dict[str, Any], addresses: dict[str, list[str]]
) -> None:
    for address in addresses["app"] + addresses["jobs"]:
        version = kamal(deploy, address, "docker", "version", "-f", "{{.Server.Version}}")
        assert re.fullmatch(r"[0-9.+a-z-]+", version), version
    # Whoever shows another key is refused.
    known = shop / ".kamal/known_hosts"
    whole = known.read_text()
    try:
        known.write_text("".join(f"{line.rpartition(' ')[0]} {_OTHER_KEY}\n" for line in whole.splitlines()[1:]))
        refused = launcher("shell", feed=words_of(deploy, addresses["app"][0], "true"))
        assert refused.code != 0
        assert "Host key verification failed" in refused.text
    finally:
        known.write_text(whole)


@pytest.fixture
def _no_image_stays(role: str) -> Iterator[None]:
    """The lab's application is deployed on application servers only."""
    yield
    if role == "jobs":
        launcher("exec", "jobs-01", "docker", "rmi", IMAGE)


@pytest.mark.usefixtures("_no_image_stays")
@pytest.mark.parametrize("role", ["app", pytest.param("jobs", marks=pytest.mark.full)])
def test_a_container_with_its_secrets_reaches_both_databases(
    shop: Path, deploy: dict[str, Any], addresses: dict[str, list[str]], role: str
) -> None:
    found = secrets(shop)
    assert list(found) == [name for name in deploy["env"]["secret"] if name not in KAMAL["secrets"]]
    volumes = [word for volume in deploy["volumes"] for word in ("-v", volume)]
    words = ["docker", "run", "--rm", "--env-file", "/dev/stdin", *volumes, "--entrypoint", "python3", IMAGE, "-c", ASK]
    feed = "\n".join(f"{name}={value}" for name, value in found.items())
    # Docker tells about an image that it had to fetch.
    said = kamal(deploy, addresses[role][0], *words, feed=feed)
    answers = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    first = primary()
    writes, reads = status_of(first)["private_ip"], status_of(other(first))["private_ip"]
    expected = {
        "DATABASE_URL": [writes, False, "rails_production"],
        "DATABASE_READ_URL": [reads, True, "rails_production"],
        "REPLICA_DATABASE_URL": [reads, True, "rails_production"],
        "CACHE_DATABASE_URL": [writes, False, "rails_production_cache"],
        "QUEUE_DATABASE_URL": [writes, False, "rails_production_queue"],
        "CABLE_DATABASE_URL": [writes, False, "rails_production_cable"],
    }
    encrypted = [True, "verify-full", "rails_app"]
    assert answers == {name: [*where, *encrypted] for name, where in expected.items()}
