"""The edge as a proxy: what it says to origins and users, bodies of any size, and connections that are kept."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from lab.cloudflare.edge.connections import Limits
from tests.lab.edge import ZONE, EdgeOnLoopback, edge_on_loopback
from tests.lab.origins import Origin, answer, origin, raw

MIB = 2**20
PATIENCE_SECONDS = 20


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeOnLoopback]:
    with edge_on_loopback(tmp_path_factory.mktemp("edge"), Limits(read=10, write=10)) as served:
        served.record()
        yield served


@pytest.fixture
def behind(edge: EdgeOnLoopback) -> Iterator[Origin]:
    with origin(edge.origin_http) as made:
        yield made


@pytest.fixture
def user(edge: EdgeOnLoopback) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(ZONE)
    connection.sock = edge.connect()
    yield connection
    connection.close()


def ask(
    user: HTTPConnection, method: str = "GET", path: str = "/", body: object = None, **headers: str
) -> HTTPResponse:
    user.request(method, path, body, headers)  # type: ignore[arg-type]  # because bodies of every kind are tried
    return user.getresponse()


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


# Headers


def test_what_an_origin_is_told(user: HTTPConnection, behind: Origin) -> None:
    given = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "gopher",
        "CF-Connecting-IP": "203.0.113.9",
        "Connection": "keep-alive, X-Mine",
        "X-Mine": "for the edge only",
        "TE": "trailers",
        "Cookie": "a=b",
    }
    assert ask(user, path="/a%2Fb/../c?d=e%20f", **given).read() == b"from the origin"
    line = behind.heads[-1].split(b"\r\n")[0]
    assert line == b"GET /a%2Fb/../c?d=e%20f HTTP/1.1", "the target goes on as it is"
    assert behind.header("Host") == [ZONE]
    assert behind.header("X-Forwarded-For") == ["203.0.113.9, 127.0.0.1"]
    assert behind.header("CF-Connecting-IP") == ["127.0.0.1"]
    assert behind.header("X-Forwarded-Proto") == ["https"]
    assert json.loads(behind.header("CF-Visitor")[0]) == {"scheme": "https"}
    assert behind.header("CDN-Loop") == ["cloudflare; loops=1"]
    assert behind.header("Cookie") == ["a=b"]
    for name in ("X-Mine", "TE", "Connection", "Transfer-Encoding", "Content-Length"):
        assert behind.header(name) == [], name


def test_what_a_user_is_told(user: HTTPConnection, behind: Origin) -> None:
    own = ["Server: nginx", "CF-RAY: made up", "Set-Cookie: a=1", "Set-Cookie: b=2", "Keep-Alive: timeout=5"]
    behind.behaviour = answer(b"body", "418 Whatever", *own)
    found = ask(user)
    assert (found.status, found.read()) == (418, b"body")
    assert found.headers.get_all("Server") == ["cloudflare"]
    assert found.headers.get_all("CF-RAY") == behind.header("CF-Ray")
    assert found.headers.get_all("CF-Cache-Status") == ["DYNAMIC"]
    assert found.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert "Keep-Alive" not in found.headers


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_with_and_without_a_body(user: HTTPConnection, behind: Origin, method: str) -> None:
    for body in (None, b"", b"something"):
        found = ask(user, method, body=body)
        assert found.status == 200
        assert found.read() == (b"" if method == "HEAD" else b"from the origin")
        assert found.headers["Content-Length"] == "15"
        assert behind.bodies[-1] == (body or b"")
        assert behind.heads[-1].startswith(method.encode() + b" ")
    assert len(behind.heads) == 3


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_that_have_no_body(user: HTTPConnection, behind: Origin, status: str) -> None:
    behind.behaviour = lambda connection, *_: connection.sendall(
        f"HTTP/1.1 {status}\r\nETag: x\r\n{'Content-Length: 5' if status[0] == '3' else 'A: b'}\r\n\r\n".encode()
    )
    for _ in range(2):
        found = ask(user)
        assert (found.status, found.read(), found.headers["ETag"]) == (int(status[:3]), b"", "x")
    assert behind.connections == 1


def test_an_interim_answer_is_not_the_answer(user: HTTPConnection, behind: Origin) -> None:
    behind.behaviour = lambda connection, *_: connection.sendall(
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    found = ask(user)
    assert (found.status, found.read()) == (200, b"ok")


# Bodies


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_pass_both_ways(edge: EdgeOnLoopback, user: HTTPConnection, behind: Origin, chunked: bool) -> None:
    piece, count = os.urandom(MIB), 24
    digests: list[str] = []

    def echo(connection: socket.socket, _head: bytes, received: bytes) -> None:
        digests.append(hashlib.sha256(received).hexdigest())
        length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(received)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n\r\n")
        if chunked:
            for at in range(0, len(received), MIB):
                part = received[at : at + MIB]
                connection.sendall(b"%x\r\n" % len(part) + part + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        else:
            connection.sendall(received)

    behind.behaviour = echo
    headers = {} if chunked else {"Content-Length": str(count * MIB)}
    user.request("POST", "/", (piece for _ in range(count)), headers, encode_chunked=chunked)
    found, digest = user.getresponse(), hashlib.sha256()
    while part := found.read(MIB):
        digest.update(part)
    wanted = hashlib.sha256(piece * count).hexdigest()
    assert [digest.hexdigest(), *digests] == [wanted, wanted]


def test_a_slow_reader_stops_the_origin_instead_of_filling_memory(edge: EdgeOnLoopback, behind: Origin) -> None:
    sent, enough = [0], 256 * MIB

    def pour(connection: socket.socket, *_: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % enough)
        connection.settimeout(1)
        try:
            while sent[0] < enough:
                sent[0] += connection.send(b"x" * 65536)
        except TimeoutError:
            connection.close()

    behind.behaviour = pour
    with edge.connect() as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
        until(lambda: sent[0] and behind.heads, "the first bytes")
        before = -1
        while sent[0] != before:
            before = sent[0]
            time.sleep(1.2)
    assert sent[0] < 64 * MIB, "buffers of sockets are a few MiB; the rest must wait"


def test_a_slow_origin_stops_the_user_instead_of_filling_memory(edge: EdgeOnLoopback) -> None:
    sent, enough = 0, 256 * MIB
    with socket.create_server(("127.0.0.1", edge.origin_http)) as deaf, edge.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {ZONE}\r\nContent-Length: {enough}\r\n\r\n".encode())
        accepted, _ = deaf.accept()
        connection.settimeout(1)
        with suppress(TimeoutError):
            while sent < enough:
                sent += connection.send(b"x" * 65536)
        accepted.close()
    assert sent < 64 * MIB, "buffers of sockets are a few MiB; the rest must wait"


def test_pieces_come_as_they_are_sent(user: HTTPConnection, behind: Origin) -> None:
    go_on = threading.Event()

    def drip(connection: socket.socket, *_: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert go_on.wait(PATIENCE_SECONDS)
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    behind.behaviour = drip
    found = ask(user)
    assert found.read(5) == b"first"
    go_on.set()
    assert found.read() == b"second"


def test_an_origin_hears_that_the_user_has_gone(edge: EdgeOnLoopback, behind: Origin) -> None:
    noticed = threading.Event()

    def wait(connection: socket.socket, *_: bytes) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        if connection.recv(1) == b"":
            noticed.set()
        connection.close()

    behind.behaviour = wait
    with edge.connect() as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
        until(lambda: behind.heads, "the request")
    assert noticed.wait(PATIENCE_SECONDS)


def test_a_user_who_leaves_in_the_middle_of_a_body(edge: EdgeOnLoopback, user: HTTPConnection, behind: Origin) -> None:
    with edge.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {ZONE}\r\nContent-Length: 100\r\n\r\nhalf".encode())
        until(lambda: behind.connections, "the connection to the origin")
    assert ask(user).read() == b"from the origin"
    assert len(behind.bodies) == 1, "the half one was never a request"


def test_expect_continue_is_answered(edge: EdgeOnLoopback, behind: Origin) -> None:
    with edge.connect() as connection:
        head = f"POST / HTTP/1.1\r\nHost: {ZONE}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"body")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert (behind.bodies, behind.header("Expect")) == ([b"body"], [])


# Connections that are kept


def test_connections_to_origins_are_used_again(edge: EdgeOnLoopback, user: HTTPConnection, behind: Origin) -> None:
    for _ in range(50):
        assert ask(user).read() == b"from the origin"
    assert behind.connections == 1
    for _ in range(5):
        with edge.connect() as other:
            other.sendall(f"GET / HTTP/1.1\r\nHost: {ZONE}\r\n\r\n".encode())
            assert other.recv(100).startswith(b"HTTP/1.1 200 ")
    assert behind.connections <= 2


def test_a_kept_connection_that_was_closed_costs_no_request(user: HTTPConnection, behind: Origin) -> None:
    for _ in range(20):
        assert ask(user).read() == b"from the origin"
        behind.hang_up()
    assert len(behind.heads) == 20


class ClosesBeforeTheSecond:
    """Every connection answers once; the next request on it is read and left unanswered, as by a server that has just
    decided to close."""

    def __init__(self) -> None:
        self._used: set[int] = set()

    def __call__(self, connection: socket.socket, *rest: bytes) -> None:
        if id(connection) in self._used:
            connection.close()
            return
        self._used.add(id(connection))
        answer()(connection, *rest)


def test_a_request_that_a_kept_connection_lost_is_repeated_where_that_does_no_harm(
    user: HTTPConnection, behind: Origin
) -> None:
    behind.behaviour = ClosesBeforeTheSecond()
    for method in ("GET", "GET", "HEAD", "DELETE", "OPTIONS"):
        found = ask(user, method)
        assert (found.status, bool(found.read())) == (200, method != "HEAD"), method
    asked = len(behind.heads)
    found = ask(user, "POST", body=b"once")
    assert (found.status, found.read()[:15]) == (520, b"<!DOCTYPE html>")
    assert len(behind.heads) == asked + 1, "it may have been carried out"


def test_a_first_request_is_never_repeated(user: HTTPConnection, behind: Origin) -> None:
    behind.behaviour = raw(b"")
    assert ask(user).status == 520
    assert len(behind.heads) == 1


def test_an_answer_that_began_is_never_repeated(user: HTTPConnection, behind: Origin) -> None:
    assert ask(user).read() == b"from the origin"
    behind.behaviour = raw(b"HTTP/1.1 2")
    assert ask(user).status == 520
    assert len(behind.heads) == 2


def test_many_users_at_once(edge: EdgeOnLoopback, behind: Origin) -> None:
    users, each = 60, 10

    def visit(number: int) -> int:
        connection = HTTPConnection(ZONE)
        connection.sock = edge.connect()
        good = 0
        for at in range(each):
            found = ask(connection, path=f"/{number}/{at}")
            good += (found.status, found.read()) == (200, b"from the origin")
        connection.close()
        return good

    with ThreadPoolExecutor(users) as pool:
        assert list(pool.map(visit, range(users))) == [each] * users
    assert len({head.split(b" ")[1] for head in behind.heads}) == users * each
    assert behind.connections <= users + 5


def test_memory_does_not_grow_with_requests(edge: EdgeOnLoopback, user: HTTPConnection, behind: Origin) -> None:
    def ask_often() -> int:
        for _ in range(300):
            ask(user).read()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    first = ask_often()
    assert ask_often() - first < 20 * MIB
    assert len(os.listdir("/proc/self/fd")) < 200


def test_a_broken_state_is_written_down_and_changes_nothing(
    edge: EdgeOnLoopback, user: HTTPConnection, behind: Origin, tmp_path: Path
) -> None:
    content = edge.file.path.read_bytes()
    edge.file.path.unlink()
    assert ask(user).read() == b"from the origin"
    edge.file.path.write_bytes(content)
    assert ask(user).read() == b"from the origin"


# Requests that two servers could understand differently


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, identity\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n",
        "GET / HTTP/1.1\r\nA : b\r\n",
        f"CONNECT {ZONE}:443 HTTP/1.1\r\n",
    ],
)
def test_requests_of_doubtful_form_never_reach_an_origin(edge: EdgeOnLoopback, behind: Origin, head: str) -> None:
    with edge.connect() as connection:
        connection.sendall(f"{head}Host: {ZONE}\r\n\r\n0\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert behind.heads == []
