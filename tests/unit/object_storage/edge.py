"""Object storage at the network's edge: a server that keeps what was asked, and answers as it was told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: The connection is closed without an answer.
    cut: bool = False


def refusal(status: int, code: str, *further: str, **headers: str) -> Answer:
    """As S3 refuses; ``further`` are more elements of its document."""
    document = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>said so</Message>{"".join(further)}</Error>'
    return Answer(status, document.encode(), headers)


@dataclass
class Edge:
    """``answers`` are given in turn, to whatever is asked; after the last one, ``store`` answers."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    store: Callable[[Asked], Answer] = lambda _asked: Answer()

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        return self.answers.pop(0) if self.answers else self.store(asked)

    def methods(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]


@dataclass
class Store:
    """Buckets and objects, without a look at who asks. ``foreign`` are buckets of somebody else."""

    buckets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()

    def __call__(self, asked: Asked) -> Answer:
        bucket, _, key = asked.path.partition("?")[0].removeprefix("/").partition("/")
        if bucket in self.foreign:
            creates = asked.method == "PUT" and not key
            return refusal(409, "BucketAlreadyExists") if creates else refusal(403, "AccessDenied")
        if asked.method == "PUT" and not key:
            self.buckets.setdefault(bucket, {})
            return Answer()
        if bucket not in self.buckets:
            return refusal(404, "NoSuchBucket")
        objects = self.buckets[bucket]
        if asked.method == "PUT":
            objects[key] = asked.body
        elif asked.method == "DELETE":
            objects.pop(key, None)
            return Answer(204)
        elif key and key not in objects:
            return refusal(404, "NoSuchKey")
        return Answer(body=objects.get(key, b""))


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Edge]:
    """An edge, over TLS where there is a context for it."""
    edge = Edge()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = edge.answer(Asked(self.command, self.path, headers, body))
            self.close_connection = True
            if answer.cut:
                return
            self.send_response(answer.status)
            # The server's own date is the machine's; a test may want another one.
            for name, value in {
                "Connection": "close",
                "Content-Length": str(len(answer.body)),
                **answer.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def send_response(self, code: int, message: str | None = None) -> None:
            self.send_response_only(code, message)

        def log_message(self, *_args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    edge.url = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
    try:
        yield edge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
