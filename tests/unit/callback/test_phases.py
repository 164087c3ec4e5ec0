"""How far a run is, as text: widths, times, estimates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.plugin_utils.phases import (
    KEPT,
    Progress,
    Signs,
    cells,
    clock,
    fit,
    keep_durations,
    read_durations,
    recap,
    remaining,
)

UTF8, ASCII = Signs.of("utf-8"), Signs.of("ascii")


def progress(signs: Signs = UTF8, **expected: float) -> Progress:
    return Progress(["Bastion", "Servers", "Monitoring"], expected, signs, began=100.0)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (-3, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3723, "1:02:03")]
)
def test_times(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("short", 10, "short"),
        ("exactly", 7, "exactly"),
        ("much too long", 8, "much to…"),
        ("much too long", 6, "much…"),
        ("日本語の名前", 7, "日本語…"),
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),
        ("two\nlines\x1b[2J", 40, "two lines [2J"),
        ("text", 0, ""),
        ("text", 1, ""),
    ],
)
def test_a_text_is_cut_to_what_has_room(text: str, width: int, shown: str) -> None:
    assert fit(text, width, "…") == shown
    assert cells(fit(text, width, "…")) <= width


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None, "no-such-encoding"])
def test_an_encoding_without_the_signs_gets_others(encoding: str | None) -> None:
    signs = Signs.of(encoding)
    assert "".join((signs.good, signs.bad, signs.nothing, signs.running, signs.more)).isascii()


@pytest.mark.parametrize(
    ("index", "elapsed", "before", "left"),
    [
        (0, 0, 0, 60),  # the whole
        (0, 4, 0, 56),
        (0, 15, 0, 50),  # longer than the last time: at least what comes after it
        (1, 5, 10, 45),  # as fast as the last time
        (1, 5, 20, 95),  # half as fast: (20 - 2.5 + 30) * 2
        (1, 0, 1000, 200),  # at most four times as slow
        (2, 40, 30, 0),
    ],
)
def test_what_is_left_follows_from_the_last_run_and_the_pace_of_this_one(
    index: int, elapsed: float, before: float, left: float
) -> None:
    expected = {"a": 10.0, "b": 20.0, "c": 30.0}
    assert remaining(["a", "b", "c"], expected, index, elapsed, before) == pytest.approx(left)


def test_without_a_last_run_there_is_no_estimate() -> None:
    assert remaining(["a", "b"], {"a": 1.0}, 0, 0, 0) is None
    assert remaining(["a"], {"a": 1.0}, -1, 0, 0) is None
    run = progress()
    run.play("Bastion", 100.0)
    assert run.status(103.0, 80) == "▸ [1/3] Bastion  0:03"


@pytest.mark.parametrize("width", range(1, 130, 3))
@pytest.mark.parametrize("signs", [UTF8, ASCII], ids=["utf8", "ascii"])
def test_the_status_is_never_wider_than_the_terminal(signs: Signs, width: int) -> None:
    run = progress(signs, Bastion=10.0, Servers=20.0, Monitoring=30.0)
    assert run.status(100.0, width) == ""
    run.play("Servers", 110.0)
    run.task("docker: Compare what runs with the files, and run a container")
    for host in ("app-01", "app-02", "jobs-01"):
        run.begins(host)
        assert cells(run.status(115.0, width)) <= width
    run.ends("jobs-01")
    assert cells(run.status(115.0, width)) <= width
    assert signs is UTF8 or run.status(115.0, width).isascii()


def test_the_status_names_whom_it_waits_for() -> None:
    run = progress(Bastion=10.0, Servers=20.0, Monitoring=30.0)
    run.play("Bastion", 100.0)
    run.play("Servers", 110.0)
    run.task("docker: Start it")
    for host in ("app-01", "app-02", "jobs-01"):
        run.begins(host)
    assert run.status(115.0, 120) == "▸ [2/3] Servers  docker: Start it  0 of 3 hosts  0:15, about 0:45 left"
    run.ends("app-01", changed=True)
    assert "waiting for app-02, jobs-01" in run.status(115.0, 120)


def test_playbooks_that_follow_take_time_too() -> None:
    run = progress(Bastion=10.0, Servers=20.0, Monitoring=30.0)
    run.play("Bastion", 100.0)
    run.later = 600.0
    assert run.left(100.0) == 660.0
    run.later = None
    assert run.left(100.0) is None


def test_a_phase_ends_with_what_came_of_it() -> None:
    run = progress()
    assert run.play("Bastion", 100.0) is None
    run.task("one")
    run.begins("bastion-server")
    run.ends("bastion-server", changed=True)
    bastion = run.play("Servers", 112.0)
    assert bastion
    assert run.ended(bastion, 80).split() == ["✓", "[1/3]", "Bastion", "bastion-server", "1", "changed", "0:12"]
    assert "1 to change" in run.ended(bastion, 80, foreseen=True)
    run.ends("app-01", lost=True)
    run.ends("app-02", lost=True)
    run.ends("app-01")  # goes on: it was rescued
    servers = run.play("Monitoring", 120.0)
    assert servers
    assert run.ended(servers, 80).startswith("✗ [2/3] Servers ")
    assert "2 hosts  lost: app-02" in run.ended(servers, 80)
    nobody = run.end(121.0)
    assert nobody
    assert run.ended(nobody, 80).startswith("· [3/3] Monitoring ")
    assert run.durations == {"Bastion": 12.0, "Servers": 8.0, "Monitoring": 1.0}


def test_batches_of_one_play_are_one_phase() -> None:
    run = progress()
    run.play("Bastion", 100.0)
    assert run.play("Bastion", 105.0) is None
    assert run.index == 0
    run.play("a name made of variables", 110.0)
    assert run.durations == {"Bastion": 10.0}
    assert "[2/3]" in run.status(111.0, 80)


def test_the_recap_tells_only_what_there_is() -> None:
    counts = {
        "b": {"ok": 3, "changed": 1, "unreachable": 0, "failures": 0, "skipped": 2, "rescued": 0, "ignored": 0},
        "long": {"ok": 3, "changed": 0, "unreachable": 0, "failures": 0, "skipped": 0, "rescued": 1, "ignored": 0},
        "c": {"ok": 1, "changed": 1, "unreachable": 0, "failures": 1, "skipped": 0, "rescued": 0, "ignored": 0},
        "d": {"ok": 0, "changed": 0, "unreachable": 1, "failures": 0, "skipped": 0, "rescued": 0, "ignored": 0},
        "e": {},
    }
    assert recap(counts) == [
        ("changed", "b     3 ok, 1 changed"),
        ("bad", "c     1 ok, 1 changed, 1 failed"),
        ("bad", "d     1 unreachable"),
        ("good", "e     nothing to do"),
        ("good", "long  3 ok, 1 rescued"),
    ]
    assert "1 to change" in recap(counts, foreseen=True)[0][1]


def test_durations_are_kept_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "durations.json"
    assert read_durations(path, "site") == {}
    for number in range(KEPT + 5):
        keep_durations(path, f"other {number}", {"a": 1.0})
    keep_durations(path, "site", {"Bastion": 1.23456})
    assert read_durations(path, "site") == {"Bastion": 1.2}
    assert len(json.loads(path.read_text())) == KEPT


@pytest.mark.parametrize("content", ["", "[]", "no json", '{"site": 3}', '{"site": {"a": "x"}}', '{"site": null}'])
def test_a_file_of_another_kind_is_no_estimate_and_no_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "durations.json"
    path.write_text(content)
    assert read_durations(path, "site") == {}
    keep_durations(path, "site", {"a": 2.0})
    assert read_durations(path, "site") == {"a": 2.0}


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep_durations(tmp_path / "file" / "durations.json", "site", {"a": 2.0})
