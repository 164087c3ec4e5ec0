"""Origin certificates: which belong together, which will do, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import certificates, keys, pairs
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.certificates import Wanted
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.pairs import CUT_SHORT, Actual, Issued
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import pem
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.certificates import Record
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ZONE, MARKER = "example.com", "bulwark-lab.example.com"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
LABELS = {"env": "lab", "managed-by": "bulwark"}
KEY = ec.generate_private_key(ec.SECP256R1())


def wanted(**more: Any) -> Wanted:
    options = {
        "environment_name": "lab",
        "state": "present",
        "hostnames": ["@"],
        "validity": 30,
        "renew_before": 7,
        "renew": False,
        "key_type": "ecdsa",
        "name": "origin",
    }
    return certificates.parse({**options, **more}, ZONE)


def signed(*names: str, begins: datetime = NOW, days: int = 30) -> str:
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    )
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def uploaded(number: int, text: str = "", used_by: tuple[int, ...] = (), **labels: str) -> Record:
    text = text or signed(ZONE, MARKER)
    chain = pem.parse(text)
    own = {**LABELS, pairs.LABEL: f"cf{number}", **labels}
    name = f"origin-{number}"
    found = chain.fingerprint, chain.content, chain.names, chain.not_valid_after
    return Record(number, name, own, text, *found, used_by)


def issued(number: int, record: Record | None = None, begins: datetime = NOW) -> Issued:
    fingerprint = record.fingerprint if record else f"of {number}"
    return Issued(f"cf{number}", frozenset({ZONE, MARKER}), fingerprint, begins)


def actual(*records: Record, alone: Sequence[Issued] = ()) -> Actual:
    return pairs.match([*(issued(record.id, record) for record in records), *alone], records, "lab", NOW)


def made(plan: certificates.Plan) -> list[str]:
    return [f"{step.change.action} {step.change.name}" for step in plan.steps]


def test_the_names_are_those_asked_for_and_the_marker() -> None:
    assert wanted(hostnames=None).names == ["*.example.com", ZONE, MARKER]
    assert wanted(hostnames=["WWW", "www.example.com"]).names == ["www.example.com", MARKER]


def test_the_first_is_issued() -> None:
    plan = certificates.plan_present(wanted(), actual(), NOW)
    [step] = plan.steps
    assert (step.change.action, step.change.why, step.change.before) == ("issue", "there is none", None)
    assert plan.current is None


def test_the_newest_that_will_do_is_kept() -> None:
    older, newer = uploaded(2), uploaded(1, signed(ZONE, MARKER, begins=NOW + timedelta(hours=1)))
    plan = certificates.plan_present(wanted(), actual(older, newer), NOW)
    assert plan.steps == []
    assert plan.current
    assert plan.current.record is newer


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (signed(ZONE), "other hostnames"),
        (signed(ZONE, "www.example.com", MARKER), "other hostnames"),
        (signed(ZONE, MARKER, days=7), "the last one expires on 2026-06-08"),
        (signed(ZONE, MARKER, days=8), ""),
    ],
)
def test_what_will_not_do_is_replaced(text: str, why: str) -> None:
    plan = certificates.plan_present(wanted(), actual(uploaded(1, text)), NOW)
    assert [step.change.why for step in plan.steps] == ([why] if why else [])


def test_another_type_of_key_and_a_revoked_one_will_not_do() -> None:
    there = actual(uploaded(1))
    [step] = certificates.plan_present(wanted(key_type="rsa"), there, NOW).steps
    assert step.change.why == "another type of key"
    revoked = pairs.match([], [uploaded(1)], "lab", NOW)
    [step] = certificates.plan_present(wanted(), revoked, NOW).steps
    assert step.change.why == "the last one was revoked"


def test_one_can_be_renewed_on_request() -> None:
    plan = certificates.plan_present(wanted(renew=True), actual(uploaded(1)), NOW)
    assert [step.change.why for step in plan.steps] == ["asked for"]


def test_what_was_issued_and_never_uploaded_is_revoked_by_every_state() -> None:
    there = actual(uploaded(1), alone=[issued(1000, begins=NOW - CUT_SHORT + timedelta(seconds=1))])
    for plan in (
        certificates.plan_present(wanted(), there, NOW),
        certificates.plan_tidied(wanted(), there, NOW),
        certificates.plan_absent(wanted(), there),
    ):
        assert made(plan)[0] == "revoke cf1000 at Cloudflare"
        assert plan.steps[0].issued == there.orphans[0]


@pytest.mark.parametrize(
    "stray",
    [issued(1000, begins=NOW - CUT_SHORT), Issued("cf1000", frozenset({ZONE, MARKER}))],
    ids=["issued long ago", "nobody knows when"],
)
def test_what_may_be_used_from_another_project_is_left_and_told(stray: Issued) -> None:
    there = actual(alone=[stray])
    for plan, steps in (
        (certificates.plan_present(wanted(), there, NOW), ["issue origin"]),
        (certificates.plan_tidied(wanted(), there, NOW), []),
        (certificates.plan_absent(wanted(), there), []),
    ):
        assert made(plan) == steps
        [warning] = plan.warnings
        assert "the certificate cf1000 of this environment, which is not in this Hetzner project" in warning


def test_what_somebody_has_uploaded_elsewhere_is_no_orphan() -> None:
    moved = uploaded(1, env="other")
    there = pairs.match([issued(1, moved)], [moved], "lab", NOW)
    assert (list(there.pairs), list(there.orphans)) == ([], [])


def test_tidied_leaves_the_current_one_and_those_in_use() -> None:
    new = uploaded(3, signed(ZONE, MARKER, begins=NOW + timedelta(hours=1)))
    there = actual(uploaded(1), uploaded(2, used_by=(42,)), new)
    plan = certificates.plan_tidied(wanted(), there, NOW)
    assert made(plan) == ["delete origin-1"]
    assert plan.steps[0].issued == there.pairs[0].issued
    assert (plan.current and plan.current.record, list(plan.left)) == (new, ["origin-2"])


def test_tidied_without_a_good_one_takes_nothing_that_is_used() -> None:
    there = actual(uploaded(1, signed("old.example.com", MARKER), used_by=(42,)))
    plan = certificates.plan_tidied(wanted(), there, NOW)
    assert (list(plan.steps), plan.current, list(plan.left)) == ([], None, ["origin-1"])


def test_absent_is_refused_while_one_is_used() -> None:
    plan = certificates.plan_absent(wanted(), actual(uploaded(1, used_by=(42, 43)), uploaded(2)))
    assert made(plan) == ["delete origin-1", "delete origin-2"]
    assert "is used by load balancer 42, 43: delete that" in plan.steps[0].change.refused
    assert plan.steps[1].change.refused == ""


def test_a_certificate_is_told_without_its_marker() -> None:
    record = uploaded(1)
    assert certificates.describe(record, MARKER) == {
        "name": "origin-1",
        "id": 1,
        "fingerprint": record.fingerprint,
        "hostnames": [ZONE],
        "expires": "2026-07-01T00:00:00Z",
        "cloudflare_id": "cf1",
    }


@pytest.mark.parametrize(("key_type", "size"), [("rsa", 2048), ("ecdsa", 256)])
def test_a_request_is_for_its_names_and_signed_by_its_key(key_type: str, size: int) -> None:
    request = keys.make(key_type, ["a.example.com", MARKER])
    csr = x509.load_pem_x509_csr(request.csr.encode())
    assert csr.is_signature_valid
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example.com", MARKER]
    key = serialization.load_pem_private_key(request.private_key.encode(), password=None)
    assert key.key_size == size
    assert key.public_key() == csr.public_key()
    assert request.private_key not in repr(request)
    assert keys.make(key_type, ["a.example.com"]).private_key != request.private_key
