"""The lab's small application: what it answers, how it ends, and what it makes of a database that comes and goes."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import load

server = load("lab/containers/files/application/server.py")

PATIENCE_SECONDS = 30


class LostError(Exception):
    """As a driver raises when a connection breaks."""


class NoTableError(Exception):
    """As a driver raises for a table that is not there."""


class Member:
    """A database member behind the interface of Python's drivers, with just the statements that are used."""

    def __init__(self, host: str, rows: dict[int, tuple[Any, ...]], replica: bool = False) -> None:
        self.host, self.rows, self.replica = host, rows, replica
        self.away = self.table = False
        self.connections: list[FakeConnection] = []
        #: How many look-ups a row takes to arrive here.
        self.lag = 0

    def connect(self) -> FakeConnection:
        if self.away:
            raise LostError
        self.connections.append(FakeConnection(self))
        return self.connections[-1]

    def fail(self) -> None:
        """Every connection breaks, as when the member is killed."""
        for connection in self.connections:
            connection.broken = True


class FakeConnection:
    def __init__(self, member: Member) -> None:
        self.member = member
        self.broken = self.closed = False
        self.description: object = None
        self._row: tuple[Any, ...] | None = None

    def cursor(self) -> FakeConnection:
        return self

    def __enter__(self) -> FakeConnection:
        return self

    def __exit__(self, *_: object) -> None: ...

    def close(self) -> None:
        self.closed = True

    def execute(self, statement: str, values: tuple[Any, ...]) -> None:
        assert not self.closed
        if self.broken:
            raise LostError
        member = self.member
        self.description = None if statement.startswith(("CREATE", "DELETE")) else ("some",)
        if statement.startswith("CREATE"):
            member.table = True
        elif "visits (server" in statement or "FROM visits" in statement:
            if not member.table:
                raise NoTableError
            if statement.startswith("INSERT"):
                number = max(member.rows, default=0) + 1
                member.rows[number] = (number, *values, "now")
                self._row = (number, member.host, member.replica)
            elif statement.startswith("DELETE"):
                for old in [number for number in member.rows if number <= values[0]]:
                    del member.rows[old]
            else:
                member.lag -= 1
                self._row = member.rows.get(values[0]) if member.lag < 0 else None
        else:
            self._row = (member.host, member.replica)

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._row


@pytest.fixture
def primary() -> Member:
    return Member("10.0.0.6", {})


@pytest.fixture
def replica(primary: Member) -> Member:
    member = Member("10.0.0.7", primary.rows, replica=True)
    member.table = True
    return member


def visits(primary: Member, replica: Member) -> Any:
    lost = (LostError,)
    pools = (server.Pool(member.connect, lost) for member in (primary, replica))
    return server.Visits(*pools, server.Errors(lost, (NoTableError,)))


@contextmanager
def running(database: Any = None, secret: str = "", other: str = "") -> Iterator[Any]:
    made = server.Server(("127.0.0.1", 0), "app-01", "7", database, secret, other)
    thread = threading.Thread(target=made.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.stop(0)
        thread.join(PATIENCE_SECONDS)


def connect(served: Any) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*served.server_address, timeout=PATIENCE_SECONDS)


def ask(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str] | None = None
) -> tuple[int, str, http.client.HTTPResponse]:
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode().strip(), answer


def test_it_says_who_it_is_on_a_connection_that_stays() -> None:
    with running() as served:
        connection = connect(served)
        for path, status in (("/up", 200), ("/elsewhere", 404), ("/up", 200)):
            answered, _, answer = ask(connection, path)
            assert answered == status
            assert answer.version == 11
            assert not answer.will_close
            assert (answer.getheader("X-Served-By"), answer.getheader("X-Version")) == ("app-01", "7")


@pytest.mark.parametrize("seconds", ["-1", "61", "soon", "nan"])
def test_slowness_has_bounds(seconds: str) -> None:
    with running() as served:
        assert ask(connect(served), f"/slow?seconds={seconds}")[:2] == (400, "seconds is a number from 0 to 60")
        assert ask(connect(served), "/slow?seconds=0.01")[:2] == (200, "waited 0.01 s")


def test_only_the_edge_is_answered_where_there_is_a_secret() -> None:
    with running(secret="a long one") as served:
        for headers in ({}, {"X-Edge-Secret": "another"}, {"X-Edge-Secret": "é"}):
            assert ask(connect(served), "/slow?seconds=0", headers)[0] == 403
        assert ask(connect(served), "/slow?seconds=0", {"X-Edge-Secret": "a long one"})[0] == 200
        assert ask(connect(served), "/up")[0] == 200


def test_while_the_secret_changes_both_will_do() -> None:
    with running(secret="the new one", other="the old one") as served:
        for given, status in (("the new one", 200), ("the old one", 200), ("another", 403), ("", 403)):
            assert ask(connect(served), "/slow?seconds=0", {"X-Edge-Secret": given})[0] == status


def test_a_secret_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a long one\n")
    assert server.edge_secret({}) == ""
    assert server.edge_secret({"EDGE_SECRET": "short"}) == "short"
    assert server.edge_secret({"EDGE_SECRET": "short", "EDGE_SECRET_FILE": str(file)}) == "a long one"
    file.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):  # not open to everybody
        server.edge_secret({"EDGE_SECRET_FILE": str(file)})


class Held:
    """A database whose answer comes when the test says so."""

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    def add(self, *_: str) -> dict[str, Any]:
        self.entered.set()
        assert self.leave.wait(PATIENCE_SECONDS)
        return {}


def test_it_ends_when_everything_begun_has_been_answered() -> None:
    held = Held()
    with running(held) as served:
        idle, busy = connect(served), connect(served)
        assert ask(idle, "/up")[0] == 200
        busy.request("GET", "/")
        assert held.entered.wait(PATIENCE_SECONDS)

        # While it drains, /up fails and other requests are answered, each the last on its connection.
        served.draining = True
        status, said, answer = ask(connect(served), "/up")
        assert (status, said, answer.will_close) == (503, "draining", True)
        assert ask(connect(served), "/slow?seconds=0")[0] == 200

        ended: list[bool] = []
        stopping = threading.Thread(target=lambda: ended.append(served.stop(0)))
        stopping.start()
        # The idle connection ends, which shows that no new ones are taken; the busy one does not.
        assert idle.sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(served).connect()
        assert not ended
        held.leave.set()
        answer = busy.getresponse()
        assert answer.status == 200
        assert json.loads(answer.read())["server"] == "app-01"
        stopping.join(PATIENCE_SECONDS)
        assert ended == [True]


def test_requests_that_do_not_end_are_told() -> None:
    held = Held()
    with running(held) as served:
        busy = connect(served)
        busy.request("GET", "/")
        assert held.entered.wait(PATIENCE_SECONDS)
        assert served.stop(0, stop_seconds=0) is False
        held.leave.set()
        assert busy.getresponse().status == 200


# The database


def test_a_row_goes_through_the_primary_to_the_replica(primary: Member, replica: Member) -> None:
    replica.lag = 2
    with running(visits(primary, replica)) as served:
        status, said, _ = ask(connect(served), "/", {"X-Forwarded-For": "198.51.100.20"})
        assert status == 200
        found = json.loads(said)
        assert found.pop("asked")["X-Forwarded-For"] == "198.51.100.20"
        assert found["read"].pop("waited_ms") >= 0
        assert found == {
            "server": "app-01",
            "version": "7",
            "written": {"id": 1, "host": "10.0.0.6", "replica": False},
            "read": {
                "host": "10.0.0.7",
                "replica": True,
                "row": {"id": 1, "server": "app-01", "version": "7", "at": "now"},
            },
        }


def test_a_row_that_does_not_arrive_is_not_made_up(
    primary: Member, replica: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REPLICA_SECONDS", 0)
    database = visits(primary, replica)
    replica.lag = 10
    assert database.add("app-01", "7")["read"]["row"] is None
    replica.table = False  # it has not heard of the table either
    assert database.add("app-01", "7")["read"]["row"] is None


def test_the_table_does_not_grow_for_ever(primary: Member, replica: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "VISITS_KEPT", 3)
    monkeypatch.setattr(server, "VISITS_BETWEEN", 4)
    database = visits(primary, replica)
    for number in range(1, 10):
        assert database.add("app-01", "7")["read"]["row"]["id"] == number
    assert list(primary.rows) == [6, 7, 8, 9]


def test_without_a_database_only_what_needs_it_fails(primary: Member, replica: Member) -> None:
    primary.away = True
    for database, reason in ((None, "are not set"), (visits(primary, replica), "the database does not answer")):
        with running(database) as served:
            status, said, _ = ask(connect(served), "/")
            assert status == 503
            assert reason in said
            assert ask(connect(served), "/up")[0] == 200
    assert server.database({"DATABASE_URL": "postgresql://x"}) is None


def test_after_a_failover_no_request_fails(primary: Member, replica: Member) -> None:
    primary.table = True
    members = [primary]
    pool = server.Pool(lambda: members[0].connect(), (LostError,))
    hold = threading.Barrier(4)
    threads = [threading.Thread(target=pool.run, args=(lambda _: hold.wait(PATIENCE_SECONDS),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(primary.connections) == 4

    primary.fail()
    members[0] = replica
    assert pool.run(lambda connection: server._one(connection, "SELECT")) == ("10.0.0.7", True)
    # One that is dead takes all others along, instead of each failing a request of its own.
    assert all(connection.closed for connection in primary.connections)
    assert len(replica.connections) == 1


def test_a_connection_is_used_again_until_it_is_old(primary: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = server.Pool(primary.connect, (LostError,))
    first = pool.run(lambda connection: connection)
    assert pool.run(lambda connection: connection) is first
    monkeypatch.setattr(server, "POOL_AGE_SECONDS", 0)
    assert pool.run(lambda connection: connection) is not first
    assert first.closed


@pytest.mark.parametrize(("error", "raised"), [(LostError, server.UnavailableError), (KeyError, KeyError)])
def test_a_connection_that_failed_is_not_kept(primary: Member, error: type[Exception], raised: type[Exception]) -> None:
    pool = server.Pool(primary.connect, (LostError,), size=1)

    def fail(_: object) -> None:
        raise error

    for _ in range(3):  # and its place is free again
        with pytest.raises(raised):
            pool.run(fail)
    assert len(primary.connections) == 3
    assert all(connection.closed for connection in primary.connections)


def test_more_requests_than_connections_wait_for_one(primary: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "POOL_WAIT_SECONDS", 0)
    pool = server.Pool(primary.connect, (LostError,), size=1)
    inner: Callable[[object], object] = lambda _: pool.run(lambda connection: connection)  # noqa: E731 because a def would lose its type
    with pytest.raises(server.UnavailableError, match="busy"):
        pool.run(inner)
