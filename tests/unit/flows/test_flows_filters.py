"""The filters, as Ansible runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.filter import (
    host_rules,
    permit_open,
    pg_hba,
    reachability,
    scrape_targets,
)

from tests.checkout import ROOT, ansible_environment, tool
from tests.unit.flows.builders import records, topology

ARGUMENTS = {
    "host_rules": ["db-primary"],
    "pg_hba": ["db-primary"],
    "permit_open": ["bastion-server"],
    "scrape_targets": ["node-metrics"],
    "reachability": [],
}
FILTERS = {
    name: function
    for plugin in (host_rules, pg_hba, permit_open, scrape_targets, reachability)
    for name, function in plugin.FilterModule().filters().items()
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_each_filter_takes_a_list_or_what_map_gives(name: str) -> None:
    data = topology()
    listed = FILTERS[name](data, records(data), *ARGUMENTS[name])
    assert listed
    assert FILTERS[name](data, iter(records(data)), *ARGUMENTS[name]) == listed
    assert json.loads(json.dumps(listed)) == listed, "plain data"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_each_filter_refuses_with_the_sentence(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match="did you mean 'tunnels'"):
        FILTERS[name](topology(flows={"tunels": False}), [], *ARGUMENTS[name])
    with pytest.raises(AnsibleFilterError, match="Flows need a list"):
        FILTERS[name](topology(), "app-01", *ARGUMENTS[name])


def test_templates_are_resolved_in_the_topology_and_inert_in_the_inventory(tmp_path: Path) -> None:
    template = "{{ 6 * 7 }}"
    data: dict[str, Any] = topology(flows={"trial": {"from": "bastion", "to": "app", "ports": "{{ 3000 + 42 }}"}})
    servers = records(topology())
    servers[1]["name"] = template
    (tmp_path / "servers.json").write_text(json.dumps(servers))
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {
            "topology": data,
            "servers": "{{ lookup('ansible.builtin.file', file) | from_json }}",
            "found": "{{ topology | bulwark.hetzner.scrape_targets(servers, 'trial') }}",
        },
        "tasks": [
            {
                "ansible.builtin.copy": {
                    "content": "{{ found | map(attribute='host') | join(' ') }} {{ found[0].address }}",
                    "dest": str(tmp_path / "found"),
                    "mode": "0644",
                }
            }
        ],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        [
            tool("ansible-playbook"),
            "-i",
            "localhost,",
            "-c",
            "local",
            "play.yml",
            "-e",
            f"file={tmp_path}/servers.json",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=ansible_environment(ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".collections")),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "found").read_text() == f"app-02 {template} 10.0.0.4:3042"
