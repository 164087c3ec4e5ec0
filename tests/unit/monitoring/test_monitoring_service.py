"""What runs and what the files say: the next step, and files that are put in place together or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils import config_files
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring import placing, service
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.service import (
    Administrator,
    Container,
    Loaded,
    Seen,
    Service,
    ServiceError,
    Stack,
    decide,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.web import Answer, Web

PROMETHEUS = Service("prometheus", "prometheus", "http://p", "/ready", "reloaded")
EXPORTER = Service("exporter", "postgres_exporter", "http://e", "/")
SERVICES = (EXPORTER, PROMETHEUS)
GOOD = Container(running=True, current=True)
SETTLED = Seen(
    containers={"exporter": GOOD, "prometheus": GOOD},
    loaded={"prometheus": Loaded(at=200.0, good=True)},
    changed={"prometheus": 100.0},
)


def with_container(name: str, container: Container | None) -> Seen:
    others = {other: found for other, found in SETTLED.containers.items() if other != name}
    return replace(SETTLED, containers=others | ({name: container} if container else {}))


@pytest.mark.parametrize(
    ("seen", "kind", "name", "why"),
    [
        (with_container("exporter", None), "up", "", "exporter is not there"),
        (with_container("exporter", Container(running=True, current=False)), "up", "", "not as compose.yml describes"),
        (with_container("exporter", Container(running=False, current=True)), "up", "", "does not run"),
        (replace(SETTLED, strange=["old"]), "remove", "old", "no longer declared"),
        (replace(SETTLED, loaded={}), "wait", "prometheus", "does not answer yet"),
        (replace(SETTLED, changed={"prometheus": 300.0}), "reload", "prometheus", "newer than what it has read"),
        # The same moment: nobody knows which came first.
        (replace(SETTLED, changed={"prometheus": 200.0}), "reload", "prometheus", "newer"),
        (replace(SETTLED, loaded={"prometheus": Loaded(200.0, good=False)}), "reload", "prometheus", "newer"),
        # Containers first: a program that is about to be replaced reads nothing any more.
        (
            replace(with_container("exporter", None), changed={"prometheus": 300.0}),
            "up",
            "",
            "exporter is not there",
        ),
    ],
)
def test_the_next_step(seen: Seen, kind: str, name: str, why: str) -> None:
    step = decide(SERVICES, seen)
    assert step
    assert (step.kind, step.name) == (kind, name)
    assert why in step.why


def test_nothing_is_done_where_nothing_differs() -> None:
    assert decide(SERVICES, SETTLED) is None


@dataclass(frozen=True)
class Pages(Web):
    """Pages by URL; what is not there does not answer."""

    pages: Mapping[str, Answer] = field(default_factory=dict)

    def get(self, url: str, user: tuple[str, str] | None = None) -> Answer:
        return self.pages.get(url if user is None else f"{user[1]}@{url}", Answer(reason="connection refused"))


@dataclass
class Programs:
    """Notes what is run, and answers by the first words that fit."""

    answers: Mapping[str, tuple[int, str, str]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    fed: list[str] = field(default_factory=list)

    def __call__(self, words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        line = " ".join(words)
        self.ran.append(line)
        self.fed.append(feed)
        fits = [name for name in self.answers if line.startswith(name)]
        return self.answers[max(fits, key=len)] if fits else (0, "", "")


def stack(programs: Programs, pages: Mapping[str, Answer], folder: Path, seconds: int = 1) -> Stack:
    return Stack(programs, str(folder), "trial", SERVICES, seconds, Pages(pages=pages), lambda _: None)


COMPOSED = {
    "docker compose": (0, "exporter aa\nprometheus bb\n", ""),
    "docker ps": (0, "1\n2\n", ""),
    "docker inspect": (0, "/exporter true exporter aa\n/prometheus true prometheus bb\n", ""),
    "docker inspect --format {{.State.Pid}}": (0, "4711\n", ""),
    "docker logs": (0, "", "level=info msg=started\nlevel=error err=boom\n"),
}
METRICS = "reloaded_successful 1\nreloaded_success_timestamp_seconds 9.9e+09\n"
ANSWERS = {
    "http://p/metrics": Answer(200, METRICS),
    "http://p/ready": Answer(200),
    "http://e/": Answer(200),
}


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    programs = Programs(COMPOSED)
    assert stack(programs, ANSWERS, tmp_path).settle(check_mode=False) == []
    assert not [line for line in programs.ran if " up " in line or line.startswith("kill ") or " rm " in line]


def test_check_mode_says_the_next_step_and_takes_none(tmp_path: Path) -> None:
    programs = Programs(COMPOSED | {"docker inspect": (0, "/exporter true exporter aa\n", "")})
    (step,) = stack(programs, ANSWERS, tmp_path).settle(check_mode=True)
    assert step.why == "prometheus is not there"
    assert not [line for line in programs.ran if " up " in line]


def test_who_is_not_ready_in_time_is_named_with_its_last_words(tmp_path: Path) -> None:
    pages = {url: answer for url, answer in ANSWERS.items() if url != "http://e/"}
    with pytest.raises(ServiceError, match=r"exporter is not ready after 1 s \(connection refused\).*err=boom"):
        stack(Programs(COMPOSED), pages, tmp_path).settle(check_mode=False)


def test_who_refuses_its_files_is_named_with_its_reason(tmp_path: Path) -> None:
    refusing = Answer(200, "reloaded_successful 0\nreloaded_success_timestamp_seconds 100\n")
    programs = Programs(COMPOSED)
    with pytest.raises(ServiceError, match="prometheus refuses its new files and goes on with what it had read"):
        stack(programs, ANSWERS | {"http://p/metrics": refusing}, tmp_path, seconds=60).settle(check_mode=False)
    assert "kill -HUP 4711" in programs.ran


@pytest.mark.parametrize("process", ["0", ""])
def test_a_container_that_has_just_ended_is_sent_nothing(tmp_path: Path, process: str) -> None:
    """To process 0 a signal would be one to ourselves."""
    refusing = Answer(200, "reloaded_successful 0\nreloaded_success_timestamp_seconds 100\n")
    programs = Programs(COMPOSED | {"docker inspect --format {{.State.Pid}}": (0, process, "")})
    with pytest.raises(ServiceError):
        stack(programs, ANSWERS | {"http://p/metrics": refusing}, tmp_path).settle(check_mode=False)
    assert not [line for line in programs.ran if line.startswith("kill ")]


def test_a_database_that_lets_nobody_in_is_told(tmp_path: Path) -> None:
    logs = 'level=ERROR msg=x err="Error opening connection to database (postgres://x): pq: no such \\"user\\""\n'
    programs = Programs(COMPOSED | {"docker logs": (0, "", logs)})
    found = stack(programs, {"http://e/metrics": Answer(200, "pg_up 0\n")}, tmp_path).unreachable()
    assert found == ['exporter cannot ask its database: pq: no such "user"']
    assert stack(programs, {"http://e/metrics": Answer(200, "pg_up 1\n")}, tmp_path).unreachable() == []


def grafana(programs: Programs, **pages: int) -> Administrator:
    web = Pages(pages={f"{user}@http://g/api/user": Answer(status) for user, status in pages.items()})
    return Administrator(programs, web, "http://g", "grafana", "new")


def test_grafanas_password_is_set_only_where_it_is_another() -> None:
    programs = Programs()
    assert not grafana(programs, new=200).settle(check_mode=False)
    assert programs.ran == []
    assert grafana(programs, new=401).settle(check_mode=True)
    assert programs.ran == []
    assert grafana(programs, new=401).settle(check_mode=False)
    assert programs.ran[0].endswith("reset-admin-password --password-from-stdin")
    assert programs.fed == ["new"]
    assert "new" not in programs.ran[0]


def test_a_refused_password_of_grafana_is_an_error() -> None:
    with pytest.raises(ServiceError, match="cannot be set: too short"):
        grafana(Programs({"docker exec": (1, "", "too short")}), new=401).settle(check_mode=False)


@pytest.mark.parametrize(
    ("logs", "why"),
    [
        ("", "it does not say why"),
        ("err=refused", "refused"),
        ('a=1 err="first one" b=2\nerr="the second" c=3', "the second"),
        ('err="dial tcp: timeout"', "dial tcp: timeout"),
    ],
)
def test_the_reason_of_an_exporter(logs: str, why: str) -> None:
    assert placing.reason(logs) == why


# --- Files ---

ME = os.getuid()


def place(tmp_path: Path) -> placing.Place:
    folder = tmp_path / "monitoring"
    return placing.Place(str(folder), "trial", {"a": "/etc/a", "b": "/etc/b"}, {"a": ME, "b": ME})


def declared(where: placing.Place, **contents: str) -> list[config_files.Entry]:
    folders = [{"path": path, "mode": "0755", "owner": ME} for path in (where.folder, f"{where.folder}/a")]
    files = [{"path": f"a/{name}", "content": content, "mode": "0644"} for name, content in contents.items()]
    return [replace(entry, uid=ME, gid=os.getgid()) for entry in placing.entries(where, files, {}, folders)]


def put(where: placing.Place, **contents: str) -> None:
    def unchecked(words: Sequence[str]) -> tuple[int, str]:
        raise AssertionError(words)

    config_files.apply(placing.plan(where, declared(where, **contents)), unchecked)


def test_what_is_not_declared_goes(tmp_path: Path) -> None:
    where = place(tmp_path)
    put(where, one="1", two="2")
    put(where, two="2")
    assert sorted(path.name for path in Path(where.folder, "a").iterdir()) == ["two"]
    assert placing.plan(where, declared(where, two="2")) == []


def test_all_files_are_laid_out_for_the_programs_and_taken_away_again(tmp_path: Path) -> None:
    where = place(tmp_path)
    put(where, one="old")
    with placing.staged(where, declared(where, one="new", two="2")) as folder:
        assert Path(folder, "a/one").read_text() == "new"
        assert Path(folder, "a/two").read_text() == "2"
    assert not Path(folder).exists()
    assert Path(where.folder, "a/one").read_text() == "old"


def test_a_program_is_asked_about_its_own_part_alone(tmp_path: Path) -> None:
    where = place(tmp_path)
    programs = Programs()
    checks = [{"part": part, "image": f"i/{part}", "words": ["check", "x"], "refuses": "no"} for part in ("a", "b")]
    placing.check(programs, where, "/new", checks, {"b"})
    (line,) = programs.ran
    assert "--network none --cap-drop ALL --read-only" in line
    assert line.endswith("--volume /new/b:/etc/b:ro --entrypoint check i/b x")


def test_a_refusal_says_who_refuses_what_and_why(tmp_path: Path) -> None:
    checks = [{"part": "a", "image": "i", "words": ["check"], "refuses": "the checker refuses them"}]
    programs = Programs({"docker run": (1, "Checking\nFAILED: line 3: nonsense\n", "")})
    with pytest.raises(
        RefusedError, match=r"files of a are not put in place, because the checker refuses them.*line 3"
    ):
        placing.check(programs, place(tmp_path), "/new", checks, {"a"})


def test_an_image_that_cannot_be_had_is_named_before_anything_changes() -> None:
    programs = Programs({"docker image inspect": (1, "", ""), "docker pull": (1, "", "no such host")})
    with pytest.raises(RefusedError, match="i:1 cannot be had, so nothing was changed: no such host"):
        placing.fetch(programs, ["i:1"])


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        ('err="pq: password authentication failed for user \\"metrics\\""', True),
        ('err="pq: no pg_hba.conf entry for host"', True),
        ('err="tls: failed to verify certificate: x509: unknown authority"', True),
        ('err="dial tcp 10.0.0.6:5432: connect: connection refused"', False),
        ('err="dial tcp 10.0.0.6:5432: i/o timeout"', False),
    ],
)
def test_a_login_that_is_refused_ends_it_and_a_member_that_is_away_does_not(
    said: str, refused: bool, tmp_path: Path
) -> None:
    @dataclass(frozen=True)
    class Down(Web):
        def get(self, url: str, user: tuple[str, str] | None = None) -> Answer:
            return Answer(200, "pg_up 0\n")

    programs = Programs({"docker logs": (0, "", said)})
    login = placing.Login(programs, Down(), place(tmp_path), lambda _: None)
    trials = [{"member": "db-1", "image": "i", "environment": {"X": "y"}}]
    if refused:
        with pytest.raises(RefusedError, match="The new login for db-1 is not put in place"):
            login.attempt("/new", "a", trials)
    else:
        (note,) = login.attempt("/new", "a", trials)
        assert note.startswith("db-1 could not be asked for metrics: dial tcp")
    assert programs.ran[-1] == f"docker rm --force {placing.TRIAL}"


def test_the_time_of_the_newest_change_counts_what_was_taken_away(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    before = service.changed(str(tmp_path))
    # A folder's time says that something went.
    (tmp_path / "x").unlink()
    assert service.changed(str(tmp_path)) >= before > 0
