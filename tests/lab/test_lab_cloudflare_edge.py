"""The edge: which names it serves, how it speaks with origins in each SSL mode, and what users see when it cannot."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest

from lab.cloudflare.edge.connections import Limits
from lab.cloudflare.state import StrictTransportSecurity
from lab.containers import certificates
from tests.lab.edge import LOOPBACK, ZONE, EdgeOnLoopback, edge_on_loopback, self_signed
from tests.lab.origins import answer, origin, raw

WWW = f"www.{ZONE}"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[EdgeOnLoopback]:
    with edge_on_loopback(tmp_path) as served:
        yield served


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[EdgeOnLoopback]:
    """For origins that never do what the edge waits for."""
    with edge_on_loopback(tmp_path, Limits(connect=0.5, read=0.5)) as served:
        served.record()
        yield served


def get(edge: EdgeOnLoopback, name: str = ZONE, secure: bool = True, path: str = "/", **headers: str) -> HTTPResponse:
    """What a user gets who asks once."""
    connection = HTTPConnection(name)
    connection.sock = edge.connect(name, secure)
    connection.request("GET", path, headers={"Host": name, **headers})
    found = connection.getresponse()
    found.text = found.read().decode()  # type: ignore[attr-defined]  # because it is kept for the caller
    connection.close()
    return found


def seen(response: Any) -> tuple[int, str]:
    return response.status, response.text


def files(folder: Path, certificate: str, key: str) -> tuple[Path, Path]:
    made = (folder / "origin.crt", folder / "origin.key")
    for path, text in zip(made, (certificate, key), strict=True):
        path.write_text(text)
    return made


def of_the_authority(edge: EdgeOnLoopback, *names: str) -> tuple[Path, Path]:
    certificate, key, _ = edge.origin_certificate(*(names or (ZONE, f"*.{ZONE}")))
    return files(edge.folder, certificate, key)


# Names


def test_names_that_are_not_served(edge: EdgeOnLoopback) -> None:
    edge.record("direct." + ZONE, proxied=False)
    for name, status, text in (
        (ZONE, 409, "error code: 1001"),
        (f"direct.{ZONE}", 409, "error code: 1001"),
        ("elsewhere.example", 409, "error code: 1001"),
        (LOOPBACK, 403, "error code: 1003"),
        ("[::1]", 403, "error code: 1003"),
    ):
        found = get(edge, name, secure=False)
        assert (found.status, text in found.text) == (status, True), name
        assert found.headers["Server"] == "cloudflare"
        assert found.headers["CF-RAY"].endswith("-LAB")


def test_what_is_no_name_fits_no_wildcard(edge: EdgeOnLoopback) -> None:
    edge.record(f"*.{ZONE}")
    edge.change(ssl="full")
    certificate = files(edge.folder, *self_signed(ZONE))
    with origin(edge.origin_https, files=certificate) as behind:
        for host, status in ((b"any", b"200"), (b"\xfc", b"409"), (b"a" * 64, b"409"), (b"a_\\b", b"409")):
            with edge.connect(WWW) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: " + host + f".{ZONE}\r\n\r\n".encode())
                assert connection.recv(100).split()[1] == status, host
    assert len(behind.heads) == 1


@pytest.mark.parametrize("name", [f"a.b.{ZONE}", "elsewhere.example", LOOPBACK])
def test_names_the_users_certificate_is_not_for_have_no_handshake(edge: EdgeOnLoopback, name: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        edge.connect(name)


def test_the_users_certificate_is_the_public_authoritys(edge: EdgeOnLoopback) -> None:
    for name in (ZONE, WWW):
        with edge.connect(name) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.version() == "TLSv1.3"


def test_a_request_without_or_with_two_names_is_refused(edge: EdgeOnLoopback) -> None:
    for hosts in ("", f"Host: {ZONE}\r\nHost: {WWW}\r\n"):
        with edge.connect(secure=False) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\n{hosts}\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", [ZONE, ZONE.upper(), f"{ZONE}:443", f"{ZONE}."])
def test_a_name_is_the_same_however_it_is_written(edge: EdgeOnLoopback, name: str) -> None:
    edge.record()
    with origin(edge.origin_http), edge.connect() as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_aliases_lead_to_where_they_end(edge: EdgeOnLoopback) -> None:
    edge.record(f"direct.{ZONE}", proxied=False)
    edge.record(f"middle.{ZONE}", f"direct.{ZONE}", "CNAME", proxied=False)
    edge.record(WWW, f"middle.{ZONE}", "CNAME")
    edge.record(f"*.preview.{ZONE}", "localhost", "CNAME")
    edge.record(f"lost.{ZONE}", f"nobody.{ZONE}", "CNAME")
    edge.record(f"loop.{ZONE}", f"loop2.{ZONE}", "CNAME")
    edge.record(f"loop2.{ZONE}", f"loop.{ZONE}", "CNAME")
    with origin(edge.origin_http):
        assert get(edge, WWW, secure=False).status == 200
        assert get(edge, f"any.preview.{ZONE}", secure=False).status == 200
        for name in ("lost", "loop"):
            found = get(edge, f"{name}.{ZONE}", secure=False)
            assert (found.status, "error code: 1016" in found.text) == (530, True)


def test_what_changes_is_known_at_once(edge: EdgeOnLoopback) -> None:
    with origin(edge.origin_http):
        assert get(edge, secure=False).status == 409
        edge.record()
        assert get(edge, secure=False).status == 200
        edge.file.path.write_text("cut off in the mid")
        assert get(edge, secure=False).status == 200, "what cannot be read changes nothing"


# SSL modes


@pytest.mark.parametrize("mode", ["flexible", "full", "strict"])
def test_a_user_without_tls_reaches_the_origin_without_tls(edge: EdgeOnLoopback, mode: str) -> None:
    edge.record()
    edge.change(ssl=mode)
    with origin(edge.origin_http, answer(b"plain")) as behind:
        assert seen(get(edge, secure=False)) == (200, "plain")
        assert behind.header("X-Forwarded-Proto") == ["http"]
        assert behind.header("CF-Visitor") == ['{"scheme":"http"}']


def test_flexible_takes_the_users_tls_away(edge: EdgeOnLoopback) -> None:
    edge.record()
    with origin(edge.origin_http, answer(b"plain")) as behind:
        assert seen(get(edge)) == (200, "plain")
        assert behind.header("X-Forwarded-Proto") == ["https"]


def test_flexible_loops_with_an_origin_that_wants_tls(edge: EdgeOnLoopback) -> None:
    edge.record()
    with origin(edge.origin_http, answer(b"", "301 Moved Permanently", f"Location: https://{ZONE}/")):
        found = get(edge)
        assert (found.status, found.headers["Location"]) == (301, f"https://{ZONE}/")


def test_off_has_no_tls_at_all(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.change(ssl="off", always_use_https="on")
    with origin(edge.origin_http, answer(b"plain")):
        found = get(edge, path="/a?b=c")
        assert (found.status, found.headers["Location"]) == (301, f"http://{ZONE}/a?b=c")
        assert seen(get(edge, secure=False)) == (200, "plain")


def test_full_takes_any_certificate(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.change(ssl="full")
    expired = files(edge.folder, *self_signed("somebody.else", days=-1))
    with origin(edge.origin_https, answer(b"secret"), expired):
        assert seen(get(edge)) == (200, "secret")


def test_strict_takes_certificates_of_the_origin_authority_and_of_the_public_one(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.record(WWW)
    edge.change(ssl="strict")
    with origin(edge.origin_https, answer(b"secret"), of_the_authority(edge)):
        assert seen(get(edge)) == (200, "secret")
        assert seen(get(edge, WWW)) == (200, "secret")
    public = certificates.issue((WWW,), edge.folder / "public")
    with origin(edge.origin_https, answer(b"secret"), public):
        assert seen(get(edge, WWW)) == (200, "secret")
        assert get(edge).status == 526, "for the other name it is not"


@pytest.mark.parametrize("which", ["nobody's", "expired", "for another name"])
def test_strict_takes_no_other_certificate(edge: EdgeOnLoopback, which: str) -> None:
    edge.record()
    edge.change(ssl="strict")
    if which == "nobody's":
        pair = files(edge.folder, *self_signed(ZONE))
    elif which == "expired":
        pair = files(edge.folder, *self_signed(ZONE, days=-1))
    else:
        pair = of_the_authority(edge, f"other.{ZONE}")
    with origin(edge.origin_https, answer(b"secret"), pair) as behind:
        found = get(edge)
        assert (found.status, "certificate is not valid" in found.text) == (526, True)
        assert behind.heads == [], "nothing was said to it"


def test_strict_takes_no_revoked_certificate(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.change(ssl="strict")
    text, key, known = edge.origin_certificate(ZONE)
    with origin(edge.origin_https, answer(b"secret"), files(edge.folder, text, key)):
        assert get(edge).status == 200
        known.revoked_at = "now"
        edge.change()
        found = get(edge)  # also where a connection from before is still there
        assert (found.status, "revoked" in found.text) == (526, True)
        edge.change(ssl="full")
        assert get(edge).status == 200


def test_a_connection_from_before_full_strict_is_not_used_for_it(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.change(ssl="full")
    with origin(edge.origin_https, answer(b"secret"), files(edge.folder, *self_signed(ZONE))):
        assert get(edge).status == 200
        edge.change(ssl="strict")
        assert get(edge).status == 526


# What users are told when the origin cannot be asked


def test_an_origin_that_refuses(edge: EdgeOnLoopback) -> None:
    edge.record()
    found = get(edge)
    assert (found.status, "error code: 521" in found.text) == (521, True)


def test_an_origin_that_does_not_answer_connections(hasty: EdgeOnLoopback) -> None:
    with socket.socket() as full:
        full.bind((LOOPBACK, hasty.origin_http))
        full.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for waiting in filling:
            waiting.setblocking(False)
            waiting.connect_ex((LOOPBACK, hasty.origin_http))
        assert get(hasty).status == 522
        for waiting in filling:
            waiting.close()


def test_an_origin_that_cannot_be_reached(edge: EdgeOnLoopback) -> None:
    # An address of the class that nobody has: the kernel says so at once.
    edge.record(content="255.255.255.255")
    found = get(edge)
    assert found.status in (520, 523)
    assert "cannot reach" in found.text


def test_an_origin_that_speaks_something_else(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.change(ssl="full")

    def greet(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.sendall(b"220 mail.example at your service\r\n")

    with socket.create_server((LOOPBACK, edge.origin_https)) as listener:
        threading.Thread(target=greet, args=[listener], daemon=True).start()
        assert get(edge).status == 525


@pytest.mark.parametrize("mode", ["full", "strict"])
def test_an_origin_that_does_not_speak_tls(hasty: EdgeOnLoopback, mode: str) -> None:
    hasty.change(ssl=mode)
    with socket.create_server((LOOPBACK, hasty.origin_https)):
        assert get(hasty).status == 525, "it accepts and says nothing"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000,
    ],
)
def test_an_origin_whose_answer_is_none(edge: EdgeOnLoopback, content: bytes) -> None:
    edge.record()
    with origin(edge.origin_http, raw(content)):
        assert get(edge).status == 520


def test_an_origin_that_takes_too_long(hasty: EdgeOnLoopback) -> None:
    ended = threading.Event()
    with origin(hasty.origin_http, lambda *_: ended.wait() and None):
        found = get(hasty)
        assert (found.status, "error code: 524" in found.text) == (524, True)
        ended.set()


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    ],
)
def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(edge: EdgeOnLoopback, content: bytes) -> None:
    edge.record()
    with origin(edge.origin_http, raw(content)), pytest.raises((IncompleteRead, ConnectionResetError)):
        get(edge)


# What the zone's settings do to users


def test_always_use_https(edge: EdgeOnLoopback) -> None:
    edge.record()
    edge.change(ssl="strict", always_use_https="on")
    found = get(edge, secure=False, path="/a%20b?c=d&e")
    assert (found.status, found.headers["Location"]) == (301, f"https://{ZONE}/a%20b?c=d&e")
    assert "Strict-Transport-Security" not in found.headers


def test_hsts_on_every_secure_answer_and_no_other(edge: EdgeOnLoopback) -> None:
    edge.record()
    header = "Strict-Transport-Security"
    own = answer(b"", "200 OK", f"{header}: max-age=1")
    with origin(edge.origin_http, own):
        assert get(edge).headers.get_all(header) == ["max-age=1"], "off: the origin's is passed on"
        edge.change(security_header=StrictTransportSecurity(enabled=True, max_age=600))
        found = get(edge)
        assert found.headers.get_all(header) == ["max-age=600"]
        assert "X-Content-Type-Options" not in found.headers
        policy = StrictTransportSecurity(True, 31536000, include_subdomains=True, preload=True, nosniff=True)
        edge.change(security_header=policy)
        found = get(edge)
        assert found.headers.get_all(header) == ["max-age=31536000; includeSubDomains; preload"]
        assert found.headers["X-Content-Type-Options"] == "nosniff"
    found = get(edge)
    assert (found.status, header in found.headers) == (521, True)


@pytest.mark.parametrize(
    ("least", "newest", "accepted"),
    [
        ("1.0", "on", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"]),
        ("1.2", "on", ["TLSv1_2", "TLSv1_3"]),
        ("1.3", "on", ["TLSv1_3"]),
        ("1.2", "off", ["TLSv1_2"]),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions_of_tls(edge: EdgeOnLoopback, least: str, newest: str, accepted: list[str]) -> None:
    edge.change(min_tls_version=least, tls_1_3=newest)

    def versions() -> list[str]:
        found = []
        for version in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"):
            only = getattr(ssl.TLSVersion, version)
            try:
                edge.connect(minimum_version=only, maximum_version=only).close()
            except (ssl.SSLError, ConnectionError):
                continue
            found.append(version)
        return found

    deadline = time.monotonic() + 30  # the edge looks at it a few times a second
    while versions() != accepted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert versions() == accepted


def test_websockets_are_refused_plainly(edge: EdgeOnLoopback) -> None:
    edge.record()
    found = get(edge, Connection="Upgrade", Upgrade="websocket")
    assert (found.status, "WebSockets" in found.text) == (501, True)
