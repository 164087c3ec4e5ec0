"""What is seen of the way users come in, and what the checks make of it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import edge
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.edge import Answer, Target
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

APP_1, APP_2 = Target("app-01", "healthy"), Target("app-02", "healthy")
GOOD = Answer(200, {"x-served-by": "app-01", "server": "cloudflare"}, "198.51.100.83")


def served_by(name: str) -> Answer:
    return Answer(200, {"x-served-by": name})


def certificate(*names: str, days: int = 90) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "origin")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()), key


@pytest.mark.parametrize(
    ("answer", "ok"),
    [
        (Answer(301, {"location": "https://example.com/"}), True),
        (Answer(308, {"location": "https://example.com"}), True),
        (Answer(301, {"location": "https://example.com.evil.example/"}), False),
        (Answer(301, {"location": "http://example.com/"}), False),
        (Answer(200, {}), False),
        (Answer(reason="refused"), False),
    ],
)
def test_http_must_lead_to_https_of_the_same_name(answer: Answer, ok: bool) -> None:
    assert edge.judge_redirect("example.com", answer)["ok"] is ok


@pytest.mark.parametrize(
    ("header", "ok"),
    [
        ("max-age=15552000", True),
        ("includeSubDomains; Max-Age=31536000", True),
        ('max-age="15552000"', True),
        ("max-age=300", False),
        ("x-max-age=15552000", False),
        ("", False),
    ],
)
def test_hsts_must_last(header: str, ok: bool) -> None:
    headers = {"strict-transport-security": header} if header else {}
    assert edge.judge_hsts("example.com", Answer(200, headers), 15_552_000)["ok"] is ok


def test_an_error_is_no_answer_to_be_had_over_https() -> None:
    assert edge.judge_https("example.com", "/up", GOOD)["ok"]
    failed = edge.judge_https("example.com", "/up", Answer(526, {}, "198.51.100.83"))
    assert not failed["ok"]
    assert "https://example.com/up: 526 from 198.51.100.83" in failed["detail"]


def test_every_target_must_be_healthy() -> None:
    assert edge.judge_targets("rails-lb", [APP_1, APP_2])["ok"]
    sick = edge.judge_targets("rails-lb", [APP_1, Target("app-02", "unknown")])
    assert (sick["ok"], sick["detail"]) == (False, "app-01 healthy, app-02 unknown")
    assert not edge.judge_targets("rails-lb", [])["ok"]


def test_the_load_must_reach_every_healthy_server() -> None:
    both = edge.judge_spread("rails-lb", [APP_1, APP_2], [served_by("app-01"), served_by("app-02")])
    assert both
    assert both["ok"]
    one = edge.judge_spread("rails-lb", [APP_1, APP_2], [served_by("app-01")] * 12)
    assert one
    assert not one["ok"]
    assert one["detail"] == "app-01 12 of 12 requests; none reached app-02"
    failed = edge.judge_spread("rails-lb", [APP_1], [served_by("app-01"), Answer(503)])
    assert failed
    assert not failed["ok"]
    assert "1 failed" in failed["detail"]


def test_servers_that_do_not_say_who_they_are_are_not_judged() -> None:
    assert edge.judge_spread("rails-lb", [APP_1, APP_2], [Answer(200, {})] * 12) is None


@pytest.mark.parametrize(
    ("names", "days", "ok", "told"),
    [
        (("example.com", "www.example.com"), 90, True, "good until"),
        (("example.com", "*.example.com"), 90, True, "good until"),
        (("example.com",), 90, False, "does not cover www.example.com"),
        (("example.com", "www.example.com"), 13, False, "good until"),
        ((), 90, False, "for no name"),
    ],
)
def test_the_origins_certificate(names: tuple[str, ...], days: int, ok: bool, told: str) -> None:
    shown, _ = certificate(*names, days=days)
    check = edge.judge_certificate("rails-lb", shown, ["example.com", "www.example.com"], 14)
    assert check["ok"] is ok
    assert told in check["detail"]


def test_a_certificate_that_is_not_shown_fails_with_the_reason() -> None:
    check = edge.judge_certificate("rails-lb", "Connection refused", ["example.com"], 14)
    assert (check["ok"], check["detail"]) == (False, "not seen: Connection refused")


@pytest.mark.parametrize(
    ("answer", "ok"),
    [(Answer(403), True), (Answer(404), True), (Answer(200), False), (Answer(503), False), (Answer(reason="x"), False)],
)
def test_who_comes_past_the_edge_must_be_refused(answer: Answer, ok: bool) -> None:
    assert edge.judge_past_the_edge("rails-lb", answer)["ok"] is ok


def test_targets_by_selector_by_server_and_by_address() -> None:
    def health(*states: str) -> list[dict[str, object]]:
        return [{"listen_port": 443 + number, "status": state} for number, state in enumerate(states)]

    described = {
        "targets": [
            {
                "type": "label_selector",
                "targets": [
                    {"type": "server", "server": {"id": 2}, "health_status": health("healthy", "unhealthy")},
                    {"type": "server", "server": {"id": 1}, "health_status": health("healthy")},
                ],
            },
            {"type": "server", "server": {"id": 3}, "health_status": []},
            {"type": "ip", "ip": {"ip": "10.0.0.77"}, "health_status": health("unknown")},
        ]
    }
    assert edge.targets_of(described, {1: "app-01", 2: "app-02"}) == [
        Target("10.0.0.77", "unknown"),
        Target("3", "unknown"),
        Target("app-01", "healthy"),
        Target("app-02", "unhealthy"),
    ]


class _Application(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/away" else 200)
        self.send_header("X-Served-By", "app-01")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that is called localhost, which the environment says to trust."""
    shown, key = certificate("localhost")
    pem = tmp_path / "both.pem"
    pem.write_bytes(
        shown.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_request_says_who_answered(https: str) -> None:
    answer = edge.ask("https", https, "/up", 5)
    assert (answer.status, answer.headers["x-served-by"], answer.address) == (200, "app-01", "127.0.0.1")
    assert edge.ask("https", https, "/away", 5).status == 503


def test_a_certificate_that_nobody_trusts_is_no_answer(https: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    answer = edge.ask("https", https, "/up", 5)
    assert answer.status is None
    assert "certificate" in answer.reason


def examined(monkeypatch: pytest.MonkeyPatch, needed: bool, answers: list[Answer], targets: list[Target]) -> edge.Seen:
    shown, _ = certificate("example.com")
    left = iter(answers)
    monkeypatch.setattr(edge, "shown_certificate", lambda *_: shown)
    redirect = Answer(301, {"location": "https://example.com/"})
    monkeypatch.setattr(edge, "ask", lambda scheme, *_: next(left) if scheme == "https" else redirect)
    monkeypatch.setattr(edge, "ask_past_the_edge", lambda *_: Answer(403, {}, "198.51.100.9"))
    subject = edge.Subject(["example.com"], "/up", 0, "rails-lb", "198.51.100.9", 14, 5, needed, edge_only=needed)
    return edge.examine(subject, targets)


def test_the_path_of_a_request_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = examined(monkeypatch, True, [GOOD, *[GOOD, served_by("app-02")] * 6], [APP_1, APP_2])
    assert all(check["ok"] for check in seen.checks)
    assert [check["check"] for check in seen.checks] == [
        edge.REDIRECT,
        edge.CERTIFICATE,
        edge.HTTPS,
        edge.TARGETS,
        edge.PAST,
        edge.SPREAD,
    ]
    assert seen.summary == [
        "Path of https://example.com/up: edge 198.51.100.83 (cloudflare) > load balancer rails-lb 198.51.100.9 > "
        "server app-01: 200"
    ]


def test_before_the_first_deployment_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [Target("app-01", "unhealthy"), Target("app-02", "unhealthy")]
    seen = examined(monkeypatch, False, [Answer(503)], away)
    assert [check["check"] for check in seen.checks] == [edge.REDIRECT, edge.CERTIFICATE]
    assert seen.summary[0].startswith("No application answers yet (https://example.com/up 503)")


def test_a_server_that_never_had_the_application_is_named_and_no_failure() -> None:
    waiting = Target("app-03", "unhealthy")
    check = edge.judge_targets("rails-lb", [APP_1, APP_2, waiting], ["app-03"])
    assert check["ok"]
    assert check["detail"].endswith("app-03 not deployed yet")
    assert not edge.judge_targets("rails-lb", [APP_1, APP_2, waiting])["ok"]
    assert not edge.judge_targets("rails-lb", [waiting], ["app-03"])["ok"], "somebody must answer"
    assert edge.judge_targets("rails-lb", [APP_1], ["app-01"])["detail"] == "app-01 healthy"


def test_an_application_that_is_needed_and_away_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [Target("app-01", "unhealthy"), Target("app-02", "unhealthy")]
    seen = examined(monkeypatch, True, [Answer(503)] * 13, away)
    assert {check["check"] for check in seen.checks if not check["ok"]} == {edge.HTTPS, edge.TARGETS, edge.SPREAD}
