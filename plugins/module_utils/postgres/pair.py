# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions about a pair: who is primary, who takes over, or why not and what to do instead. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: What a replica may lack for a switchover: the old primary sends it while it shuts down, and clients wait for that.
MOST_LAG = 16 * 1024 * 1024


class PairError(Exception):
    """It cannot be done; the message says why and what to do instead."""


@dataclass(frozen=True)
class Decision:
    """Who plays which part. Names are empty where there is nobody.

    ``primary``: who is primary, or was. ``candidate``: who takes over. ``member``: who follows in the end.
    ``stepped_down``: an earlier run has stopped the old primary already. ``position``: bytes of WAL that the candidate
    must have replayed, 0 where that is still to be learnt. ``nothing``: why there is nothing to do.
    """

    refusal: str = ""
    primary: str = ""
    candidate: str = ""
    member: str = ""
    stepped_down: bool = False
    position: int = 0
    nothing: str = ""
    told: str = ""


@dataclass(frozen=True)
class Member:
    """One member, as far as it could be asked. ``silent``: why it could not be."""

    name: str
    silent: str
    state: Mapping[str, Any]

    @property
    def primary(self) -> bool:
        return not self.silent and self.state["in_recovery"] is False

    @property
    def replica(self) -> bool:
        return not self.silent and self.state["in_recovery"] is True

    @property
    def stopped_well(self) -> bool:
        """Whether it was shut down as a primary, all of its WAL written."""
        return not self.silent and not self.state["container"] and self.state["shutdown"] == "shut down"

    @property
    def reached(self) -> tuple[int, int]:
        """How far it has got: timeline, and bytes of WAL."""
        return self.state["timeline"] or 0, self.state["position"] or 0


def members(results: Mapping[str, Mapping[str, Any]]) -> list[Member]:
    """From what Ansible has registered of M(bulwark.hetzner.postgres_state) on each member."""
    found = []
    for name, result in results.items():
        if result.get("unreachable"):
            silent = "cannot be reached"
        elif "state" not in result:
            silent = f"could not be asked ({str(result.get('msg', 'no answer')).rstrip('.')})"
        else:
            silent = ""
        found.append(Member(name, silent, result.get("state", {})))
    return found


def decide(verb: str, pair: Sequence[Member], wanted: str = "", most_lag: int = MOST_LAG) -> Decision:
    """The decision for one of the verbs; what is refused is in it."""
    verbs = {"switchover": _switchover, "failover": _failover, "rejoin": _rejoin, "rebuild": _rebuild}
    try:
        names = [member.name for member in pair]
        if len(pair) == 1:
            raise PairError(
                f"{names[0]} is the only member of the database, or the only one that --limit leaves to this run, so "
                "there is no replica that anything could be moved to. Where there really is none, "
                "playbooks/restore.yml goes back to a backup."
            )
        if len(pair) != 2:
            raise PairError(f"This works on a pair, and there are {len(pair)} members ({', '.join(names) or 'none'}).")
        if wanted and wanted not in names:
            raise PairError(f"There is no member {wanted}; there are {' and '.join(names)}.")
        return verbs[verb](pair, wanted, most_lag)
    except PairError as error:
        return Decision(refusal=str(error))


def lsn(position: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def _switchover(pair: Sequence[Member], wanted: str, most_lag: int) -> Decision:
    for member, other in _both_ways(pair):
        if member.silent:
            raise PairError(
                f"{member.name} {member.silent}, and a switchover needs both members. If it is the primary and is "
                f"gone, let {other.name} take over with playbooks/failover.yml."
            )
    for member in pair:
        if member.state["data"] != "present":
            raise PairError(f"{member.name} holds no database of this version: run playbooks/site.yml first.")
        if member.state["fenced"] or member.state["firewalled"]:
            raise PairError(f"{member.name} is fenced: bring it back with playbooks/rejoin.yml first.")
    _same_database(pair)
    primary = _only_primary(pair)
    if primary is None:
        return _unfinished(pair, wanted)
    other = _other(pair, primary)
    if other.state["standby"] and other.stopped_well and other.reached[0] < primary.reached[0]:
        # It was promoted, and the run ended before the old primary was started.
        return Decision(primary=other.name, candidate=primary.name, member=other.name, stepped_down=True)
    if wanted == primary.name:
        return Decision(nothing=f"{wanted} is primary already.")
    if not other.replica:
        raise PairError(f"{other.name} does not run as a replica: bring it back with playbooks/rejoin.yml first.")
    if not other.state["receiving"] or other.name not in primary.state["lag"]:
        raise PairError(
            f"{other.name} does not stream from {primary.name}: wait until it does (it may be catching up), or bring "
            "it back with playbooks/rejoin.yml."
        )
    if other.state["paused"]:
        raise PairError(f"{other.name} has paused its replay: run this again when the restore drill there has ended.")
    lag = int(primary.state["lag"][other.name])
    if lag > most_lag:
        raise PairError(
            f"{other.name} lacks {lag // 1048576} MiB of what {primary.name} has written, and clients would wait while "
            "it gets them: run this again when it has caught up."
        )
    return Decision(primary=primary.name, candidate=other.name, member=primary.name)


def _unfinished(pair: Sequence[Member], wanted: str) -> Decision:
    """An earlier switchover has stopped the old primary and not promoted anybody."""
    for member in pair:
        if not member.state["engine"]:
            raise PairError(f"Docker does not answer on {member.name}: mend that first, or use playbooks/failover.yml.")
        if member.state["container"] and not member.state["running"]:
            raise PairError(
                f"PostgreSQL runs on {member.name} and does not answer: wait until it does, or, if it was the primary, "
                "use playbooks/failover.yml."
            )
    former = [member for member in pair if not member.state["standby"]]
    if len(former) == 2:
        raise PairError(
            "Neither member runs, and neither is a replica: start the one that was primary last "
            "(systemctl start bulwark-postgres), then bring the other back with playbooks/rejoin.yml."
        )
    if former and not former[0].stopped_well:
        raise PairError(
            f"{former[0].name} was not shut down, it has failed: start it (systemctl start bulwark-postgres), or let "
            f"{_other(pair, former[0]).name} take over with playbooks/failover.yml."
        )
    # Of equals the one that is wanted, else one that runs.
    candidate = max(pair, key=lambda member: (member.reached, member.name == wanted, member.replica))
    if former and candidate is former[0]:
        raise PairError(
            f"{candidate.name} was shut down, and {_other(pair, candidate).name} has not received all of it: start "
            f"{candidate.name} (systemctl start bulwark-postgres), then run this again."
        )
    other = _other(pair, candidate)
    return Decision(
        primary=other.name,
        candidate=candidate.name,
        member=other.name,
        # One that is not marked yet has still to be.
        stepped_down=bool(other.state["standby"]),
        position=other.reached[1],
        told="An earlier switchover has stopped the primary; this completes it.",
    )


def _failover(pair: Sequence[Member], wanted: str, most_lag: int) -> Decision:
    primary = _only_primary(pair)
    if primary is not None:
        raise PairError(
            f"{primary.name} is primary and answers, so there is nothing to take over: for a planned change use "
            f"playbooks/switchover.yml, and to bring {_other(pair, primary).name} back playbooks/rejoin.yml."
        )
    ready = [member for member in pair if member.replica and not member.state["fenced"]]
    if len(ready) == 2:
        raise PairError(
            "Both members are replicas, so a switchover was not completed: playbooks/switchover.yml does that, and "
            "loses nothing."
        )
    if not ready:
        raise PairError(
            f"There is no replica that could take over: {'; '.join(_told(member) for member in pair)}. Start one of "
            "them, or restore a backup."
        )
    candidate = ready[0]
    former = _other(pair, candidate)
    if wanted and wanted != candidate.name:
        raise PairError(f"{wanted} is not the replica: only {candidate.name} could take over.")
    if not former.silent:
        stopped = former.state["engine"] and not former.state["container"]
        if stopped and former.state["standby"] and not former.state["fenced"]:
            raise PairError(
                f"{former.name} was stopped by a switchover that was not completed: playbooks/switchover.yml does "
                "that, and loses nothing."
            )
        _same_database(pair)
        if former.reached[0] > candidate.reached[0]:
            raise PairError(
                f"{candidate.name} is on timeline {candidate.reached[0]} and {former.name} on {former.reached[0]}: "
                f"{candidate.name} has not followed since an earlier promotion, and all that was written since would "
                f"be lost. Start {former.name} (systemctl start bulwark-postgres)."
            )
    return Decision(primary=former.name, candidate=candidate.name, member=former.name, told=_known(candidate, former))


def _rejoin(pair: Sequence[Member], wanted: str, most_lag: int) -> Decision:
    primary, member = _who_follows(pair, wanted)
    if not member.silent:
        if member.state["data"] == "foreign":
            raise PairError(f"{member.name} holds {member.state['foreign']}: it stays as it is.")
        if member.state["data"] == "present":
            try:
                _same_database(pair)
            except PairError as error:
                raise PairError(f"{error} To delete what {member.name} holds: playbooks/replica_rebuild.yml.") from None
    return Decision(primary=primary.name, member=member.name)


def _rebuild(pair: Sequence[Member], wanted: str, most_lag: int) -> Decision:
    primary, member = _who_follows(pair, wanted)
    if not member.silent and member.state["data"] == "foreign":
        raise PairError(f"{member.name} holds {member.state['foreign']}: it stays as it is.")
    return Decision(primary=primary.name, member=member.name)


def _who_follows(pair: Sequence[Member], wanted: str) -> tuple[Member, Member]:
    primary = _only_primary(pair)
    if primary is None:
        raise PairError(
            f"No member runs as primary, so there is none to follow: {'; '.join(_told(member) for member in pair)}. "
            "Complete a switchover with playbooks/switchover.yml, or let a replica take over with "
            "playbooks/failover.yml."
        )
    if wanted == primary.name:
        raise PairError(f"{wanted} is the primary: its data is what the other one follows.")
    return primary, _other(pair, primary)


def _only_primary(pair: Sequence[Member]) -> Member | None:
    # One that is fenced by the firewall is reached by nobody; it has no say.
    primaries = [member for member in pair if member.primary and not member.state["firewalled"]]
    if len(primaries) == 2:
        told = " and ".join(f"{member.name} (timeline {member.reached[0]})" for member in primaries)
        raise PairError(
            f"Two primaries run: {told}. Decide whose data to keep, stop the other one (there: systemctl stop "
            "bulwark-postgres), and bring it back with playbooks/rejoin.yml."
        )
    return primaries[0] if primaries else None


def _same_database(pair: Sequence[Member]) -> None:
    # One that does not say is no other.
    if len({member.state["system_identifier"] for member in pair} - {None}) > 1:
        told = " and ".join(f"{member.name} ({member.state['system_identifier']})" for member in pair)
        raise PairError(f"The members hold different databases: {told}.")


def _other(pair: Sequence[Member], one: Member) -> Member:
    return next(member for member in pair if member is not one)


def _both_ways(pair: Sequence[Member]) -> list[tuple[Member, Member]]:
    return [(pair[0], pair[1]), (pair[1], pair[0])]


def _told(member: Member) -> str:
    if member.silent:
        return f"{member.name} {member.silent}"
    state = member.state
    if state["data"] != "present":
        return f"{member.name} holds no database"
    if state["fenced"] or state["firewalled"]:
        return f"{member.name} is fenced"
    if not state["container"]:
        return f"{member.name} does not run"
    return f"{member.name} {'runs as a replica' if member.replica else 'does not answer'}"


def _known(candidate: Member, former: Member) -> str:
    """What is known of what gets lost."""
    timeline, position = candidate.reached
    told = f"{candidate.name} has everything up to {lsn(position)} on timeline {timeline}"
    since = candidate.state.get("replayed_seconds_ago")
    if since is not None:
        told += f"; the newest transaction it has was committed {since:.0f} s ago"
    if not former.silent and former.stopped_well:
        gap = former.reached[1] - position
        return f"{told}. {former.name} was shut down at {lsn(former.reached[1])}: " + (
            "nothing is lost." if gap <= 0 else f"{gap} bytes of its WAL are lost."
        )
    return f"{told}. What {former.name} has committed after that is lost; rejoining it shows how much that was."
