"""Container images of the lab, run: each does what a compose file for the upstream image relies on.

They are loaded under a name of their own, so that an engine that others use as well keeps what it calls postgres.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import engine
from lab.containers import build
from lab.containers.recipes import RECIPES
from lab.containers.store import Image

PATIENCE_SECONDS = 60
#: By TCP, which only answers once everything is prepared.
ACCEPTING = ("pg_isready", "--host=127.0.0.1")
PASSWORD = 'it\'s a "secret"'

#: How each program calls its version; {} stands for it. Where it answers once it works.
EXPORTERS = {
    "prom/prometheus": ("prometheus, version {}", "9090/-/ready", "65534"),
    "prom/alertmanager": ("alertmanager, version {}", "9093/-/ready", "65534"),
    "prom/node-exporter": ("node_exporter, version {}", "9100/metrics", "65534"),
    "prometheuscommunity/postgres-exporter": ("postgres_exporter, version {}", "9187/metrics", "65534"),
    "prom/blackbox-exporter": ("blackbox_exporter, version {}", "9115/metrics", "0"),
}


def docker(*words: str, check: bool = True) -> str:
    host = engine.find()
    assert host is not None
    done = subprocess.run(
        ["docker", *words],
        env={**os.environ, "DOCKER_HOST": host},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(words)}:\n{done.stdout[-3000:]}"
    return done.stdout.strip()


@contextmanager
def loaded(repository: str, folder: Path) -> Iterator[tuple[Image, str]]:
    """An image in the engine, with the name it has there."""
    (image,) = build.provide([repository], print)
    name, archive = f"bulwark-trial/{image.slug}:{os.getpid()}", folder / "image.tar"
    build.STORE.pack(image, [name], archive)
    try:
        docker("load", "--quiet", "--input", str(archive))
        archive.unlink()
        yield image, name
    finally:
        docker("image", "rm", "--force", name, check=False)


@contextmanager
def running(name: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[str]:
    container = docker("run", "--detach", *options, name, *command)
    try:
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def wait_until(container: str, *words: str) -> None:
    """Until a command in a container succeeds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while docker("exec", container, "sh", "-c", '"$@" >/dev/null && echo done', "sh", *words, check=False) != "done":
        runs = docker("inspect", "--format", "{{.State.Running}}", container) == "true"
        assert runs, docker("logs", container)
        assert time.monotonic() < deadline, docker("logs", container)
        time.sleep(0.2)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Image, str]]:
    with loaded("postgres", tmp_path_factory.mktemp("postgres")) as image:
        yield image


@pytest.fixture(scope="module")
def database(postgres: tuple[Image, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running database, made with everything a compose file may say."""
    folder = tmp_path_factory.mktemp("database")
    (folder / "password").write_text(PASSWORD + "\n")
    folder.joinpath("initdb.d").mkdir()
    (folder / "initdb.d/10-table.sql").write_text("CREATE TABLE log AS SELECT 1 AS number;\n")
    (folder / "initdb.d/20-row.sh").write_text(
        'psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --command "INSERT INTO log VALUES (2)"\n'
    )
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    options = (
        *("--network", "none"),
        *("--volume", f"{folder / 'password'}:/run/secrets/password:ro"),
        *("--volume", f"{folder / 'initdb.d'}:/docker-entrypoint-initdb.d:ro"),
        *("--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password"),
        *("--env", "POSTGRES_USER=chief"),
        *("--env", "POSTGRES_DB=the data"),
        *("--env", "POSTGRES_INITDB_ARGS=--data-checksums --auth-host='scram-sha-256'"),
        *("--env", "PGDATA=/var/lib/postgresql/17/main"),
    )
    with running(postgres[1], *options, command=("-c", "max_connections=23")) as container:
        wait_until(container, *ACCEPTING)
        yield container


def ask(container: str, sql: str, *options: str) -> str:
    command = ("psql", "--username=chief", "--dbname=the data", "--tuples-only", "--no-align", "--command", sql)
    return docker("exec", "--user", "postgres", *options, container, *command)


def test_the_databases_version_is_its_tag(database: str, postgres: tuple[Image, str]) -> None:
    image, _ = postgres
    version = image.tags[0]
    assert version.startswith("17.")
    assert f"PostgreSQL {version} " in ask(database, "SELECT version()")
    assert image.references[:1] == [f"postgres:{version}"]
    assert "postgres:17" in image.references


def test_the_database_is_what_the_settings_say(database: str) -> None:
    assert ask(database, "SELECT string_agg(number::text, ',' ORDER BY number) FROM log") == "1,2"
    assert ask(database, "SHOW max_connections") == "23"
    assert ask(database, "SHOW data_checksums") == "on"
    assert ask(database, "SHOW listen_addresses") == "*"
    assert ask(database, "SHOW data_directory") == "/var/lib/postgresql/17/main"
    assert ask(database, "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database LIMIT 1") == (
        "UTF8 en_US.utf8"
    )


def test_the_database_wants_the_password(database: str) -> None:
    remote = ("--env", "PGHOST=127.0.0.1", "--env")
    assert ask(database, "SELECT 7", *remote, f"PGPASSWORD={PASSWORD}") == "7"
    container = ("exec", *remote, "PGPASSWORD=wrong", database)
    refused = docker(*container, "psql", "--username=chief", "--dbname=the data", check=False)
    assert "password authentication failed" in refused


def test_the_database_runs_as_its_user_and_keeps_the_password_to_itself(database: str) -> None:
    assert docker("exec", database, "stat", "--format=%u:%g", "/proc/1").strip() == "999:999"
    environment = docker("exec", "--user", "postgres", database, "cat", "/proc/1/environ")
    assert "PGDATA=" in environment
    assert PASSWORD not in environment
    assert PASSWORD not in docker("logs", database)


def test_the_database_is_there_after_a_restart(database: str) -> None:
    docker("restart", database)
    wait_until(database, *ACCEPTING)
    assert ask(database, "SELECT count(*) FROM log") == "2"
    assert docker("logs", database).count("running bootstrap script") == 1


def test_the_databases_tools_are_found(postgres: tuple[Image, str]) -> None:
    tools = "pg_basebackup psql pg_rewind pg_isready initdb pgbench pg_controldata pg_ctl pg_dump gosu"
    found = docker("run", "--rm", "--network", "none", postgres[1], "which", *tools.split())
    assert len(found.splitlines()) == len(tools.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "set POSTGRES_PASSWORD_FILE"),
        (("--env", "POSTGRES_PASSWORD_FILE=/nowhere"), "cannot read /nowhere"),
        (("--env", "POSTGRES_PASSWORD=a", "--env", "POSTGRES_PASSWORD_FILE=/etc/passwd"), "are both set"),
    ],
)
def test_a_database_without_a_password_is_refused(
    postgres: tuple[Image, str], options: tuple[str, ...], said: str
) -> None:
    assert said in docker("run", "--rm", "--network", "none", *options, postgres[1], check=False)


@pytest.mark.parametrize("repository", EXPORTERS)
def test_a_program_of_the_monitoring_works_as_it_is(repository: str, tmp_path: Path) -> None:
    version, address, user = EXPORTERS[repository]
    with loaded(repository, tmp_path) as (image, name):
        (tag,) = image.tags
        said = docker("run", "--rm", "--network", "none", name, "--version")
        assert said.startswith(version.format(tag.removeprefix("v")))
        # With a network, since Alertmanager looks for a private address of its own.
        with running(name) as container:
            wait_until(container, "wget", "-q", "-O", "-", f"http://127.0.0.1:{address}")
            assert docker("exec", container, "stat", "--format=%u", "/proc/1") == user


def test_every_image_with_a_program_is_tried() -> None:
    others = {"bulwark/application", "bulwark/application-proxy"}  # by test_application.py
    assert {"debian", "postgres", *EXPORTERS, *others} == set(RECIPES)
