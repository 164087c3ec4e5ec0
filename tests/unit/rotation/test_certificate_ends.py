"""When certificates end, told of every kind there is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.rotation.ends import EndsError, end, told
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh_host_authority import VALIDITY, host_certificate
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting import secrets

from tests.lab.cloud_api import SSH_KEY

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_every_kind_of_certificate() -> None:
    made = secrets.make(secrets.Wanted(), {})
    shown = host_certificate("", SSH_KEY, made[secrets.HOST_AUTHORITY], ["hcloud-1"], now=NOW)
    assert end(shown) == NOW + VALIDITY
    authority = end(made[secrets.DATABASE_AUTHORITY[1]])
    assert abs(authority - datetime.now(UTC) - timedelta(days=secrets.AUTHORITY_DAYS)) < timedelta(hours=2)
    assert end("2041-01-31T12:00:00Z") == datetime(2041, 1, 31, 12, tzinfo=UTC)
    assert end("2041-01-31 12:00:00") == datetime(2041, 1, 31, 12, tzinfo=UTC)


def test_for_people() -> None:
    assert told("2026-05-11T13:00:00Z", NOW) == "2026-05-11, in 10 days"
    assert told("2026-05-01T11:59:00Z", NOW) == "2026-05-01, which is past"


@pytest.mark.parametrize("text", ["", "soon", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----", SSH_KEY])
def test_what_is_none(text: str) -> None:
    with pytest.raises(EndsError, match="neither a certificate"):
        end(text)
