"""The program between the load balancer and the application, on loopback."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from tests.checkout import load

PROGRAM = Path(__file__).parents[3] / "roles/traffic_gate/files/gate.py"
PAGE = "<h1>Back soon</h1>"


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    return load("roles/traffic_gate/files/gate.py")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("GET /up HTTP/1.1", "/up"),
        ("HEAD /up?x=/a HTTP/1.0", "/up"),
        ("GET http://shop.example/up HTTP/1.1", "/up"),
        ("GET http://shop.example HTTP/1.1", "http://shop.example"),
        ("GET /upper HTTP/1.1", "/upper"),
        ("nonsense", ""),
    ],
)
def test_the_path_of_a_request(gate: ModuleType, line: str, path: str) -> None:
    assert gate.path_of(f"{line}\r\nHost: x\r\n\r\n".encode()) == path


class Served(ThreadingHTTPServer):
    """A slow answer is begun, and given when it may go on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Application)
        self.waiting, self.go_on = threading.Event(), threading.Event()


class Application(BaseHTTPRequestHandler):
    server: Served
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"application {self.path}".encode()
        if self.path == "/slow":
            self.server.waiting.set()
            self.server.go_on.wait(30)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def application() -> Iterator[Served]:
    server = Served()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()


Running = Callable[[str], tuple[int, "subprocess.Popen[bytes]"]]


@pytest.fixture
def running(tmp_path: Path, application: Served) -> Iterator[Running]:
    """Starts the program in a mode, and gives its port once it says that it is ready."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> tuple[int, subprocess.Popen[bytes]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        told = {"mode": mode, "address": "127.0.0.1", "port": port, "health_path": "/up", "retry_after": 120}
        told["application_port"] = application.server_port
        (tmp_path / "gate.json").write_text(json.dumps(told))
        (tmp_path / "page.html").write_text(PAGE)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(tmp_path / f"notify-{port}"))
            notify.settimeout(30)
            words = [sys.executable, "-I", str(PROGRAM), str(tmp_path / "gate.json"), str(tmp_path / "page.html")]
            processes.append(subprocess.Popen(words, env={"NOTIFY_SOCKET": str(tmp_path / f"notify-{port}")}))
            assert notify.recv(100) == b"READY=1"
        return port, processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body=body)
    answer = connection.getresponse()
    said = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), said


def test_drained_the_health_check_fails_and_requests_are_answered(running: Running) -> None:
    port, _ = running("drained")
    assert ask(port, "/up")[::2] == (503, b"drained\n")
    assert ask(port, "/page?x=1")[::2] == (200, b"application /page?x=1")
    assert ask(port, "/page", "POST", b"x" * 300_000)[0] == 200


def test_a_connection_that_is_handed_on_stays_for_more_requests(running: Running) -> None:
    port, _ = running("drained")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for number in range(3):
        connection.request("GET", f"/{number}")
        assert connection.getresponse().read() == f"application /{number}".encode()
    connection.close()


def test_closed_everything_but_the_health_check_gets_the_page(running: Running) -> None:
    port, _ = running("closed")
    assert ask(port, "/up")[::2] == (200, b"maintenance\n")
    status, headers, body = ask(port, "/page")
    assert (status, body.decode()) == (503, PAGE)
    assert headers["Retry-After"] == "120"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Connection"] == "close"
    # Whoever sends a lot hears the answer all the same.
    assert ask(port, "/page", "POST", b"x" * 300_000)[0] == 503
    assert ask(port, "/page", "HEAD")[::2] == (503, b"")


def test_closed_the_health_check_succeeds_without_an_application(running: Running, application: Served) -> None:
    application.shutdown()
    application.server_close()
    port, _ = running("closed")
    assert ask(port, "/up")[::2] == (200, b"maintenance\n")
    assert ask(port, "/page")[0] == 503


def test_closed_a_health_check_is_no_way_in_for_the_next_request(running: Running) -> None:
    port, _ = running("closed")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET /up HTTP/1.1\r\nHost: x\r\n\r\nGET /page HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
    assert said.count(b"HTTP/1.1") == 1


def test_without_an_application_the_gate_says_so(running: Running, application: Served) -> None:
    application.shutdown()
    application.server_close()
    port, _ = running("drained")
    assert ask(port, "/page")[0] == 502


def test_told_to_end_it_lets_a_request_that_is_under_way_finish(running: Running, application: Served) -> None:
    port, process = running("drained")
    found: list[tuple[int, dict[str, str], bytes]] = []
    asking = threading.Thread(target=lambda: found.append(ask(port, "/slow")))
    asking.start()
    assert application.waiting.wait(30)
    process.send_signal(signal.SIGTERM)
    application.go_on.set()
    asking.join(30)
    assert [answer[::2] for answer in found] == [(200, b"application /slow")]
    assert process.wait(30) == 0
