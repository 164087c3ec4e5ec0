"""The architecture's picture: it holds what the topology declares, and its boxes and arrows can be told apart."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.bulwark.hetzner.plugins.filter.architecture_picture import architecture_picture
from ansible_collections.bulwark.hetzner.plugins.module_utils.picture.architecture import Architecture, architecture
from ansible_collections.bulwark.hetzner.plugins.module_utils.picture.drawing import svg
from ansible_collections.bulwark.hetzner.plugins.module_utils.picture.mermaid import mermaid
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.expand import infrastructure

from tests.checkout import ROOT, ansible_environment, tool
from tests.unit.topology.test_topology import ALICE, topology

EDGE = {"zone": "example.com", "hostnames": ["example.com", "www.example.com"]}
_SVG = "{http://www.w3.org/2000/svg}"

TOPOLOGIES = {
    "default": topology(),
    "edge": topology(edge=EDGE),
    "one-of-each": topology(edge=EDGE, servers={"app": {"count": 1}, "db": {"count": 1}}),
    "most": topology(edge=EDGE, servers={"app": {"count": 19}, "jobs": {"count": 19}, "db": {"count": 19}}),
    "little": topology(servers={"app": {"count": 0}, "jobs": {"count": 0}, "monitoring": {"count": 0}}),
    "flows": topology(
        edge=EDGE,
        flows={
            "app-metrics": {"ports": 9394},
            "mail": {"from": ["app", "servers"], "to": "monitoring", "protocol": "udp", "ports": "600-610"},
            "tunnels": False,
        },
    ),
    "shortcuts": topology(
        edge=EDGE,
        servers={"app": {"count": 9}},
        flows={
            f"from-{source.replace('_', '-')}-{number}": {"from": source, "to": goal, "ports": 7000 + number}
            for number, goal in enumerate(("app", "jobs", "monitoring"))
            for source in ("load_balancer", "bastion", "monitoring")
        }
        | {"back": {"from": "monitoring", "to": "bastion", "ports": 7009}},
    ),
}


def parse(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 because it was written by us


def arrows(picture: Architecture) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(arrow.source, arrow.target): arrow.labels for arrow in picture.arrows}


def test_flows_between_systems_are_arrows() -> None:
    assert arrows(architecture(topology(edge=EDGE))) == {
        ("admin", "bastion"): ("22", "ping"),
        ("internet", "edge"): ("443, 80",),
        ("edge", "load_balancer"): ("443, 80",),
        ("load_balancer", "app"): ("80",),
        ("app", "jobs"): ("80",),
        ("app", "db"): ("5432",),
        ("jobs", "db"): ("5432",),
        ("bastion", "db"): ("5432",),
        ("monitoring", "db"): ("5432",),
        ("monitoring", "app"): ("80",),
        ("bastion", "monitoring"): ("9090, 3001, 9093",),
    }


def test_flows_of_every_server_are_lines() -> None:
    picture = architecture(topology())
    assert picture.system("monitoring").notes == ["9100 to every server", "3100 from every server"]
    assert picture.system("bastion").notes == ["22 to private servers", "private servers to the internet by NAT"]


def test_replication_is_a_matter_of_several() -> None:
    both = architecture(topology())
    alone = architecture(topology(servers={"db": {"count": 1}}))
    assert "5432 between them: replication" in both.system("db").notes
    assert "5432 between them: replication" not in alone.system("db").notes


def test_what_the_topology_says_of_flows_is_followed() -> None:
    picture = architecture(TOPOLOGIES["flows"])
    found = arrows(picture)
    assert ("bastion", "monitoring") not in found
    assert found["monitoring", "app"] == ("80", "9394")
    assert found["app", "monitoring"] == ("600-610/udp",)
    assert "600-610/udp from every server" in picture.system("monitoring").notes


def test_without_an_edge_there_is_no_load_balancer() -> None:
    assert {system.key for system in architecture(topology()).systems} == {
        *("admin", "bastion", "app", "jobs", "db", "monitoring"),
    }


@pytest.mark.parametrize("data", TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_every_server_and_every_flow_is_in_both(data: dict[str, Any]) -> None:
    picture = architecture(data)
    drawn = "\n".join(parse(svg(picture)).itertext())
    text = mermaid(picture)
    servers = infrastructure(data)["servers"]
    assert servers
    for server in servers:
        address = server["networks"][0]["address"]
        assert re.search(rf"^{server['name']}  {re.escape(address)}$", drawn, re.M)
        assert f"<br>{server['name']} {address}" in text
    for flow in picture.flows:
        assert f"{flow.name}: " in drawn


@pytest.mark.parametrize("data", TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_boxes_lie_apart_and_within_the_picture(data: dict[str, Any]) -> None:
    root = parse(svg(architecture(data)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [
        tuple(float(item.attrib[key]) for key in ("x", "y", "width", "height"))
        for item in root.iter(f"{_SVG}rect")
        if item.attrib["class"].startswith("box")
    ]
    assert len(boxes) == len(architecture(data).systems)
    for number, (x, y, wide, tall) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + wide <= width
        assert y + tall <= height
        for left, top, other_wide, other_tall in boxes[number + 1 :]:
            assert x + wide <= left or left + other_wide <= x or y + tall <= top or top + other_tall <= y
    for item in root.iter(f"{_SVG}text"):
        assert 0 <= float(item.attrib["x"]) <= width
        assert 0 <= float(item.attrib["y"]) <= height


@pytest.mark.parametrize("data", TOPOLOGIES.values(), ids=TOPOLOGIES)
def test_arrows_that_pass_a_column_pass_between_its_boxes(data: dict[str, Any]) -> None:
    """Else an arrow from the bastion to the database would look like one from what stands between them."""
    root = parse(svg(architecture(data)))
    boxes = [item.attrib for item in root.iter(f"{_SVG}rect") if item.attrib["class"].startswith("box")]
    passing = [item.attrib["d"] for item in root.iter(f"{_SVG}path") if "H" in item.attrib["d"]]
    for path in passing:
        found = re.search(r"([\d.]+) ([\d.]+)H([\d.]+)C", path)
        assert found is not None
        first, y, last = map(float, found.groups())
        for box in boxes:
            left, top = float(box["x"]), float(box["y"])
            if left < max(first, last) and left + float(box["width"]) > min(first, last):
                assert not top < y < top + float(box["height"])
    between = {system.key for system in architecture(data).systems} & {"app", "jobs"}
    assert bool(passing) == bool(between)


def test_arrows_are_those_of_the_architecture() -> None:
    picture = architecture(topology(edge=EDGE))
    root = parse(svg(picture))
    titles = {title.text for path in root.iter(f"{_SVG}path") for title in path.iter(f"{_SVG}title")}
    assert titles == {f"{arrow.source} to {arrow.target}: {', '.join(arrow.labels)}" for arrow in picture.arrows}


def test_text_is_never_markup() -> None:
    picture = architecture(topology(edge=EDGE))
    picture.system("app").notes.append('<script>"&`')
    assert "<script" not in svg(picture)
    assert '<script>"&`' in "".join(parse(svg(picture)).itertext())
    assert "#60;script#62;#34;#38;#96;" in mermaid(picture)


def test_the_same_topology_gives_the_same_picture() -> None:
    assert architecture_picture(topology(edge=EDGE)) == architecture_picture(topology(edge=EDGE))


def test_a_topology_that_is_none_is_told() -> None:
    with pytest.raises(AnsibleFilterError, match=r"topology\.servers"):
        architecture_picture(topology(servers={"apps": {"count": 1}}))


def test_readme_holds_exactly_what_is_generated() -> None:
    """Of the production inventory, with a key and an edge in the place of what everybody has to fill in."""
    inventory = yaml.safe_load((ROOT / "inventories/production/group_vars/all/topology.yml").read_text())["topology"]
    wanted = architecture_picture(inventory | {"admin_keys": {"alice": ALICE}, "edge": EDGE})["mermaid"]
    found = re.search(r"```mermaid\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert found is not None
    assert found[1] == wanted


def test_the_playbook_writes_it_where_it_was_started(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        variables = json.dumps({"topology": topology(edge=EDGE)})
        done = subprocess.run(
            [
                tool("ansible-playbook"),
                ROOT / "playbooks/picture.yml",
                "-i",
                "localhost,",
                "-c",
                "local",
                "-e",
                variables,
                *words,
            ],
            cwd=tmp_path,
            env=ansible_environment(PWD=str(tmp_path)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    written = tmp_path / "reports/architecture-production.svg"
    run("--check")
    assert not written.exists()
    run()
    assert written.read_text() == architecture_picture(topology(edge=EDGE))["svg"]
    assert "changed=0" in run()
