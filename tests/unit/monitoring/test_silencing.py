"""Silences are known by their comment, and those of others are left alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring import silencing
from ansible_collections.bulwark.hetzner.plugins.module_utils.monitoring.silencing import Plan, SilenceError, Wanted

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WANTED = Wanted("maintenance", {"alertname": "PublicUrlFailing", "env": "lab"}, 60)


def silence(number: int, *, by: str = silencing.AUTHOR, state: str = "active", **more: Any) -> dict[str, Any]:
    made = silencing.body(WANTED, NOW) | {"id": str(number), "createdBy": by, "status": {"state": state}}
    return made | more


@pytest.mark.parametrize(
    ("wanted", "found", "plan"),
    [
        (WANTED, [], Plan(True, [])),
        (WANTED, [silence(1)], Plan(False, [])),
        (WANTED, [silence(1, state="expired")], Plan(True, [])),
        (WANTED, [silence(1, by="alice")], Plan(True, [])),
        (WANTED, [silence(1, comment="other")], Plan(True, [])),
        (WANTED, [silence(1, endsAt="2026-11-26T12:54:00.000Z")], Plan(False, [])),
        (WANTED, [silence(1, endsAt="2026-11-26T12:53:59.999Z")], Plan(True, ["1"])),
        (WANTED, [silence(1, endsAt="2026-11-26T13:06:00.001Z")], Plan(True, ["1"])),
        (WANTED, [silence(1, matchers=[])], Plan(True, ["1"])),
        (WANTED, [silence(2), silence(1)], Plan(False, ["2"])),
        (None, [silence(1), silence(2, by="alice")], Plan(False, ["1"])),
        (None, [silence(1, state="expired")], Plan(False, [])),
    ],
)
def test_the_plan(wanted: Wanted | None, found: list[dict[str, Any]], plan: Plan) -> None:
    assert silencing.plan(wanted, "maintenance", found, NOW) == plan


class Alertmanager(BaseHTTPRequestHandler):
    silences: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        self.answer(list(self.silences.values()))

    def do_POST(self) -> None:
        made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = str(len(self.silences) + 1)
        self.silences[name] = made | {"id": name, "status": {"state": "active"}}
        self.answer({"silenceID": name})

    def do_DELETE(self) -> None:
        name = self.path.rpartition("/")[2]
        if name not in self.silences:
            self.send_error(404)
            return
        self.silences[name]["status"]["state"] = "expired"
        self.answer(None)

    def answer(self, what: Any) -> None:
        body = b"" if what is None else json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Alertmanager.silences = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Alertmanager)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_made_once_prolonged_and_ended_once(address: str) -> None:
    def settle(wanted: Wanted | None, check_mode: bool = False, after: int = 0) -> bool:
        now = NOW + timedelta(minutes=after)
        return not silencing.settle(address, "maintenance", wanted, check_mode, lambda: now).empty

    assert settle(WANTED, check_mode=True)
    assert Alertmanager.silences == {}
    assert [settle(WANTED), settle(WANTED)] == [True, False]
    assert Alertmanager.silences["1"]["endsAt"] == "2026-11-26T13:00:00+00:00"
    assert settle(WANTED, check_mode=True, after=30)
    assert len(Alertmanager.silences) == 1
    assert [settle(WANTED, after=30), settle(WANTED, after=36)] == [True, False]
    told = [(one["status"]["state"], one["endsAt"]) for one in Alertmanager.silences.values()]
    assert told == [("expired", "2026-11-26T13:00:00+00:00"), ("active", "2026-11-26T13:30:00+00:00")]
    assert [settle(None), settle(None)] == [True, False]
    assert {one["status"]["state"] for one in Alertmanager.silences.values()} == {"expired"}


def test_one_that_does_not_answer_is_named(address: str) -> None:
    with pytest.raises(SilenceError, match="Alertmanager answered 404"):
        silencing.ask(f"http://{address}/api/v2/silence/9", "DELETE")
    with pytest.raises(SilenceError, match="does not answer"):
        silencing.ask("http://127.0.0.1:1/api/v2/silences")
