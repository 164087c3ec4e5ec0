"""A release: the changelog from its fragments, and an archive only where version, changelog and tag agree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT, ansible_environment, load, tracked
from tests.tools import tools

release = load("tools/release.py")


class Checkout:
    """A repository of its own, with what is in this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path in tracked():
            there = folder / path.relative_to(ROOT)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *words: str) -> None:
        named = ["-c", "user.name=Tests", "-c", "user.email=tests@bulwark.example", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *named, *words], cwd=self.folder, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "All of it")

    def release(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = ansible_environment(ANSIBLE_CONFIG=str(self.folder / "ansible.cfg"))
        environment["PATH"] = f"{tools()}:{environment['PATH']}"
        return subprocess.run(
            [sys.executable, "tools/release.py", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def set_version(self, version: str) -> None:
        galaxy = self.folder / "galaxy.yml"
        said = yaml.safe_load(galaxy.read_text())["version"]
        galaxy.write_text(galaxy.read_text().replace(f"\nversion: {said}\n", f"\nversion: {version}\n"))

    def add_fragment(self) -> None:
        (self.folder / "changelogs/fragments/more.yml").write_text("bugfixes:\n  - site - now even better.\n")


def refused(done: subprocess.CompletedProcess[str], why: str) -> None:
    assert done.returncode == 1
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_version_from_its_fragments_to_its_archive(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.set_version("97.0.0")
    checkout.add_fragment()
    refused(checkout.release("prepare"), "commit or remove first what is not committed: ")
    checkout.commit()
    refused(checkout.release("build"), "galaxy.yml says 97.0.0, the changelog's last release is ")

    done = checkout.release("prepare")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "changelogs/fragments").glob("*.yml"))
    changelog = (tmp_path / "CHANGELOG.md").read_text()
    assert changelog.index(r"## v97\.0\.0") < changelog.index("now even better")

    refused(checkout.release("build"), "commit or remove first what is not committed: changelogs/changelog.yaml")
    checkout.commit()
    refused(checkout.release("build", "v96.0.0"), "the tag is v96.0.0, but galaxy.yml says 97.0.0; its tag is v97.0.0")
    assert not (tmp_path / "build").exists()
    done = checkout.release("build", "v97.0.0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "build/bulwark-hetzner-97.0.0.tar.gz"
    assert (tmp_path / done.stdout.strip()).is_file()
    refused(checkout.release("prepare"), "97.0.0 is released; put a later version than that into galaxy.yml")


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """What the checks of a release read, for a version that is ready."""
    (tmp_path / "changelogs/fragments").mkdir(parents=True)
    (tmp_path / "galaxy.yml").write_text("version: 1.10.0\n")
    releases = {"1.2.0": {}, "1.10.0": {}, "1.10.0-rc.1": {}}
    (tmp_path / "changelogs/changelog.yaml").write_text(yaml.safe_dump({"releases": releases}))
    (tmp_path / "CHANGELOG.md").write_text("# Release Notes\n\n## v1\\.10\\.0\n\n## v1\\.2\\.0\n")
    return tmp_path


def test_what_agrees_may_be_built(prepared: Path) -> None:
    release.refuse_to_build(prepared, "v1.10.0")


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("galaxy.yml", "version: 1.11.0\n", "galaxy.yml says 1.11.0, the changelog's last release is 1.10.0"),
        ("galaxy.yml", "version: 1.2.0\n", "galaxy.yml says 1.2.0, the changelog's last release is 1.10.0"),
        ("galaxy.yml", "version: 1.x\n", "1.x is no version"),
        ("changelogs/fragments/late.yml", "bugfixes: [x]\n", "late.yml is in no release"),
        ("CHANGELOG.md", "# Release Notes\n\n## v1\\.2\\.0\n", "CHANGELOG.md has no section v1.10.0"),
    ],
)
def test_what_disagrees_may_not(prepared: Path, file: str, content: str, why: str) -> None:
    (prepared / file).write_text(content)
    with pytest.raises(release.RefusalError, match=why):
        release.refuse_to_build(prepared, None)


def test_versions_sort_as_semantic_versioning_says() -> None:
    # The example of its eleventh clause, https://semver.org.
    names = ["alpha", "alpha.1", "alpha.beta", "beta", "beta.2", "beta.11", "rc.1"]
    ordered = [f"1.0.0-{name}" for name in names] + ["1.0.0", "1.0.1", "1.2.0", "1.10.0"]
    by_letters = sorted(ordered)
    assert by_letters != ordered
    assert sorted(by_letters, key=release.order) == ordered
