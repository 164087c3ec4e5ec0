"""drift.yml on the lab: nothing on what is as declared; damage is found, named, and left as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher import Answer, launcher, on, recap, status, succeed
from tests.real.users import shell

FOUND, UNREACHABLE = 3, 4
SECRET_FILE = "/etc/bulwark/database/database.env"
PLANTED = "planted-secret-that-nobody-may-read"

#: By host: what is broken by hand, what that leaves, and the role that has to find it.
DAMAGE = {
    "app-01": (
        f"echo 'kernel.panic = 7' >>/etc/sysctl.d/60-bulwark.conf; echo DATABASE_PASSWORD={PLANTED} >>{SECRET_FILE}; "
        "ufw allow 8080/tcp >/dev/null; systemctl stop prometheus-node-exporter",
        f"sha256sum /etc/sysctl.d/60-bulwark.conf {SECRET_FILE}; ufw status; "
        "systemctl is-active prometheus-node-exporter || true",
        {"server_baseline", "database_client", "ufw_zero_trust", "node_exporter"},
    ),
    "bastion-server": (
        "nft add rule ip bulwark_nat forward ip saddr 192.0.2.1 accept",
        "nft list table ip bulwark_nat",
        {"bastion_nat"},
    ),
    "jobs-01": (
        # A setting that is read again without a restart.
        """python3 -c '
import json, pathlib
path = pathlib.Path("/etc/docker/daemon.json")
path.write_text(json.dumps(json.loads(path.read_text()) | {"debug": True}))'""",
        "cat /etc/docker/daemon.json; docker info --format '{{.Debug}}'",
        {"docker"},
    ),
}


def drift(folder: Path, *words: str) -> tuple[Answer, dict[str, Any]]:
    path = folder / "drift.json"
    answer = launcher("run", "playbooks/drift.yml", "-e", f"drift_report_path={path}", *words)
    report: dict[str, Any] = json.loads(path.read_text())
    return answer, report


def test_the_lab_as_it_was_made_has_none(tmp_path: Path) -> None:
    answer, report = drift(tmp_path)
    assert answer.code == 0, answer.text[-20000:]
    assert (report["drift"], report["complete"]) == (False, True)
    assert answer.text.rstrip().endswith("No drift: everything is as declared.")
    # All servers of this environment, and where the APIs are asked from.
    ours = {server["name"] for server in status()["servers"] if server["labels"].get("env") == "lab"}
    assert set(recap(answer.text)) == ours | {"localhost"}


def left() -> dict[str, str]:
    """What is broken, as it is."""
    found = {host: on(host, "sh", "-c", look) for host, (_, look, _) in DAMAGE.items()}
    found["rules"] = shell("hcloud firewall describe bastion-firewall -o json")
    return found


def mend() -> None:
    tags = ",".join({role for _, _, roles in DAMAGE.values() for role in roles} | {"provision"})
    succeed("run", "playbooks/site.yml", "--tags", tags, "--limit", f"localhost,{','.join(DAMAGE)}")


@pytest.fixture
def whole() -> Iterator[dict[str, str]]:
    """What will be broken, as it is; and as it is afterwards, whatever becomes of the test."""
    before = left()
    yield before
    if left() != before:
        mend()


def test_damage_is_found_and_left_as_it_is(tmp_path: Path, whole: dict[str, str]) -> None:
    for host, (breaking, _, _) in DAMAGE.items():
        on(host, "sh", "-c", breaking)
    shell("hcloud firewall add-rule bastion-firewall --direction in --protocol tcp --port 5432 --source-ips 0.0.0.0/0")
    broken = left()
    assert all(broken[place] != state for place, state in whole.items())

    answer, report = drift(tmp_path, "--limit", f"localhost,{','.join(DAMAGE)}")
    assert left() == broken, "drift.yml has changed something"
    assert answer.code == FOUND, answer.text[-20000:]
    assert report["complete"]
    by_part = {(item["host"], item["part"]): item for item in report["differences"]}
    assert {(host, role) for host, (_, _, roles) in DAMAGE.items() for role in roles} <= by_part.keys()
    assert {host for host, _ in by_part} == {*DAMAGE, "localhost"}
    assert "kernel.panic" in by_part["app-01", "server_baseline"]["diff"] + json.dumps(report["differences"])
    assert "firewall/bastion-firewall set_rules" in {item["what"] for item in report["differences"]}
    assert PLANTED not in answer.text + json.dumps(report)
    assert report["verdict"] in answer.text

    mend()
    assert left() == whole


def test_a_server_that_cannot_be_reached_is_not_called_whole(tmp_path: Path) -> None:
    words = ("--limit", "jobs-01", "--tags", "private_route", "-e", "ansible_port=9", "-e", "ansible_ssh_retries=0")
    words += ("-e", "ansible_control_path=none")  # not by the connection that an earlier run has left open
    answer, report = drift(tmp_path, *words)
    assert answer.code == UNREACHABLE, answer.text[-20000:]
    assert not report["complete"]
    assert {item["host"] for item in report["not_looked_at"]} >= {"jobs-01"}
    assert "Not everything could be looked at: jobs-01" in report["verdict"]
