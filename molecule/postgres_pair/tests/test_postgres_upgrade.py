"""Another minor release of PostgreSQL, while a client writes: of the one there is here, another build."""

import json
import os
import signal

import pytest
import yaml
from pair import HOSTS, NAMES, ROOT, Playbook, address, changed, parts, shell, writing

testinfra_hosts = [f"docker://{NAMES[0]}"]

NAME = "postgres"
NEXT = "localhost/next/postgres"


def declared(**more):
    """What the scenario's hosts were made of, as an argument for a playbook."""
    known = yaml.safe_load((ROOT / "molecule/postgres_replica/vars/main.yml").read_text())
    del known["_names"]
    known["postgres_members"] = [{"name": name, "address": address(name)} for name in NAMES]
    return ("-e", json.dumps({**known, "postgres_backup": {}, **more}))


def upgrade(**more):
    return Playbook("playbooks/upgrade_postgres.yml", *declared(**more))


def images():
    return {shell(name, "docker inspect --format '{{.Config.Image}}' bulwark-postgres").split(":")[0] for name in NAMES}


@pytest.fixture
def build():
    """An image with a label more, or the first one where that runs already."""
    if images() == {NEXT}:
        return NAME
    version = HOSTS[NAMES[0]].check_output("docker exec bulwark-postgres postgres --version").split()[2]
    for name in NAMES:
        shell(name, f"printf 'FROM {NAME}:{version}\\nLABEL build=next\\n' | docker build -q -t {NEXT}:{version} -")
    return NEXT


def test_another_build_takes_the_place_of_the_first_although_the_run_is_killed(build):
    primary, replica = parts()
    with writing(primary) as seen:
        run = upgrade(postgres_image=build)
        run.until_it_says("Let the old primary follow")
        os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()
        succeeded, said = upgrade(postgres_image=build).end()
        assert succeeded, said
        assert parts() == (replica, primary)
        assert images() == {build}
        succeeded, said = upgrade(postgres_image=build).end()
        assert succeeded
        assert changed(said) == 0
    assert seen["lost"] == []


@pytest.mark.parametrize(
    ("version", "told"), [("18.1", "another major version needs its data converted"), ("17.0", "which is older")]
)
def test_what_is_no_minor_upgrade_is_refused(version, told):
    before = parts()
    succeeded, said = upgrade(postgres_version=version).end()
    assert not succeeded
    assert told in said
    assert parts() == before
