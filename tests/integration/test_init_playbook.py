"""An environment started by the playbook, against both embedded APIs."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import infrastructure

from tests.checkout import ROOT, ansible_environment, tool
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi
from tests.lab.cloudflare_api import ZONE, CloudflareApi

ANSWERS = {
    "admin_addresses": "198.51.100.10",
    "admin_key": SSH_KEY,
    "image": "debian-13",
    "edge_zone": ZONE,
    "edge_zone_owned": "yes",
}
VAULT = "group_vars/all/vault.yml"
TOPOLOGY = "group_vars/all/topology.yml"


@pytest.fixture
def cloudflare(tmp_path: Path) -> Iterator[CloudflareApi]:
    folder = tmp_path / "cloudflare"
    folder.mkdir()
    served = CloudflareApi(folder)
    yield served
    served.close()


class Beginning:
    """An empty place for an inventory, and the playbook."""

    def __init__(self, api: CloudApi, cloudflare: CloudflareApi, folder: Path) -> None:
        self.api, self.cloudflare = api, cloudflare
        self.home = folder / "home"
        self.home.mkdir()
        self.inventory = folder / "inventories/production"
        self.password_file = folder / "elsewhere/password"

    def environment(self, token: str) -> dict[str, str]:
        return ansible_environment(
            HCLOUD_TOKEN=token,
            HCLOUD_ENDPOINT=self.api.url,
            CLOUDFLARE_API_TOKEN=self.cloudflare.token,
            CLOUDFLARE_API_ENDPOINT=self.cloudflare.url,
            ANSIBLE_INVENTORY_UNPARSED_WARNING="false",
            HOME=str(self.home),
        )

    def run(self, *words: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool("ansible-playbook"), *words],
            cwd=ROOT,
            env=self.environment(token),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def init(self, answers: dict[str, Any] | None = None, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        variables = {
            "environment_name": "production",
            "inventory_path": str(self.inventory),
            "vault_password_file": str(self.password_file),
            "answers": ANSWERS if answers is None else answers,
        }
        return self.run(
            "-i", "localhost,", "playbooks/init.yml", "-vv", "--diff", "-e", json.dumps(variables), token=token
        )

    def refused(self, sentence: str, answers: dict[str, Any] | None = None, token: str = TOKEN) -> None:
        """The run ends with the sentence, and nothing is written."""
        before = self.files()
        done = self.init(answers, token)
        assert done.returncode != 0, done.stdout
        assert sentence in " ".join((done.stdout + done.stderr).split())
        assert self.files() == before

    def files(self) -> dict[str, str]:
        root = self.inventory.parent.parent
        names = [*root.glob("inventories/**/*"), *root.glob("elsewhere/*")]
        return {str(path.relative_to(root)): path.read_text() for path in names if path.is_file()}

    def vault(self) -> dict[str, Any]:
        words = [
            tool("ansible-vault"),
            "view",
            "--vault-password-file",
            str(self.password_file),
            str(self.inventory / VAULT),
        ]
        shown = subprocess.run(words, env=self.environment(TOKEN), capture_output=True, text=True, check=True).stdout
        opened: dict[str, Any] = yaml.safe_load(shown)
        return opened


@pytest.fixture
def beginning(api: CloudApi, cloudflare: CloudflareApi, tmp_path: Path) -> Beginning:
    return Beginning(api, cloudflare, tmp_path)


def test_from_answers_to_an_inventory_that_provision_takes(beginning: Beginning) -> None:
    done = beginning.init()
    assert done.returncode == 0, done.stdout + done.stderr
    files = beginning.files()
    assert set(files) == {
        "inventories/production/group_vars/all/topology.yml",
        "inventories/production/group_vars/all/vault.yml",
        "inventories/production/group_vars/role_app.yml",
        "inventories/production/group_vars/role_jobs.yml",
        "inventories/production/servers.yml",
        "elsewhere/password",
    }
    assert stat.S_IMODE(beginning.password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE((beginning.inventory / VAULT).stat().st_mode) == 0o600

    secrets = beginning.vault()
    shown = done.stdout + done.stderr
    assert files["elsewhere/password"].strip() not in shown
    assert "PRIVATE KEY" not in shown
    for secret in (*secrets["bulwark_database_passwords"].values(), secrets["bulwark_edge_secret"]):
        assert secret not in shown
        assert secret not in "".join(files.values())
    # The price by the API's own list, and the command that comes next.
    listed = beginning.api.get("/pricing")["pricing"]
    assert f"{listed['currency']} " in shown
    assert "4 x cax31" in shown  # two application and two database servers
    assert "load balancer lb11" in shown
    assert "playbooks/provision.yml --check --diff" in shown
    assert "Nobody is told of alerts until you say who" in shown
    assert beginning.api.get("/servers")["servers"] == []  # nothing was made

    # What an environment gets is what the example says.
    for group in ("role_app", "role_jobs"):
        example = ROOT / f"inventories/production/group_vars/{group}.yml"
        assert files[f"inventories/production/group_vars/{group}.yml"] == example.read_text()

    topology = yaml.safe_load(files["inventories/production/group_vars/all/topology.yml"])["topology"]
    assert infrastructure(topology)["environment_name"] == "production"

    again = beginning.init()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0" in again.stdout
    assert beginning.files() == files
    # Without answers it goes by what is there.
    bare = beginning.init({})
    assert bare.returncode == 0, bare.stdout + bare.stderr
    assert "changed=0" in bare.stdout

    known = ("-i", str(beginning.inventory), "--vault-password-file", str(beginning.password_file))
    checked = beginning.run(*known, "playbooks/provision.yml", "--check", "--diff")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "app-02" in checked.stdout
    priced = beginning.run(*known, "playbooks/price.yml")
    assert priced.returncode == 0, priced.stdout + priced.stderr
    (total,) = re.findall(r"a month +\S+ +\S+", priced.stdout)
    assert total in shown
    assert beginning.api.get("/servers")["servers"] == []


def test_a_run_that_was_killed_is_completed_and_keeps_its_secrets(beginning: Beginning) -> None:
    assert beginning.init().returncode == 0
    files, secrets = beginning.files(), beginning.vault()
    # Killed before the last file …
    (beginning.inventory / "servers.yml").unlink()
    (beginning.inventory / ".servers.yml.new").write_text("half")
    assert beginning.init().returncode == 0
    assert beginning.files() == files
    # … and before the vault, of which the password was made already.
    (beginning.inventory / "servers.yml").unlink()
    (beginning.inventory / VAULT).unlink()
    assert beginning.init().returncode == 0
    assert beginning.files()["elsewhere/password"] == files["elsewhere/password"]
    assert beginning.vault().keys() == secrets.keys()


def test_examples_are_replaced_and_files_of_people_are_not(beginning: Beginning) -> None:
    shutil.copytree(ROOT / "inventories/production", beginning.inventory)
    assert "REPLACE-ME" in (beginning.inventory / TOPOLOGY).read_text()
    done = beginning.init()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "REPLACE-ME" not in "".join(beginning.files().values())
    beginning.refused("says something else than the answers", ANSWERS | {"location": "nbg1"})
    password = beginning.password_file.read_text()
    beginning.password_file.write_text("another\n")
    beginning.refused("ansible-vault cannot decrypt with the password in")
    beginning.password_file.unlink()
    beginning.refused("but not the file with its password")
    beginning.password_file.write_text(password)
    beginning.password_file.chmod(0o644)
    beginning.refused("chmod 600")


def test_tokens_that_will_not_do(beginning: Beginning) -> None:
    beginning.refused("The API does not accept the token: check HCLOUD_TOKEN", token="wrong")
    fault = beginning.api.order_fault("error", code="token_readonly", method="POST", path="/ssh_keys")
    beginning.refused("The token may only read: create one with read and write permission.")
    beginning.api.manage("DELETE", f"/faults/{fault}", status=204)

    made = beginning.cloudflare.manage(
        "POST", "/tokens", {"permissions": ["Zone Read", "DNS Write", "SSL and Certificates Write"]}, status=201
    )
    whole, beginning.cloudflare.token = beginning.cloudflare.token, made["token"]["value"]
    beginning.refused(
        "The token lacks the permissions Zone → Zone Settings → Edit and Zone → Transform Rules → Edit for the zone"
    )
    beginning.cloudflare.token = "wrong"
    beginning.refused("CLOUDFLARE_API_TOKEN")
    beginning.cloudflare.token = whole
    beginning.refused(f"it sees {ZONE}", ANSWERS | {"edge_zone": "bulwark.invalid"})


def test_what_stands_in_the_way(beginning: Beginning) -> None:
    beginning.api.post("/networks", name="production-network", ip_range="10.0.0.0/16")
    beginning.refused("production-network")
    beginning.refused("cax99", ANSWERS | {"servers": {"app": {"type": "cax99"}}})
    beginning.refused("there is no location nowhere", ANSWERS | {"location": "nowhere"})
    told = beginning.init({"admin_addresses": "198.51.100.10"})
    assert "[ERROR]: Task failed: Action failed: answers.admin_key is missing: give the content of" in told.stdout
    assert beginning.files() == {}
