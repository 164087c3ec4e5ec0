"""The documentation builds as a site, from the pages and from the sources of plugins and roles."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.checkout import ROOT, ansible_environment
from tests.launcher import launcher
from tests.tools import tools


def test_builds_without_a_warning(tmp_path: Path) -> None:
    tools()
    answer = launcher("docs", str(tmp_path / "site"))
    assert answer.code == 0, answer.text
    for page in (ROOT / "docs").glob("**/*.md"):
        assert (tmp_path / "site" / page.relative_to(ROOT / "docs").with_suffix(".html")).is_file()
    for module in (ROOT / "plugins/modules").glob("[!_]*.py"):
        assert (tmp_path / f"site/reference/{module.stem}_module.html").is_file()
    for role in (ROOT / "roles").iterdir():
        assert (tmp_path / f"site/reference/{role.name}_role.html").is_file()
    # A folder that holds something else is nobody's to empty.
    (tmp_path / "other").mkdir()
    (tmp_path / "other/thing").touch()
    refused = launcher("docs", str(tmp_path / "other"))
    assert refused.code == 1
    assert "is neither empty nor such a site" in refused.text
    assert (tmp_path / "other/thing").exists()


def build(source: Path) -> subprocess.CompletedProcess[str]:
    environment = ansible_environment()
    environment["PATH"] = f"{tools()}:{environment['PATH']}"
    return subprocess.run(
        [ROOT / "tools/site/pages.sh", source, source.parent / "site"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small documentation that is in order."""
    folder = tmp_path / "source"
    (folder / "reference").mkdir(parents=True)
    (folder / "README.md").write_text("# Index\n\n## Pages\n\n- [One](one.md)\n")
    (folder / "one.md").write_text("# One\n\n## A part\n\n[Here](#a-part), [there](../roles/docker).\n")
    (folder / "reference/index.md").write_text("# Reference\n")
    return folder


def test_links_that_leave_the_pages_lead_to_the_repository(source: Path) -> None:
    done = build(source)
    assert done.returncode == 0, done.stderr
    assert "bulwark.hetzner/tree/main/roles/docker" in (source.parent / "site/one.html").read_text()


@pytest.mark.parametrize(
    ("page", "text", "says"),
    [
        ("one.md", "# One\n\n[There](two.md)\n", "two.md"),
        ("one.md", "# One\n\n[There](README.md#nowhere)\n", "nowhere"),
        ("one.md", "# One\n\n[There](../roles/none)\n", "links to roles/none, which does not exist"),
        ("two.md", "# Two\n\nNobody names this page.\n", "isn't included in any toctree"),
        ("reference/index.rst", "Reference\n=========\n\n:ref:`ansible_collections.bulwark.hetzner.none`\n", "none"),
    ],
    ids=["no page", "no part", "no file", "not in the index", "no plugin"],
)
def test_what_leads_nowhere_is_an_error(source: Path, page: str, text: str, says: str) -> None:
    if page.endswith(".rst"):
        (source / page).with_suffix(".md").unlink()
    (source / page).write_text(text)
    done = build(source)
    assert done.returncode != 0
    assert says in done.stderr + done.stdout
