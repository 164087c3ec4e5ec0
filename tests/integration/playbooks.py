"""Playbooks against the embedded APIs alone: on the lab's variables, with an inventory that knows no servers."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import yaml

from tests.checkout import ROOT, ansible_environment, tool
from tests.lab.cloud_api import SSH_KEY, TOKEN, CloudApi
from tests.lab.cloudflare_api import CloudflareApi


def lab_topology() -> dict[str, Any]:
    """Without buckets, which are made in test_object_storage.py: there is no object storage here."""
    declared: dict[str, Any] = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/topology.yml").read_text())
    del declared["topology"]["object_storage"]
    return declared


def playbook(
    api: CloudApi,
    name: str,
    *arguments: str,
    token: str = TOKEN,
    cloudflare: CloudflareApi | None = None,
    then: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Without a Cloudflare, the lab has no edge. ``then`` are paths of playbooks that follow in the same run."""
    variables = lab_topology()
    if cloudflare is None:
        del variables["topology"]["edge"]
    environment = ansible_environment(
        HCLOUD_TOKEN=token,
        HCLOUD_ENDPOINT=api.url,
        CLOUDFLARE_API_TOKEN=cloudflare.token if cloudflare else "none",
        CLOUDFLARE_API_ENDPOINT=cloudflare.url if cloudflare else "http://127.0.0.1:9/client/v4",
        BULWARK_LAB_PUBLIC_KEY=SSH_KEY,
        ANSIBLE_INVENTORY_UNPARSED_WARNING="false",
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
    )
    words = [
        tool("ansible-playbook"),
        str(ROOT / "playbooks" / name),
        *then,
        "-i",
        "localhost,",
        "-e",
        json.dumps(variables),
    ]
    return subprocess.run(
        [*words, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
