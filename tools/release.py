"""Releases: the changelog of a version, and the collection's archive.

Usage: release.py prepare | release.py build [TAG]

`prepare` turns the fragments in changelogs/fragments into CHANGELOG.md, for the version that galaxy.yml names. `build`
packs that version into build/, and refuses where version, changelog and tag disagree or where something is not
committed. Run by `./bulwark release`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[1]
# Semantic versioning 2.0.0 without build metadata, which Galaxy does not order by.
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?")


class RefusalError(Exception):
    """Why there is no release, as a sentence."""


def order(version: str) -> tuple[Any, ...]:
    """A key by which versions sort as semantic versioning says: a pre-release comes before its release."""
    found = VERSION.fullmatch(version)
    if not found:
        raise RefusalError(f"galaxy.yml: {version} is no version such as 1.2.3 or 1.2.3-rc.1")
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (found[4] or "").split(".") if part]
    return (*(int(found[place]) for place in (1, 2, 3)), not parts, parts)


def declared(top: Path) -> str:
    return str(yaml.safe_load((top / "galaxy.yml").read_text())["version"])


def released(top: Path) -> list[str]:
    """Versions in the changelog, oldest first."""
    return sorted(yaml.safe_load((top / "changelogs/changelog.yaml").read_text())["releases"], key=order)


def fragments(top: Path) -> list[Path]:
    return sorted((top / "changelogs/fragments").glob("*.yml"))


def run(*words: str) -> str:
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusalError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def refuse_uncommitted() -> None:
    left = run("git", "status", "--porcelain").splitlines()
    if left:
        raise RefusalError(f"commit or remove first what is not committed: {', '.join(line[3:] for line in left[:5])}")


def refuse_to_prepare(top: Path) -> None:
    """Whether the version in galaxy.yml may get a section in the changelog."""
    version, before = declared(top), released(top)
    if before and order(version) <= order(before[-1]):
        raise RefusalError(
            f"{before[-1]} is released; put a later version than that into galaxy.yml (it says {version})"
        )
    if not fragments(top):
        raise RefusalError("there is nothing to release: changelogs/fragments is empty")


def refuse_to_build(top: Path, tag: str | None) -> None:
    """Whether version, changelog and tag agree."""
    version, before = declared(top), released(top)
    order(version)
    if before[-1:] != [version]:
        raise RefusalError(
            f"galaxy.yml says {version}, the changelog's last release is {before[-1] if before else 'none'}; "
            "./bulwark release prepare writes it"
        )
    if fragments(top):
        raise RefusalError(
            f"{fragments(top)[0].name} is in no release; set a new version and run ./bulwark release prepare"
        )
    changelog = top / "CHANGELOG.md"
    # Written by a tool that puts a backslash before every full stop.
    sections = changelog.read_text().replace("\\", "").splitlines() if changelog.is_file() else []
    if f"## v{version}" not in sections:
        raise RefusalError(f"CHANGELOG.md has no section v{version}; ./bulwark release prepare writes it")
    if tag is not None and tag != f"v{version}":
        raise RefusalError(f"the tag is {tag}, but galaxy.yml says {version}; its tag is v{version}")


def prepare() -> str:
    refuse_uncommitted()
    refuse_to_prepare(TOP)
    version = declared(TOP)
    run("antsibull-changelog", "release", "--version", version)
    return (
        f"CHANGELOG.md tells of {version}, and its fragments are gone. Read it, and then:\n"
        f"  git add --all && git commit -m 'Release {version}' && git tag v{version}\n"
        f"  ./bulwark release build v{version}"
    )


def build(tag: str | None) -> str:
    refuse_uncommitted()
    refuse_to_build(TOP, tag)
    run("ansible-galaxy", "collection", "build", "--force", "--output-path", str(TOP / "build"))
    (archive,) = (TOP / "build").glob(f"*-{declared(TOP)}.tar.gz")
    return f"{archive.relative_to(TOP)}"


def main(words: list[str]) -> None:
    try:
        match words:
            case ["prepare"]:
                print(prepare())
            case ["build"]:
                print(build(None))
            case ["build", tag]:
                print(build(tag))
            case _:
                raise RefusalError("usage: ./bulwark release prepare, or ./bulwark release build [TAG]")
    except RefusalError as refusal:
        sys.exit(f"bulwark: {refusal}")


if __name__ == "__main__":
    main(sys.argv[1:])
