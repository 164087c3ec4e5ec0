"""A second environment in the lab's project, of one server: begun as a person would begin it, taken away with all it
left.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab import settings
from tests.checkout import ROOT
from tests.launcher import Answer, launcher, succeed

SERVER = "staging-01"
BUCKETS = ("bulwark-staging-uploads", "bulwark-staging-backups")
_LAB = ROOT / "inventories/lab/group_vars/all"

#: Carried out by the administrator, who reaches the object storage.
_EMPTY = f"""
import boto3, json, os
with open(os.environ["BULWARK_STATE"] + "/object-storage.json") as file:
    keys = json.load(file)
storage = boto3.resource(
    "s3", endpoint_url="https://{settings.OBJECT_STORAGE_NAME}", region_name="lab",
    aws_access_key_id=keys["access_key"], aws_secret_access_key=keys["secret_key"],
)
for bucket in storage.buckets.all():
    if bucket.name in {BUCKETS!r}:
        bucket.objects.all().delete()
        bucket.delete()
"""


@dataclass(frozen=True)
class Staging:
    """The environment's inventory and vault, in a folder of the test's own."""

    folder: Path

    @property
    def inventory(self) -> Path:
        return self.folder / "staging"

    @property
    def _password(self) -> Path:
        return self.folder / "password"

    def begin(self) -> str:
        """What init says of it."""
        keys = json.loads((settings.STATE / "object-storage.json").read_text())
        answers = {
            "admin_addresses": "198.51.100.10",
            "admin_name": "lab",
            "admin_key": (settings.STATE / "admin_ed25519.pub").read_text().strip(),
            "image": "debian-13",
            "one_server": "yes",
            "object_storage_endpoint": f"https://{settings.OBJECT_STORAGE_NAME}",
            "object_storage_region": "lab",
            "object_storage_uploads_bucket": BUCKETS[0],
            "object_storage_backups_bucket": BUCKETS[1],
            "object_storage_access_key": keys["access_key"],
            "object_storage_secret_key": keys["secret_key"],
        }
        file = self.folder / "answers.yml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(answers))
        variables = {
            "environment_name": "staging",
            "inventory_path": str(self.inventory),
            "vault_password_file": str(self._password),
            "answers_file": str(file),
        }
        said = succeed("run", "-i", "localhost,", "playbooks/init.yml", "-e", json.dumps(variables))
        # What the embedded cloud has of packages and images is the same for everybody in it.
        shutil.copy(_LAB / "lab.yml", self.inventory / "group_vars/all/lab.yml")
        own = {"application_environment": {}, "application_network": "application"}
        (self.inventory / "group_vars/all/own.yml").write_text(yaml.safe_dump(own))
        return said

    def words(self, *more: str) -> tuple[str, ...]:
        return ("run", "-i", str(self.inventory), "--vault-password-file", str(self._password), *more)

    def run(self, *more: str) -> str:
        return succeed(*self.words(*more))

    def refused(self, *more: str) -> str:
        answer: Answer = launcher(*self.words(*more))
        assert answer.code != 0, answer.text[-5000:]
        return answer.text

    def make(self) -> str:
        """Everything of site.yml, with what a user deploys before it is verified."""
        return self.run(
            *(f"playbooks/{name}.yml" for name in ("provision", "edge", "converge")),
            "lab/application/deploy.yml",
            "playbooks/verify.yml",
        )

    def end(self) -> str:
        said = self.run("playbooks/destroy.yml", "-e", "confirm=staging", "-e", "allow=volumes")
        succeed("shell", feed=f"python3 - <<'PYTHON'\n{_EMPTY}\nPYTHON\n")
        return said
