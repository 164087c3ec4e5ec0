"""What the tests do with the pair: ask it, run the playbooks on it as an administrator would, write to it meanwhile."""

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import testinfra

ROOT = Path(__file__).parents[3]
NAMES = ("molecule-pair-1", "molecule-pair-2")
HOSTS = {name: testinfra.get_host(f"docker://{name}") for name in NAMES}
DATA = "/var/lib/postgresql"
# The escaped form is what PostgreSQL's file of passwords wants.
PGPASS = r"""*:*:*:*:not\: a "secret" \\ 'one'"""
_WRITER = "/root/writer.py {} --url {} --out /root/written --psql 'docker exec --interactive client psql'"


def sql(name, query, database="postgres"):
    words = "docker exec --user 999 bulwark-postgres psql -U postgres -d %s -Atc %s"
    return HOSTS[name].check_output(words, database, query)


def asked(name, query):
    """As sql(), empty where there is no answer."""
    words = "docker exec --user 999 bulwark-postgres psql -U postgres -Atc %s"
    return HOSTS[name].run(words, query).stdout.strip()


def shell(name, command):
    return HOSTS[name].check_output(command)


def address(name):
    """As the other member knows it."""
    other = NAMES[1 - NAMES.index(name)]
    return json.loads(HOSTS[other].file("/etc/bulwark/postgres/members.json").content_string)["peers"][0]["address"]


def until(holds, seconds=40):
    for _ in range(seconds * 5):
        if holds():
            return
        time.sleep(0.2)
    pytest.fail(f"it did not come about within {seconds} s")


def is_primary(name):
    return asked(name, "SELECT pg_is_in_recovery()") == "f"


def streams(name):
    return asked(name, "SELECT status FROM pg_stat_wal_receiver") == "streaming"


def parts():
    """Names of the primary and of its replica, once there are both."""
    until(lambda: sorted(map(is_primary, NAMES)) == [False, True])
    primary, replica = NAMES if is_primary(NAMES[0]) else NAMES[::-1]
    until(lambda: streams(replica))
    return primary, replica


class Playbook:
    """A playbook that runs, and what it says."""

    def __init__(self, path, *words, confirm="molecule"):
        known = {"topology": {"environment": "molecule"}, "postgres_pair_power": False}
        known |= {"confirm": confirm} if confirm else {}
        inventory = ("-i", os.environ["MOLECULE_INVENTORY_FILE"])
        self.process = subprocess.Popen(
            [Path(sys.executable).parent / "ansible-playbook", *inventory, path, "-e", json.dumps(known), *words],
            cwd=ROOT,
            env=os.environ
            | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""

    def until_it_says(self, text):
        while text not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    def end(self):
        """Its words as one line, and whether it succeeded."""
        self.said += self.process.communicate(timeout=600)[0]
        return self.process.returncode == 0, re.sub(r"\s+", " ", self.said)


def play(verb, *words, path=None, **known):
    ended_well, said = Playbook(path or f"playbooks/{verb}.yml", *words, **known).end()
    assert ended_well, said
    return said


def refused(verb, *words, **known):
    ended_well, said = Playbook(f"playbooks/{verb}.yml", *words, **known).end()
    assert not ended_well, said
    assert "changed=1" not in said
    return said


def changed(said):
    return sum(int(number) for number in re.findall(r"changed=(\d+)", said))


@contextmanager
def writing(where=NAMES[1]):
    """A client on one of the servers writes meanwhile; at the end the result says what it saw."""
    host, seen = HOSTS[where], {}
    if not host.file("/root/writer.py").exists:
        _bring_client(where)
    url = _url()
    host.run("rm /root/written")
    host.check_output(
        f"nohup python3 {_WRITER} >/root/writer.log 2>&1 & echo $! >/root/writer.pid".format("write", f"'{url}'")
    )
    try:
        until(lambda: _rows(host) > 5)
        yield seen
        before = _rows(host)
        until(lambda: _rows(host) > before + 5)
    finally:
        host.run("kill $(cat /root/writer.pid)")
    seen.update(json.loads(host.check_output(f"python3 {_WRITER}".format("report", f"'{url}'"))))
    print(seen)


def _rows(host):
    return int(host.run("wc -l </root/written").stdout or 0)


def _url():
    """As an application gets it."""
    known = {
        "host": ",".join(map(address, NAMES)),
        "user": "rails_app",
        "dbname": "rails_production",
        "target_session_attrs": "read-write",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/bulwark/postgres/ca.crt",
        "passfile": "/root/pgpass",
        "connect_timeout": "2",
    }
    return " ".join(f"{name}={value}" for name, value in known.items())


def _bring_client(where):
    """psql in a container that does not end with PostgreSQL, and the writer."""
    host = HOSTS[where]
    subprocess.run(
        ["docker", "exec", "--interactive", where, "sh", "-c", "umask 077; cat >/root/pgpass"],
        input=f"{PGPASS}\n",
        text=True,
        check=True,
    )
    image = host.check_output("docker inspect --format '{{.Config.Image}}' bulwark-postgres")
    host.check_output(
        "docker run --detach --name client --network host --user 0 --volume /root/pgpass:/root/pgpass:ro "
        "--volume /etc/bulwark/postgres:/etc/bulwark/postgres:ro --entrypoint sleep %s infinity",
        image,
    )
    subprocess.run(["docker", "cp", ROOT / "tests/real/writer.py", f"{where}:/root/writer.py"], check=True)
