"""Whose packages are trusted, and that nothing runs where it is switched off."""

import base64
import hashlib
from pathlib import Path

KEY = Path(__file__).parents[3] / "roles/alloy/files/grafana.asc"
# As its makers name it at https://apt.grafana.com.
FINGERPRINT = "B53AE77BADB630A683046005963FA27710458545"


def test_nothing_runs_where_it_is_switched_off(host):
    assert not host.service("alloy").is_running
    assert not host.service("alloy").is_enabled


def test_nobody_is_asked_for_packages_that_are_not_wanted(host):
    for path in ("sources.list.d/grafana.sources", "preferences.d/alloy", "keyrings/grafana.asc"):
        assert not host.file(f"/etc/apt/{path}").exists


def test_the_makers_key_is_the_makers_and_the_only_one():
    lines = KEY.read_text().splitlines()
    body = lines[lines.index("") + 1 : next(index for index, line in enumerate(lines) if line.startswith("="))]
    data = base64.b64decode("".join(body))
    tags, first = [], b""
    while data:
        # Old packet format (RFC 4880, 4.2.1): the tag in bits 5 to 2, the length in as many bytes as bits 1 and 0 say.
        assert data[0] & 0xC0 == 0x80
        size = 1 << (data[0] & 3)
        length = int.from_bytes(data[1 : 1 + size], "big")
        tags.append(data[0] >> 2 & 0xF)
        first = first or data[1 + size : 1 + size + length]
        data = data[1 + size + length :]
    assert tags.count(6) == 1, "there is more than one primary key"
    assert tags[0] == 6
    # RFC 4880, 12.2.
    assert hashlib.sha1(b"\x99" + len(first).to_bytes(2, "big") + first).hexdigest().upper() == FINGERPRINT  # noqa: S324 because the standard says so
