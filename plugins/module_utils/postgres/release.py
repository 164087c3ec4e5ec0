# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Minor releases of PostgreSQL: which one runs where, and in which order members get another."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..system_upgrade.order import Plan, PlanError
from .container import NAME, PostgresError, Runner, Server


@dataclass(frozen=True)
class Release:
    """What a member runs: the image's name, and PostgreSQL's version; both empty where it does not run."""

    image: str = ""
    version: str = ""
    #: Whether the container was made from what the declared image's name stands for now.
    current: bool = False


def read(run: Runner, image: str) -> Release:
    """What runs here, compared with an image. Raises PostgresError when Docker does not answer."""
    code, out, error = run(["docker", "container", "inspect", NAME])
    if code != 0:
        if "No such container" in error:
            return Release()
        raise PostgresError(f"Docker does not answer: {error.strip()}")
    container = json.loads(out)[0]
    if not container["State"]["Running"]:
        return Release()
    name = str(container["Config"]["Image"])
    _, wanted, _ = run(["docker", "image", "inspect", "--format", "{{.Id}}", image])
    try:
        version = str(Server(run).ask("SELECT to_json(current_setting('server_version'));")).split()[0]
    except PostgresError:
        return Release(name)
    return Release(name, version, name == image and container["Image"] == wanted.strip())


@dataclass(frozen=True)
class Member:
    name: str
    release: Release
    state: Mapping[str, Any]

    @property
    def primary(self) -> bool:
        return self.state["in_recovery"] is False


def decide(results: Mapping[str, Mapping[str, Any]], version: str, image: str) -> Plan:
    """From what was registered of each member: ``state`` and ``release``; declared are the other two. Pure."""
    try:
        members = [_member(name, result) for name, result in results.items()]
        _check(members, version)
        return _plan(members, version, image)
    except PlanError as error:
        return Plan(refusal=str(error))


def _member(name: str, result: Mapping[str, Any]) -> Member:
    if any(found.get("unreachable") for found in result.values()):
        raise PlanError(f"{name} cannot be reached, so nothing was begun: see to it that it runs.")
    for what in ("state", "release"):
        found = result[what]
        if what not in found:
            said = str(found.get("msg", "no answer")).rstrip(".")
            raise PlanError(f"{name} could not be asked, so nothing was begun: {said}.")
    return Member(name, Release(**result["release"]["release"]), result["state"]["state"])


def _numbers(version: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)\.(\d+)", version)
    if not found:
        raise PlanError(f'postgres_version is "{version}"; it must be a version with its second number, like 17.12.')
    return int(found[1]), int(found[2])


def _check(members: Sequence[Member], version: str) -> None:
    """Refuse what is no minor upgrade of a sound pair."""
    wanted = _numbers(version)
    for member in members:
        if member.state["data"] == "none":
            raise PlanError(f"{member.name} holds no database: run playbooks/site.yml first.")
        if member.state["fenced"] or member.state["firewalled"]:
            raise PlanError(f"{member.name} is fenced: bring it back with playbooks/rejoin.yml first.")
        if not member.release.version:
            continue
        runs = _numbers(member.release.version)
        if wanted[0] != runs[0]:
            raise PlanError(
                f"{member.name} runs PostgreSQL {member.release.version}, and postgres_version is {version}: another "
                "major version needs its data converted, which this does not do. Give a release of "
                f"{runs[0]}."
            )
        if wanted < runs:
            raise PlanError(
                f"{member.name} runs PostgreSQL {member.release.version}, and postgres_version is {version}, which is "
                "older: give that one or a newer one."
            )


def _plan(members: Sequence[Member], version: str, image: str) -> Plan:
    primaries = [member for member in members if member.primary]
    if len(primaries) != 1:
        raise PlanError(
            f"{len(primaries) or 'None'} of {' and '.join(member.name for member in members)} "
            f"{'run' if primaries else 'runs'} as primary, so nothing was begun: bring the pair back with "
            "playbooks/switchover.yml, failover.yml or rejoin.yml first."
        )
    primary = primaries[0]
    others = [member for member in members if member is not primary]
    first = [member.name for member in others if not member.release.current]
    lines = [_line(member, version, image) for member in members]
    if primary.release.current:
        return Plan(first=tuple(first), lines=tuple(lines))
    if len(members) > 2:
        raise PlanError(
            f"There are {len(members)} members, and the primary moves within a pair only, so nothing was begun: run "
            "playbooks/site.yml, which restarts it where it is."
        )
    ready = [member.name for member in others if member.name in primary.state["lag"]]
    if others and not ready:
        raise PlanError(
            f"No replica streams from {primary.name} that could take over meanwhile, so nothing was begun: bring it "
            "back with playbooks/rejoin.yml first."
        )
    lines.append(
        f"{ready[0]} becomes primary before {primary.name} has its turn, for good. Writes wait for some seconds."
        if ready
        else f"{primary.name} has no replica: the database is away while it restarts."
    )
    return Plan("", tuple(first), ready[0] if ready else "", (primary.name,), tuple(lines))


def _line(member: Member, version: str, image: str) -> str:
    if member.release.current:
        return f"{member.name}: runs {version} already"
    now = f"{member.release.version} ({member.release.image})" if member.release.version else "nothing"
    return f"{member.name}: {now} becomes {version} ({image})"
