"""Rules of the house that no checker knows."""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from tests.checkout import ROOT, tracked

# Spelt so that this file does not name them itself.
REGISTRIES = re.compile(r"p[y]pi\.org|p[y]thonhosted\.org|npm[j]s\.(org|com)|d[e]b\.debian\.org")


def test_no_package_registry_is_named() -> None:
    named = [path for path in tracked() if REGISTRIES.search(path.read_text(errors="replace"))]
    assert not named


def imported(source: str) -> set[str]:
    """First names of all modules a source imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize(("folder", "foreign"), [("plugins", "lab"), ("lab", "ansible_collections")])
def test_collection_and_lab_do_not_import_each_other(folder: str, foreign: str) -> None:
    sources = tracked(f"{folder}/*.py")
    assert sources, f"no sources under {folder}"
    assert [path for path in sources if foreign in imported(path.read_text())] == []


def test_every_role_declares_its_interface() -> None:
    roles = [path for path in (ROOT / "roles").iterdir() if path.is_dir()]
    assert roles
    assert [role.name for role in roles if not (role / "meta/argument_specs.yml").is_file()] == []


def test_roles_do_not_read_the_topology() -> None:
    readers = [path for path in tracked("roles/*") if re.search(r"\btopology\b", path.read_text(errors="replace"))]
    assert readers == []


def test_dependencies_are_the_same_for_galaxy_and_for_a_checkout() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())["dependencies"]
    listed = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    assert {entry["name"]: entry["version"] for entry in listed} == galaxy
