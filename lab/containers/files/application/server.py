"""The lab's small application: it writes a row through the primary, reads it from the replica, and says who did what.

Settings come from the environment: DATABASE_URL and DATABASE_READ_URL (libpq's), SERVER_NAME, VERSION, PORT (3000),
EDGE_SECRET or EDGE_SECRET_FILE (none), EDGE_SECRET_OTHER, which will do as well while that changes (none),
DRAIN_SECONDS (2), during which /up already fails after SIGTERM.
"""

from __future__ import annotations

import hmac
import importlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

#: Of this program; its image's tag. What VERSION says is the deployment's.
PROGRAM_VERSION = "1"

POOL_SIZE = 8
#: Connections are renewed after this, so that reading returns to a replica that was away or has changed its role.
POOL_AGE_SECONDS = 60
POOL_WAIT_SECONDS = 5
#: Rows that stay in the table, and after how many new ones the others are looked for.
VISITS_KEPT = 10_000
VISITS_BETWEEN = 1_000
#: How long a row may take to the replica.
REPLICA_SECONDS = 2
SLOW_SECONDS = 60
IDLE_SECONDS = 75
STOP_SECONDS = SLOW_SECONDS

Result = TypeVar("Result")
Row = tuple[Any, ...]
#: What the library calls a request: a connection, since this is no server of datagrams.
Accepted = socket.socket | tuple[bytes, socket.socket]


class UnavailableError(Exception):
    """The database cannot be used now; the message is one sentence for the caller."""


@dataclass(frozen=True)
class Errors:
    """What a driver's exceptions mean."""

    #: This connection is of no use any more; another may be.
    lost: tuple[type[Exception], ...]
    no_table: tuple[type[Exception], ...]


class Cursor(Protocol):
    """The part of Python's database interface (PEP 249) that is used here."""

    description: object

    def execute(self, statement: str, values: tuple[object, ...]) -> object: ...
    def fetchone(self) -> Row | None: ...
    def __enter__(self) -> Cursor: ...
    def __exit__(self, *error: object) -> object: ...


class Connection(Protocol):
    """The same of a connection, on which each statement is a transaction."""

    autocommit: bool

    def cursor(self) -> Cursor: ...
    def close(self) -> None: ...


class Pool:
    """Connections to whichever member an address leads to."""

    def __init__(
        self, connect: Callable[[], Connection], lost: tuple[type[Exception], ...], size: int = POOL_SIZE
    ) -> None:
        self._connect = connect
        self._lost = lost
        self._places = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[tuple[Connection, float]] = []

    def run(self, work: Callable[[Connection], Result]) -> Result:
        """Have ``work`` done with a connection. Raises UnavailableError.

        After a failover all connections that were idle are dead. The first one found so takes the others along, and the
        work is done again with a new one; if only the answer was lost, it is done twice.
        """
        if not self._places.acquire(timeout=POOL_WAIT_SECONDS):
            raise UnavailableError("all connections to the database are busy")
        try:
            while True:
                connection, born = self._take()
                try:
                    if connection is None:
                        connection, born, fresh = self._connect(), time.monotonic(), True
                    else:
                        fresh = False
                    result = work(connection)
                except self._lost as error:
                    self._close(connection, *self._take_all())
                    if connection is None or fresh:
                        raise UnavailableError("the database does not answer") from error
                except BaseException:
                    self._close(connection)
                    raise
                else:
                    with self._lock:
                        self._idle.append((connection, born))
                    return result
        finally:
            self._places.release()

    def _take(self) -> tuple[Connection | None, float]:
        with self._lock:
            while self._idle:
                connection, born = self._idle.pop()
                if time.monotonic() - born < POOL_AGE_SECONDS:
                    return connection, born
                self._close(connection)
        return None, 0.0

    def _take_all(self) -> list[Connection]:
        with self._lock:
            idle, self._idle = self._idle, []
        return [connection for connection, _ in idle]

    def _close(self, *connections: Connection | None) -> None:
        for connection in connections:
            if connection is not None:
                with suppress(*self._lost):  # it is closed by then
                    connection.close()


class Visits:
    """A table of who answered, written on the primary and read from the replica."""

    def __init__(self, write: Pool, read: Pool, errors: Errors) -> None:
        self._write, self._read, self._errors = write, read, errors

    def add(self, server: str, version: str) -> dict[str, Any]:
        """Write a row and read it back. Raises UnavailableError."""
        written = self._write.run(lambda connection: self._insert(connection, server, version))
        began = time.monotonic()
        read = self._read.run(lambda connection: self._find(connection, written["id"]))
        return {"written": written, "read": {**read, "waited_ms": round((time.monotonic() - began) * 1000, 1)}}

    def _insert(self, connection: Connection, server: str, version: str) -> dict[str, Any]:
        statement = (
            "INSERT INTO visits (server, version) VALUES (%s, %s)"
            " RETURNING id, host(inet_server_addr()), pg_is_in_recovery()"
        )
        try:
            row = _one(connection, statement, (server, version))
        except self._errors.no_table:
            # One at a time: two that make it at the same moment would both find it missing.
            _ask(connection, "SELECT pg_advisory_lock(hashtext('visits'))")
            _ask(
                connection,
                "CREATE TABLE IF NOT EXISTS visits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " server text NOT NULL, version text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
            )
            _ask(connection, "SELECT pg_advisory_unlock(hashtext('visits'))")
            row = _one(connection, statement, (server, version))
        if row[0] % VISITS_BETWEEN == 0:
            _ask(connection, "DELETE FROM visits WHERE id <= %s", (row[0] - VISITS_KEPT,))
        return {"id": row[0], "host": row[1], "replica": row[2]}

    def _find(self, connection: Connection, number: int) -> dict[str, Any]:
        deadline, pause = time.monotonic() + REPLICA_SECONDS, 0.001
        while True:
            host, replica = _one(connection, "SELECT host(inet_server_addr()), pg_is_in_recovery()")
            try:
                found = _ask(connection, "SELECT id, server, version, at::text FROM visits WHERE id = %s", (number,))
            except self._errors.no_table:
                found = None  # its table was made a moment ago
            if found is not None or time.monotonic() > deadline:
                row = found and dict(zip(("id", "server", "version", "at"), found, strict=True))
                return {"host": host, "replica": replica, "row": row}
            time.sleep(pause)
            pause = min(pause * 2, 0.05)


def _one(connection: Connection, statement: str, values: tuple[object, ...] = ()) -> Row:
    """The first row of an answer that has one."""
    row = _ask(connection, statement, values)
    if row is None:
        raise LookupError(f"no row: {statement}")
    return row


def _ask(connection: Connection, statement: str, values: tuple[object, ...] = ()) -> Row | None:
    """The first row of the answer, None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone() if cursor.description else None


def database(environment: Mapping[str, str]) -> Visits | None:
    """The database that the environment names, None if it names none. Nothing is connected yet."""
    write, read = environment.get("DATABASE_URL"), environment.get("DATABASE_READ_URL")
    if not write or not read:
        return None
    driver = importlib.import_module("psycopg2")
    codes = importlib.import_module("psycopg2.errors")
    # A former primary that follows now takes no writes.
    lost = (driver.OperationalError, driver.InterfaceError, codes.ReadOnlySqlTransaction)

    def connector(url: str) -> Callable[[], Connection]:
        def connect() -> Connection:
            connection: Connection = driver.connect(url)
            connection.autocommit = True
            return connection

        return connect

    return Visits(Pool(connector(write), lost), Pool(connector(read), lost), Errors(lost, (codes.UndefinedTable,)))


def edge_secret(environment: Mapping[str, str]) -> str:
    """What requests are to carry, empty if nothing. Raises OSError, and ValueError for a file that holds none."""
    path = environment.get("EDGE_SECRET_FILE")
    if not path:
        return environment.get("EDGE_SECRET", "")
    secret = Path(path).read_text().strip()
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


class Server(ThreadingHTTPServer):
    """Serves until told to stop, and then ends what it has begun."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], name: str, version: str, visits: Visits | None, *edge_secrets: str
    ) -> None:
        self.name, self.version, self.visits = name, version, visits
        self.edge_secrets = [secret.encode() for secret in edge_secrets if secret]
        self.draining = False
        self._connections: set[Accepted] = set()
        self._changed = threading.Condition()
        super().__init__(address, Handler)

    def process_request(self, request: Accepted, client_address: object) -> None:
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Accepted) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Accepted, client_address: object) -> None:
        """A client that left is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def stop(self, drain_seconds: float, stop_seconds: float = STOP_SECONDS) -> bool:
        """Fail /up, go on serving, then take nothing new and end; whether all requests got their answers."""
        self.draining = True
        time.sleep(drain_seconds)
        self.shutdown()
        self.server_close()
        with self._changed:
            for connection in self._connections:
                # Whoever waits for another request reads the end; whoever writes an answer goes on.
                with suppress(OSError):  # the other end has left
                    if isinstance(connection, socket.socket):
                        connection.shutdown(socket.SHUT_RD)
            return self._changed.wait_for(lambda: not self._connections, stop_seconds)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer is one write

    def do_GET(self) -> None:
        began = time.monotonic()
        url = urlsplit(self.path)
        status, content = self._answer(url.path, parse_qs(url.query))
        body = (json.dumps(content, indent=2) if isinstance(content, dict) else content).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if isinstance(content, dict) else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Served-By", self.server.name)
        self.send_header("X-Version", self.server.version)
        if self.server.draining:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if url.path != "/up":
            print(f"{self.command} {url.path} {status} {(time.monotonic() - began) * 1000:.1f} ms", flush=True)

    do_HEAD = do_GET  # noqa: N815 because the library calls it so

    def _answer(self, path: str, query: Mapping[str, list[str]]) -> tuple[int, dict[str, Any] | str]:
        if path == "/up":
            # Not the database: a server is no worse than another when that is away.
            return (HTTPStatus.SERVICE_UNAVAILABLE, "draining") if self.server.draining else (HTTPStatus.OK, "up")
        secrets, given = self.server.edge_secrets, self.headers.get("X-Edge-Secret", "").encode()
        if secrets and True not in [hmac.compare_digest(given, secret) for secret in secrets]:
            return HTTPStatus.FORBIDDEN, "this server answers to the edge only"
        if path == "/":
            return self._visit()
        if path == "/slow":
            return self._slow(query.get("seconds", ["1"])[0])
        return HTTPStatus.NOT_FOUND, "there are /, /up and /slow?seconds=1"

    def _visit(self) -> tuple[int, dict[str, Any] | str]:
        if self.server.visits is None:
            return HTTPStatus.SERVICE_UNAVAILABLE, "DATABASE_URL and DATABASE_READ_URL are not set"
        try:
            visit = self.server.visits.add(self.server.name, self.server.version)
        except UnavailableError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, str(error)
        names = ("Host", "X-Forwarded-For", "X-Forwarded-Proto")
        asked = {name: self.headers[name] for name in names if name in self.headers}
        return HTTPStatus.OK, {"server": self.server.name, "version": self.server.version, "asked": asked, **visit}

    def _slow(self, text: str) -> tuple[int, str]:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1
        if not 0 <= seconds <= SLOW_SECONDS:
            return HTTPStatus.BAD_REQUEST, f"seconds is a number from 0 to {SLOW_SECONDS}"
        time.sleep(seconds)
        return HTTPStatus.OK, f"waited {seconds:g} s"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are noted when they were answered."""


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    if sys.argv[1:] == ["--version"]:
        print(PROGRAM_VERSION)
        return
    environment = os.environ
    try:
        port, drain_seconds = int(environment.get("PORT", "3000")), float(environment.get("DRAIN_SECONDS", "2"))
    except ValueError as error:
        sys.exit(f"PORT and DRAIN_SECONDS are numbers: {error}")
    try:
        secrets = edge_secret(environment), environment.get("EDGE_SECRET_OTHER", "")
    except (OSError, ValueError) as error:
        sys.exit(f"EDGE_SECRET_FILE cannot be used: {error}")
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    name = environment.get("SERVER_NAME") or socket.gethostname()
    server = Server(("", port), name, environment.get("VERSION", PROGRAM_VERSION), database(environment), *secrets)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"version {server.version} on {name} listens on port {port}", flush=True)
    stopped.wait()
    print("draining", flush=True)
    whole = server.stop(drain_seconds)
    print("ended" if whole else "ended with requests unanswered", flush=True)


if __name__ == "__main__":
    main()
