"""The playbook that writes an application's secrets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, ansible_environment, tool

PASSWORD = "it's a p@ss$word"
SECRET_KEY = "s+e/c="


@pytest.fixture
def home(tmp_path: Path) -> Path:
    hosts = {
        name: {
            "bulwark_server": {
                "name": name,
                "env": "trial",
                "private_address": address,
                "public_address": None,
                "volumes": [],
            }
        }
        for name, address in (("db-primary", "10.0.0.6"), ("db-replica", "10.0.0.7"))
    }
    storage = {
        "endpoint": "https://storage.example",
        "region": "fsn1",
        "uploads_bucket": "up",
        "backups_bucket": "back",
    }
    variables = {
        "topology": {"environment": "trial", "object_storage": storage},
        "bulwark_database_passwords": {"rails_app": PASSWORD},
        "bulwark_object_storage_access_key": "AK1",
        "bulwark_object_storage_secret_key": SECRET_KEY,
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
    }
    inventory = {"all": {"vars": variables}, "role_db": {"hosts": hosts}}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory))
    return tmp_path


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = ansible_environment(HOME=str(home), PWD=str(home))
    command = [tool("ansible-playbook"), "-i", str(home / "hosts.json"), str(ROOT / "playbooks/connection_facts.yml")]
    return subprocess.run(
        [*command, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
    )


def test_the_file_is_its_owners_and_shown_nowhere(home: Path) -> None:
    written = home / "reports/secrets-trial.env"

    check = run(home, "--check", "--diff")
    assert check.returncode == 0, check.stdout + check.stderr
    assert not written.exists()

    first = run(home, "--diff", "-vv")
    assert first.returncode == 0, first.stdout + first.stderr
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.parent.stat().st_mode & 0o777 == 0o700
    for text in (PASSWORD, "it%27s%20a", SECRET_KEY):
        assert text not in check.stdout + check.stderr + first.stdout + first.stderr
    assert "holds DATABASE_URL, DATABASE_READ_URL, REPLICA_DATABASE_URL, CACHE_DATABASE_URL" in " ".join(
        first.stdout.split()
    )

    again = run(home)
    assert "changed=0" in again.stdout


def test_a_shell_reads_what_kamal_reads(home: Path) -> None:
    run(home, "-e", "connection_facts_path=.kamal/secrets-common")
    shell = '. .kamal/secrets-common; printf "%s\\n" "$DATABASE_URL" "$S3_SECRET_ACCESS_KEY"'
    url, key = subprocess.run(
        ["sh", "-c", shell], cwd=home, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    start = "postgresql://rails_app:it%27s%20a%20p%40ss%24word@10.0.0.6:5432/rails_production?"
    assert url.startswith(f"{start}host=10.0.0.6,10.0.0.7&port=5432,5432&target_session_attrs=read-write&")
    assert key == SECRET_KEY


def test_a_file_with_other_secrets_is_left_alone(home: Path) -> None:
    file = home / "secrets"
    file.write_text("DATABASE_URL=old\nRAILS_MASTER_KEY=other\n")
    refused = run(home, "-e", "connection_facts_path=secrets")
    assert refused.returncode != 0
    assert "secrets also holds RAILS_MASTER_KEY, which would be lost" in " ".join(refused.stdout.split())
    assert "RAILS_MASTER_KEY=other" in file.read_text()


def test_what_is_there_while_secrets_change_and_goes_afterwards(home: Path) -> None:
    passwords = {"rails_app": PASSWORD, "rails_app_alternate": "the other login's"}
    changing = {
        "bulwark_database_passwords": passwords,
        "bulwark_database_login": "rails_app_alternate",
        "bulwark_edge_secret": "sent-by-the-edge",
        "bulwark_edge_secret_next": "sent-soon",
    }
    written = home / "reports/secrets-trial.env"
    assert run(home, "-e", json.dumps(changing)).returncode == 0
    text = written.read_text()
    assert "DATABASE_URL='postgresql://rails_app_alternate:the%20other%20login%27s@10.0.0.6:5432/" in text
    assert "EDGE_SECRET='sent-by-the-edge'\nEDGE_SECRET_OTHER='sent-soon'\n" in text
    del changing["bulwark_edge_secret_next"]
    assert run(home, "-e", json.dumps(changing)).returncode == 0
    assert "EDGE_SECRET_OTHER" not in written.read_text()
