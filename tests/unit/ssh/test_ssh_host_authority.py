"""Certificates of host keys, judged by ssh-keygen."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh_host_authority import (
    RENEWAL,
    VALIDITY,
    AuthorityError,
    host_certificate,
    public_key,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMES = ["hcloud-1", "app-01", "10.0.0.3", "2001:db8::1"]
Key = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def private(key: Key) -> str:
    form = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    return key.private_bytes(*form).decode()


def public(key: Key) -> str:
    encoded = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return encoded.decode()


AUTHORITY, STRANGER, HOST, OTHER_HOST = (ed25519.Ed25519PrivateKey.generate() for _ in range(4))


def certificate(
    present: str = "",
    host: Key = HOST,
    authority: str = private(AUTHORITY),
    names: list[str] = NAMES,
    accepted: tuple[str, ...] = (),
    now: datetime = NOW,
) -> str:
    return host_certificate(present, public(host), authority, names, accepted, now)


def test_ssh_reads_it_as_meant(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text(certificate())
    environment = {"TZ": "UTC", "PATH": "/usr/bin:/bin"}
    command = ["ssh-keygen", "-L", "-f", str(tmp_path / "cert")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split("\n")
    told = [line.strip() for line in lines]
    assert "Type: ssh-ed25519-cert-v01@openssh.com host certificate" in told
    assert 'Key ID: "hcloud-1"' in told
    assert "Valid: from 2026-05-01T11:00:00 to 2027-05-01T12:00:00" in told
    names = told[told.index("Principals:") + 1 : told.index("Critical Options: (none)")]
    assert names == NAMES


def test_one_that_will_do_stays_as_it_is() -> None:
    first = certificate()
    just_before = NOW + VALIDITY - RENEWAL - timedelta(seconds=1)
    assert certificate(first, now=just_before) == first


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"now": NOW + VALIDITY - RENEWAL}, id="ends soon"),
        pytest.param({"now": NOW - timedelta(days=2)}, id="not good yet"),
        pytest.param({"host": OTHER_HOST}, id="another host key"),
        pytest.param({"authority": private(STRANGER)}, id="another authority"),
        pytest.param({"names": [*NAMES, "app-01.production"]}, id="another name"),
    ],
)
def test_one_that_will_not_do_is_made_anew(changes: dict[str, object]) -> None:
    first = certificate()
    second = certificate(first, **changes)  # type: ignore[arg-type]  # because the parameters above are of their types
    assert second != first
    assert certificate(second, **changes) == second  # type: ignore[arg-type]  # because the same holds


@pytest.mark.parametrize(
    "present",
    ["nonsense", public(HOST), certificate()[:-20], certificate().replace("A", "B", 1)],
    ids=["nonsense", "a key", "cut off", "damaged"],  # the values differ from one worker to the next
)
def test_what_is_no_certificate_is_replaced(present: str) -> None:
    assert certificate(present) != present


def test_forged_certificate_is_replaced() -> None:
    kind, encoded = certificate().split()
    forged = f"{kind} {encoded[:-8]}AAAAAAA="
    assert certificate(forged) != forged


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="nothing"),
        pytest.param(public(AUTHORITY), id="a public key"),
        pytest.param(private(ec.generate_private_key(ec.SECP256R1())), id="one of another type"),
        pytest.param(private(AUTHORITY)[:-60], id="half a key"),
    ],
)
def test_key_that_cannot_certify_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(AuthorityError, match="must be an ed25519 private key in OpenSSH's format") as caught:
        certificate(authority=key)
    assert caught.value.__cause__ is None
    assert all(line not in str(caught.value) for line in key.splitlines())


def test_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "key")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    with pytest.raises(AuthorityError, match="without a passphrase"):
        certificate(authority=(tmp_path / "key").read_text())


def test_line_feeds_lost_on_the_way_do_no_harm() -> None:
    assert certificate(certificate(), authority=private(AUTHORITY).strip()) != ""


def test_authority_that_no_client_goes_by_is_refused() -> None:
    assert certificate(accepted=(f"{public(STRANGER)} old", f"{public(AUTHORITY)} new"))
    with pytest.raises(AuthorityError, match="is not among the host authorities that clients go by"):
        certificate(accepted=(public(STRANGER),))


@pytest.mark.parametrize("names", [[], ["a,b"], ["a b"], [""], ["a\n"], ["*"]])
def test_name_that_is_none_is_refused(names: list[str]) -> None:
    with pytest.raises(AuthorityError, match="good for names of a host"):
        certificate(names=names)


def test_host_key_of_another_type_is_refused() -> None:
    with pytest.raises(AuthorityError, match="not of the type ed25519"):
        certificate(host=rsa.generate_private_key(65537, 2048))
    with pytest.raises(AuthorityError, match="cannot be read"):
        host_certificate("", "ssh-ed25519 AAAA", private(AUTHORITY), NAMES)


def test_public_key_loses_its_comment() -> None:
    assert public_key(f"{public(AUTHORITY)} lab authority\n") == public(AUTHORITY)


@pytest.mark.parametrize("line", ["", private(AUTHORITY), "ssh-ed25519", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAA"])
def test_line_that_is_no_public_key_is_refused_and_not_shown(line: str) -> None:
    with pytest.raises(AuthorityError, match="is given by its public key") as caught:
        public_key(line)
    assert all(part not in str(caught.value) for part in line.splitlines() if len(part) > 20)
