"""Ansible's programs with the inventory of an API on loopback."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.checkout import ansible_environment, tool
from tests.unit.inventory.builders import TOKEN, FakeApi


@dataclass
class Runner:
    """Runs Ansible's programs on one configuration file, apart from the user's own settings."""

    api: FakeApi
    home: Path

    def configure(self, **options: Any) -> None:
        config = {"plugin": "bulwark.hetzner.servers", "environments": ["production"], **options}
        (self.home / "servers.yml").write_text(json.dumps(config))

    def cached(self) -> dict[str, Any]:
        return {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(self.home / "cache")}

    def run(self, program: str, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        variables = {"HOME": str(self.home), "HCLOUD_TOKEN": TOKEN, "HCLOUD_ENDPOINT": self.api.endpoint, **environment}
        command = [tool(program), "-i", str(self.home / "servers.yml"), *arguments]
        known = {name: value for name, value in variables.items() if value is not None}
        return subprocess.run(
            command,
            env=ansible_environment(COLUMNS="1000", **known),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def listing(self, **environment: str | None) -> dict[str, Any]:
        result = self.run("ansible-inventory", "--list", **environment)
        assert result.returncode == 0, result.stderr
        # ansible-inventory marks a string that must not become a template as {"__ansible_unsafe": string}.
        listing: dict[str, Any] = json.loads(result.stdout, object_hook=lambda item: item.get("__ansible_unsafe", item))
        return listing

    def failure(self, **environment: str | None) -> str:
        result = self.run("ansible-inventory", "--list", **environment)
        assert result.returncode != 0, result.stdout
        return " ".join(result.stderr.split())
