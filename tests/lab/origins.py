"""Origins behind the edge that behave as a test tells them, by hand: HTTP at the level of bytes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MIB = 2**20

#: What an origin does with a request it has read: the connection, the request's head, and its body.
Behaviour = Callable[[socket.socket, bytes, bytes], None]


def answer(body: bytes = b"from the origin", status: str = "200 OK", *headers: str) -> Behaviour:
    """The same for every request."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]

    def behave(connection: socket.socket, head: bytes, _received: bytes) -> None:
        content = b"" if head.startswith(b"HEAD") else body
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + content)

    return behave


def raw(content: bytes) -> Behaviour:
    """These bytes, and the end of the connection."""

    def behave(connection: socket.socket, _head: bytes, _received: bytes) -> None:
        connection.sendall(content)
        connection.close()

    return behave


class Origin:
    """Listens on loopback; with a certificate it speaks TLS."""

    def __init__(self, port: int, behaviour: Behaviour, files: tuple[Path, Path] | None = None) -> None:
        self.behaviour = behaviour
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._context: ssl.SSLContext | None = None
        if files is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*files)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self.connections += 1
            self._open.append(connection)
            while True:
                head, rest = _until(connection, b"\r\n\r\n")
                body = _body(connection, head, rest)
                self.heads.append(head)
                self.bodies.append(body)
                self.behaviour(connection, head, body)

    def hang_up(self) -> None:
        """End the connections that are kept, as a server does that has waited long enough."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.hang_up()

    def header(self, name: str) -> list[str]:
        """A header of the latest request."""
        lines = self.heads[-1].decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines if line]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]


def _until(connection: socket.socket, mark: bytes) -> tuple[bytes, bytes]:
    found = b""
    while mark not in found:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("the other end has closed")
        found += piece
    head, _, rest = found.partition(mark)
    return head, rest


def _body(connection: socket.socket, head: bytes, rest: bytes) -> bytes:
    """By its length, or in chunks."""
    lines = [line.lower() for line in head.split(b"\r\n")]
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    if any(line.startswith(b"transfer-encoding:") for line in lines):
        return _chunks(connection, rest)
    found = bytearray(rest)
    while len(found) < length:
        piece = connection.recv(MIB)
        if not piece:
            raise ConnectionError("the other end has closed")
        found += piece
    return bytes(found)


def _chunks(connection: socket.socket, rest: bytes) -> bytes:
    found = bytearray()
    while True:
        while b"\r\n" not in rest:
            rest += connection.recv(65536)
        size, _, rest = rest.partition(b"\r\n")
        wanted = int(size, 16) + 2
        while len(rest) < wanted:
            rest += connection.recv(65536)
        found += rest[: wanted - 2]
        rest = rest[wanted:]
        if wanted == 2:
            return bytes(found)


@contextmanager
def origin(port: int, behaviour: Behaviour | None = None, files: tuple[Path, Path] | None = None) -> Iterator[Origin]:
    made = Origin(port, behaviour or answer(), files)
    try:
        yield made
    finally:
        made.close()
