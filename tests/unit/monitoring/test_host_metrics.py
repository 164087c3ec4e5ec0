"""What the program beside node_exporter measures, from what APT and openssl print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkout import load

program = load("roles/node_exporter/files/host_metrics.py")

DEBIAN = """NOTE: This is only a simulation!
Inst openssl [3.5.1-1] (3.5.1-1+deb13u1 Debian-Security:13/stable-security [arm64])
Inst tzdata [2025b-4] (2025b-4+deb13u1 Debian:13.2/stable [all])
Conf openssl (3.5.1-1+deb13u1 Debian-Security:13/stable-security [arm64])
Conf tzdata (2025b-4+deb13u1 Debian:13.2/stable [all])
"""
UBUNTU = """Inst libc6 [2.39-0ubuntu8.3] (2.39-0ubuntu8.4 Ubuntu:24.04/noble, Ubuntu:24.04/noble-security [arm64]) []
Inst linux-image-6.8.0-52 (6.8.0-52 Ubuntu:24.04/noble-updates [arm64])
"""


@pytest.mark.parametrize(("said", "count"), [(DEBIAN, (2, 1)), (UBUNTU, (2, 1)), ("", (0, 0))])
def test_updates_are_counted_once_and_by_their_origin(said: str, count: tuple[int, int]) -> None:
    assert program.updates(said) == count


def test_the_end_of_a_certificate() -> None:
    assert program.end_of("notAfter=2027-01-02 03:04:05Z\n") == 1798859045


def test_a_certificate_that_is_none_has_ended(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("nothing")
    assert program.certificate_end(str(tmp_path / "x")) == 0
    assert program.certificate_end(str(tmp_path / "missing")) == 0


def test_what_cannot_be_learnt_is_left_out_and_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "out_of", lambda words: None)
    assert set(program.measure({})) == {"bulwark_reboot_required", "bulwark_host_metrics_timestamp_seconds"}


def test_each_metric_is_explained_once() -> None:
    name = "bulwark_certificate_expiry_timestamp_seconds"
    told = program.text({f'{name}{{name="a"}}': 1.0, f'{name}{{name="b"}}': 2.0}).splitlines()
    assert told == [
        f"# HELP {name} When a certificate ends; 0 where there is none to read.",
        f"# TYPE {name} gauge",
        f'{name}{{name="a"}} 1',
        f'{name}{{name="b"}} 2',
    ]
