"""A job the way AWX runs it: the inventory read beforehand and handed over as data, secrets encrypted value by value,
the key in an agent, the vault's password at a prompt, and a folder of its own that is deleted afterwards.

Run as a program, by somebody who has the lab's environment (`./bulwark shell`), with what a survey gave as JSON:
python -m tests.awx_job FOLDER PLAYBOOK VARIABLES [--check]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner  # type: ignore[import-untyped]  # because it brings no types
import yaml

from tests.checkout import ROOT, tool

# What credentials put into a job's environment, and the lab in their place; the rest of the caller's stays outside.
CARRIED = ("HCLOUD_", "CLOUDFLARE_", "BULWARK_LAB_", "BULWARK_HOST_AUTHORITIES", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
CARRIED += ("REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "PATH", "LANG")


class _Encrypted(str):
    """A value that only the vault's password opens."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(_Encrypted, lambda dumper, value: dumper.represent_scalar("!vault", str(value), style="|"))


def encrypt_values(variables: Any, password: str) -> Any:
    """The same variables, every value encrypted by itself, as docs/awx.md asks for."""
    if isinstance(variables, dict):
        return {name: encrypt_values(value, password) for name, value in variables.items()}
    from ansible.parsing.vault import VaultLib, VaultSecret

    vault = VaultLib([("default", VaultSecret(password.encode()))])
    return _Encrypted(vault.encrypt(str(variables)).decode())


def as_yaml(variables: Any) -> str:
    return yaml.dump(variables, Dumper=_Dumper)


@dataclass
class Job:
    """One job in a folder of its own, which begins with nothing but the project in `project`."""

    folder: Path
    environment: dict[str, str]
    vault_password: str
    key: str
    result: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "cp", "inventory"):
            (self.folder / name).mkdir(mode=0o700)
        self.environment = self.environment | {
            "PATH": f"{Path(sys.executable).parent}:{self.environment['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PWD": str(self.project),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def read_inventory(self, source: str) -> None:
        """What AWX's update of an inventory does: without the vault's password, and with the source's variables.

        The container's folder is this one. RuntimeError says what ansible-inventory did when it fails.
        """
        declared = yaml.safe_load((ROOT / "awx/inventory.yml").read_text())["awx_inventory_source"]["source_vars"]
        own = {name: value.replace("/runner", str(self.folder)) for name, value in declared.items()}
        found = self.folder / "inventory.json"
        done = subprocess.run(
            [
                *(tool("ansible-inventory"), "--list", "--export", "-i", str(self.project / source)),
                *("--output", str(found), "--playbook-dir", str((self.project / source).parent)),
            ],
            cwd=self.project,
            env=self.environment | own | {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "True"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        hosts = self.folder / "inventory/hosts"
        hosts.write_text(f"#!{sys.executable}\nprint({found.read_text()!r})\n")
        hosts.chmod(0o700)

    def run(self, playbook: str, variables: dict[str, Any] | None = None, check: bool = False) -> int:
        """Run the playbook; its output goes to this process's. Returns the exit code, and leaves the result.

        ``check``: as a template whose job type is check.
        """
        os.environ.clear()  # ansible-runner would hand it on
        os.environ.update(self.environment)
        ended = ansible_runner.run(
            private_data_dir=str(self.folder),
            playbook=playbook,
            envvars={"ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "cp")},
            extravars=variables or {},
            passwords={r"Vault password:\s*?$": self.vault_password},
            ssh_key=self.key,
            cmdline="--ask-vault-pass --diff" + (" --check" if check else ""),
            suppress_env_files=True,
        )
        self.result = {"status": ended.status, "rc": ended.rc, "stats": ended.stats}
        return int(ended.rc)


def copy_project(target: Path) -> None:
    """What a clone would have, with what is about to be committed."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).exists() and name != ".venv":
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def main(folder: Path, playbook: str, variables: dict[str, Any], check: bool) -> int:
    state = Path(os.environ["BULWARK_STATE"])
    password = Path(os.environ["ANSIBLE_VAULT_PASSWORD_FILE"]).read_text().strip()
    key = Path(os.environ["ANSIBLE_PRIVATE_KEY_FILE"]).read_text()
    opened = subprocess.run(
        [tool("ansible-vault"), "view", str(state / "inventory/group_vars/all/vault.yml")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    copy_project(folder / "project")
    secrets = folder / "project/inventories/lab/group_vars/all/vault.yml"
    secrets.write_text(as_yaml(encrypt_values(yaml.safe_load(opened), password)))
    job = Job(folder, {name: value for name, value in os.environ.items() if name.startswith(CARRIED)}, password, key)
    job.read_inventory("inventories/lab/servers.yml")
    code = job.run(playbook, variables, check)
    print(json.dumps(job.result))
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), "--check" in sys.argv[4:]))
