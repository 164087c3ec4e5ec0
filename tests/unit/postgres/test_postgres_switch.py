"""Stepping down, taking over, fencing and following, on a server that is played."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import (
    bootstrap,
    fence,
    follow,
    local,
    restoring,
    state,
    switch,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import Image, PostgresError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.installed import Installed, Peer
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.local import Local

Answer = tuple[int, str, str]


def rules(*, both_drop: bool = True) -> str:
    """What nft lists when the fence is there; or when half of it lets everything through."""

    def rule(chain: str, field: str, verdict: str) -> dict[str, object]:
        match = {"op": "==", "left": {"payload": {"protocol": "tcp", "field": field}}, "right": 5432}
        return {"rule": {"chain": chain, "expr": [{"match": match}, {verdict: None}]}}

    chains = [{"chain": {"name": hook, "hook": hook}} for hook in ("input", "output")]
    drops = [rule("input", "dport", "drop"), rule("output", "sport", "drop" if both_drop else "accept")]
    return json.dumps({"nftables": [{"metainfo": {}}, {"table": {"name": "bulwark_fence"}}, *chains, *drops]})


class Played:
    """A server with PostgreSQL. What it is asked and told is kept in ``did``."""

    def __init__(
        self, folder: Path, *, runs: bool = True, recovering: bool = False, shutdown: str = "shut down"
    ) -> None:
        self.folder = folder
        self.running, self.recovering, self.shutdown = runs, recovering, shutdown
        self.replayed, self.promotes, self.streaming = 1000, True, False
        self.docker, self.stops = True, True
        self.slots: dict[str, str] = {}
        self.listing: str | None = None
        self.did: list[str] = []
        self.time = 0.0
        self.here = Local(
            self,
            Installed(Image(self, "postgres:17"), str(folder), 17, "", (Peer("db-replica", "10.0.0.7"),)),
            seconds=1,
            pause=self.sleep,
            clock=lambda: self.time,
        )

    def __call__(self, words: Sequence[str], feed: str = "") -> Answer:
        line = " ".join(words)
        if words[0] == "docker" and not self.docker:
            return 137, "", ""
        if words[:2] == ["docker", "exec"]:
            self.did.append(feed)
            return self.answer(feed)
        if words[:2] == ["docker", "inspect"]:
            return 0, "true" if self.running else "false", ""
        if words[:2] == ["docker", "run"]:
            return 0, f"Database cluster state: {self.shutdown}\nLatest checkpoint location: 0/3E8\n", ""
        if words[0] == "nft":
            if words[1] == "-f":
                self.did.append("closed the port")
            return (0, self.listing, "") if self.listing else (1, "", "No such table")
        self.did.append(line)
        if line == "systemctl stop bulwark-postgres.service" and self.stops:
            self.running = False
        if line == "systemctl restart bulwark-postgres.service":
            self.running, self.recovering = True, (self.folder / "standby.signal").exists()
        if "ActiveState" in line:
            return 0, "active" if self.running else "inactive", ""
        return 0, "", ""

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def answer(self, feed: str) -> Answer:
        if not self.running:
            return 1, "", "no server"
        answers: list[tuple[str, Callable[[], object]]] = [
            ("pg_promote", self.promote),
            ("pg_is_in_recovery", lambda: self.recovering),
            ("json_object_agg(slot_name", lambda: self.slots),
            ("pg_last_wal_replay_lsn", lambda: self.replayed),
            ("pg_stat_wal_receiver", lambda: self.streaming),
        ]
        return 0, next((json.dumps(give()) for part, give in answers if part in feed), ""), ""

    def promote(self) -> bool:
        if self.promotes:
            self.recovering = False
            (self.folder / "standby.signal").unlink()
        return self.promotes

    def said(self, part: str) -> bool:
        return any(part in line for line in self.did)

    @property
    def ran_as_primary(self) -> bool:
        return Path(local.RAN_AS_PRIMARY).exists()


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Played]:
    monkeypatch.setattr(local, "USER", os.getuid())
    for module, name in ((local, "RAN_AS_PRIMARY"), (switch, "RAN_AS_PRIMARY"), (fence, "RAN_AS_PRIMARY")):
        monkeypatch.setattr(module, name, str(tmp_path / "primary"))
    for module in (local, fence):
        monkeypatch.setattr(module, "FENCE", str(tmp_path / "fenced"))
    monkeypatch.setattr(follow, "REWINDING", str(tmp_path / "rewinding"))

    def make(*, standby: bool = False, **more: bool | str) -> Played:
        data = tmp_path / "17/data"
        data.mkdir(parents=True)
        if standby:
            (data / "standby.signal").touch()
        return Played(data, **more)  # type: ignore[arg-type]  # because its options are those of Played

    return make


def test_a_primary_that_steps_down_can_only_come_back_as_a_replica(play: Callable[..., Played]) -> None:
    played = play()
    Path(local.RAN_AS_PRIMARY).touch()
    down = switch.step_down(played.here)
    assert down.told == ["stopped the primary", "made it a replica"]
    assert down.position == 1001, "the last record begins at 1000, and has to be there"
    assert played.said("CHECKPOINT;")
    assert played.here.standby
    assert not played.ran_as_primary
    # Once more, as after a run that was killed.
    assert switch.step_down(played.here) == switch.Down([], 1001)


def test_one_that_does_not_end_well_goes_on_as_primary(play: Callable[..., Played]) -> None:
    played = play(shutdown="in production")
    with pytest.raises(PostgresError, match=r"did not end by itself \(it is in production\)\. It was started again"):
        switch.step_down(played.here)
    assert (played.running, played.here.standby) == (True, False)
    played.stops = False
    with pytest.raises(PostgresError, match="does not stop: its container still runs It was started again"):
        switch.step_down(played.here)


def test_neither_a_replica_nor_one_that_has_failed_steps_down(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    with pytest.raises(PostgresError, match="is a replica already"):
        switch.step_down(played.here)
    played.running, played.shutdown = False, "in production"
    with pytest.raises(PostgresError, match=r"use playbooks/failover\.yml"):
        switch.step_down(played.here)
    assert not played.said("systemctl")


def test_stepping_down_can_be_taken_back(play: Callable[..., Played]) -> None:
    played = play()
    switch.step_down(played.here)
    assert switch.step_up(played.here) == ["made it a primary again"]
    assert (played.running, played.recovering) == (True, False)
    assert switch.step_up(played.here) == []


def test_a_replica_that_never_stepped_down_does_not_step_up(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    with pytest.raises(PostgresError, match="was not shut down as a primary"):
        switch.step_up(played.here)
    assert played.here.standby


def test_whoever_only_sees_to_slots_promotes_nobody(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    with pytest.raises(PostgresError, match="is a replica by now"):
        switch.promote(played.here, 0, slots_only=True)
    assert played.recovering


def test_a_replica_with_all_of_it_takes_over(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    played.replayed = 1120
    assert switch.promote(played.here, 1001) == ["made the slot db_replica", "promoted it"]
    assert played.ran_as_primary
    slots = next(index for index, line in enumerate(played.did) if "pg_create_physical" in line)
    assert slots < next(index for index, line in enumerate(played.did) if "pg_promote" in line)
    played.slots = {"db_replica": "reserved"}
    assert switch.promote(played.here, 1001) == []
    played.slots = {"db_replica": "lost"}
    assert switch.promote(played.here, 0) == ["made the slot db_replica"]
    assert played.said("pg_drop_replication_slot('db_replica');SELECT pg_create")


def test_a_replica_that_lacks_something_does_not(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    with pytest.raises(PostgresError, match="replayed up to 0/3E8 only, and the old primary went on to 0/3E9"):
        switch.promote(played.here, 1001)
    assert not played.said("pg_promote")
    assert not played.ran_as_primary


def test_a_promotion_that_hangs_is_called_off_for_certain(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    played.promotes = False
    with pytest.raises(PostgresError, match="It was not promoted within 1 s, and is a replica as before"):
        switch.promote(played.here, 0)
    assert played.said("systemctl stop")
    assert (played.recovering, played.ran_as_primary) == (True, False)


def test_check_mode_only_tells(play: Callable[..., Played]) -> None:
    played = play()
    assert switch.step_down(played.here, check_mode=True).told == ["stop the primary"]
    assert played.running
    played.recovering = True
    assert switch.promote(played.here, 9999, check_mode=True) == ["made the slot db_replica", "promoted it"]
    assert not played.said("pg_promote")
    assert not played.said("pg_create")


def test_a_fence_is_that_it_is_stopped(play: Callable[..., Played]) -> None:
    played = play()
    assert fence.fenced(played.here) is None
    assert fence.fence(played.here, played).kind == "service"
    assert (played.running, Path(local.FENCE).exists()) == (False, True)
    found = fence.fenced(played.here)
    assert found
    assert found.kind == "service"


def test_or_that_nothing_reaches_it(play: Callable[..., Played]) -> None:
    played = play()
    played.docker, played.listing = False, rules()
    found = fence.fence(played.here, played)
    assert (found.kind, "Docker does not say" in found.told) == ("firewall", True)
    again = fence.fenced(played.here)
    assert again
    assert again.kind == "firewall"


@pytest.mark.parametrize("listing", [None, rules(both_drop=False)])
def test_and_nothing_else_is_one(play: Callable[..., Played], listing: str | None) -> None:
    played = play()
    played.docker, played.listing = False, listing
    with pytest.raises(PostgresError, match=r"Docker does not say.*Its port could not be closed either: "):
        fence.fence(played.here, played)
    assert fence.fenced(played.here) is None


def test_one_that_is_started_again_and_again_is_no_fenced_one(play: Callable[..., Played]) -> None:
    played = play()
    played.stops = False
    with pytest.raises(PostgresError, match="PostgreSQL could not be stopped"):
        fence.fence(played.here, played)


def ways(played: Played, *works: bool) -> list[follow.Way]:
    """Ways of which the first ones cannot be gone, and the others lead to a replica that streams or not."""

    def prepare(number: int) -> str:
        if not works[number]:
            raise PostgresError(f"way {number} is none.")
        played.streaming = True
        return ""

    return [follow.Way(f"went way {number}", lambda number=number: prepare(number)) for number in range(len(works))]


def test_the_first_way_that_works_is_gone(play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch) -> None:
    played = play(runs=False)
    Path(local.FENCE).touch()
    told = follow._first_that_works(played.here, ways(played, False, True, True))
    assert told == ["way 0 is none.", "went way 1"]
    assert played.here.standby
    assert not Path(local.FENCE).exists()
    played.slots = {"db_replica": "extended", "somebody": "reserved"}
    assert follow._tidy(played.here) == ["dropped the slot db_replica"]


def test_data_that_cannot_follow_stays_down(play: Callable[..., Played]) -> None:
    played = play(runs=False)
    Path(local.FENCE).touch()
    with pytest.raises(PostgresError, match=r"way 0 is none\. Then: way 1 is none\."):
        follow._first_that_works(played.here, ways(played, False, False))
    assert (played.running, Path(local.FENCE).exists(), played.here.standby) == (False, True, False)


def test_a_copy_that_fails_on_the_way_is_begun_again_by_the_same_restore(
    play: Callable[..., Played], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*words: object, **more: object) -> None:
        raise PostgresError("No route to host.")

    monkeypatch.setattr(follow, "_ask_for", lambda here: follow.Source("7", 0))
    monkeypatch.setattr(bootstrap, "copy", fail)
    played = play(standby=True, recovering=True)
    data = Path(played.here.installed.pgdata)
    (data / "PG_VERSION").touch()

    def others() -> list[str]:
        found, _ = state.judge(state.read_disk(str(tmp_path)), 17)
        primary = {"data": "present", "fenced": False, "firewalled": False, "running": True, "in_recovery": False}
        replica = {**primary, "data": found, "fenced": Path(local.FENCE).exists(), "in_recovery": True}
        return restoring.restore({"db-primary": primary, "db-replica": replica}, ["db-primary", "db-replica"])["others"]

    assert others() == ["db-replica"]
    with pytest.raises(PostgresError, match="No route to host"):
        follow._copy(played.here, "db-replica", follow.Source("7", 0), anew=True)
    assert not data.exists()
    assert others() == ["db-replica"]


def test_a_replica_that_gets_nowhere_has_failed(play: Callable[..., Played]) -> None:
    played = play(standby=True, recovering=True)
    assert "It does not stream." in follow._wait_for_streaming(played.here)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shut down\nLatest checkpoint location: 16/B374D848\nMinimum recovery ending location: 0/0", 0x16B374D849),
        ("in production\nLatest checkpoint location: 16/B374D848\nMinimum recovery ending location: 0/0", 0x16B374D848),
        ("shut down in recovery\nLatest checkpoint location: 0/10\nMinimum recovery ending location: 0/80", 0x80),
    ],
)
def test_what_one_that_does_not_run_has(text: str, expected: int) -> None:
    control = state.control_data(f"Database cluster state: {text}\n")
    assert (control.shutdown, control.position) == (text.partition("\n")[0], expected)


def test_the_newest_timeline_is_the_one_whose_files_are_there() -> None:
    names = [
        "00000001000000000000000A",
        "00000003.history",
        "00000002000000000000000B.partial",
        "archive_status",
        "summaries",
    ]
    assert state.newest_timeline(names) == 3
    assert state.newest_timeline([]) is None
