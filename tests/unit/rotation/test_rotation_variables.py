"""What playbooks tell roles of a vault in which something is being rotated."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting import secrets
from cryptography import x509

from tests.checkout import ROOT, ansible_environment, tool

CERTIFICATE = secrets.DATABASE_AUTHORITY[1]
FIRST, SECOND = (secrets.database_authority()[1] for _ in range(2))


def value(home: Path, name: str, vault: dict[str, Any]) -> Any:
    """A variable of playbooks/group_vars, as Ansible gives it to a role."""
    file = home / "value.json"
    (home / "vault.json").write_text(json.dumps(vault))
    copied = json.dumps({"content": "{{ " + name + " | to_json }}", "dest": str(file), "mode": "0600"})
    words = ["-i", "localhost,", "-c", "local", "localhost", "-m", "ansible.builtin.copy", "-a", copied]
    words += ["-e", f"@{ROOT}/playbooks/group_vars/all.yml", "-e", f"@{home}/vault.json"]
    words += ["-e", "ansible_python_interpreter={{ansible_playbook_python}}"]
    subprocess.run([tool("ansible"), *words], env=ansible_environment(HOME=str(home)), capture_output=True, check=True)
    return json.loads(file.read_text())


@pytest.mark.parametrize("other", ["next", "former", ""])
def test_clients_trust_both_authorities_the_one_that_signs_first(tmp_path: Path, other: str) -> None:
    vault = {CERTIFICATE: FIRST} | ({f"bulwark_database_authority_{other}_certificate": SECOND} if other else {})
    found = value(tmp_path, "postgres_ca_certificate", vault)
    wanted = [FIRST, SECOND] if other else [FIRST]
    assert found == "".join(wanted)
    assert x509.load_pem_x509_certificates(found.encode()) == [
        x509.load_pem_x509_certificate(each.encode()) for each in wanted
    ]


def test_the_application_accepts_what_the_edge_sends_and_the_other_one(tmp_path: Path) -> None:
    assert value(tmp_path, "edge_secrets", {}) == {}
    assert value(tmp_path, "edge_secrets", {secrets.Wanted(edge=True).names()[-1]: "now"}) == {"EDGE_SECRET": "now"}
    former = {"bulwark_edge_secret": "now", "bulwark_edge_secret_next": "", "bulwark_edge_secret_former": "before"}
    assert value(tmp_path, "edge_secrets", former) == {"EDGE_SECRET": "now", "EDGE_SECRET_OTHER": "before"}
