# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Origin certificates: issued by Cloudflare, used by load balancers at Hetzner. The plan is a pure function.

Hetzner's carry labels; Cloudflare's cannot, so ours have one more name, :attr:`Wanted.marker`.
https://developers.cloudflare.com/ssl/origin-configuration/origin-ca/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..load_balancer import pem
from ..load_balancer.certificates import Record
from . import keys
from .client import CloudflareError
from .pairs import LABEL, Actual, Issued, Pair, chain_of
from .plan import Change
from .zones import full_name

#: Days that a certificate can be valid; the last is Cloudflare's default.
#: https://developers.cloudflare.com/api/resources/origin_ca_certificates/methods/create/
VALIDITIES = (7, 30, 90, 365, 730, 1095, 5475)
#: Names in one certificate, our marker included.
MOST_NAMES = 200
#: Kinds of keys, and what Cloudflare calls a certificate for one.
REQUEST_TYPES = {"rsa": "origin-rsa", "ecdsa": "origin-ecc"}


@dataclass(frozen=True)
class Wanted:
    """The certificate as the options ask for it."""

    zone: str
    environment: str
    hostnames: frozenset[str]
    validity: int  # days
    renew_before: timedelta
    key_type: str
    name: str  # what its name at Hetzner begins with
    renew: bool

    @property
    def marker(self) -> str:
        """The name in our certificates that no others have. Nothing has to answer there."""
        return f"bulwark-{self.environment}.{self.zone}"

    @property
    def names(self) -> list[str]:
        return [*sorted(self.hostnames), self.marker]


@dataclass(frozen=True)
class Step:
    """One change: ``record`` is what to delete at Hetzner, ``issued`` what to revoke then; neither: issue one."""

    change: Change
    record: Record | None = None
    issued: Issued | None = None


@dataclass(frozen=True)
class Plan:
    steps: Sequence[Step]
    current: Pair | None  # the one to use, as far as it is there
    left: Sequence[str] = ()  # names of those that are still in use
    warnings: Sequence[str] = ()


def parse(options: Mapping[str, Any], zone: str) -> Wanted:
    """Raises :class:`CloudflareError` for what cannot be meant."""
    if pem.CRYPTOGRAPHY_MISSING:
        raise CloudflareError("The Python package cryptography is missing: install it, 42 or newer, where this runs.")
    environment = options["environment_name"]
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,53}[a-z0-9])?", environment):
        raise CloudflareError(
            f"environment_name: {environment!r} cannot be part of the host name that marks its certificates: use at "
            "most 55 lower-case letters, digits and hyphens, a letter or digit at both ends."
        )
    validity, renew_before = options["validity"], options["renew_before"]
    if not 0 <= renew_before < validity:
        raise CloudflareError(
            f"renew_before: {renew_before} days before it expires is not within the {validity} days that a certificate "
            "is valid, so that it would be renewed by every run: choose fewer."
        )
    if options["renew"] and options["state"] != "present":
        raise CloudflareError(f"renew: with state={options['state']} nothing is issued: leave one of them out.")
    hostnames = options["hostnames"] if options["hostnames"] is not None else [zone, f"*.{zone}"]
    wanted = Wanted(
        zone=zone,
        environment=environment,
        hostnames=_hostnames(hostnames, zone),
        validity=validity,
        renew_before=timedelta(days=renew_before),
        key_type=options["key_type"],
        name=options["name"],
        renew=options["renew"],
    )
    if wanted.marker in wanted.hostnames:
        raise CloudflareError(f"hostnames: {wanted.marker} is the name that marks our certificates: leave it out.")
    return wanted


def _hostnames(names: Iterable[str], zone: str) -> frozenset[str]:
    whole = set()
    for name in names:
        try:
            whole.add(full_name(name, zone))
        except CloudflareError as error:
            raise CloudflareError(f"hostnames: {error}") from error
    for name in whole:
        if "_" in name:
            raise CloudflareError(f"hostnames: {name} is no host name: those have no underscores.")
    if not whole:
        raise CloudflareError("hostnames: name at least one.")
    if len(whole) >= MOST_NAMES:
        raise CloudflareError(f"hostnames: a certificate has room for {MOST_NAMES - 1} beside the one that marks it.")
    return frozenset(whole)


def plan_present(wanted: Wanted, actual: Actual, now: datetime) -> Plan:
    """Keep the one that will do, or issue another; the old one stays for as long as it is used."""
    current = _current(wanted, actual, now)
    steps = [_revoke(orphan) for orphan in actual.orphans]
    if current is None or wanted.renew:
        after = {"hostnames": sorted(wanted.hostnames), "key_type": wanted.key_type, "validity": wanted.validity}
        newest = max(actual.pairs, key=_age, default=None)
        before = _described(newest, wanted) if newest else None
        why = "asked for" if current else _why(newest, wanted, now)
        steps.append(Step(Change("certificate", wanted.name, "issue", why, before, after)))
    return Plan(steps, current, warnings=_warnings(actual))


def plan_tidied(wanted: Wanted, actual: Actual, now: datetime) -> Plan:
    """All but the current one go, unless they are used."""
    current = _current(wanted, actual, now)
    others = [pair for pair in actual.pairs if pair is not current]
    steps = [_revoke(orphan) for orphan in actual.orphans]
    steps += [_delete(pair, wanted, "replaced") for pair in others if not pair.record.used_by]
    return Plan(steps, current, [pair.record.name for pair in others if pair.record.used_by], _warnings(actual))


def plan_absent(wanted: Wanted, actual: Actual) -> Plan:
    steps = [_revoke(orphan) for orphan in actual.orphans]
    return Plan([*steps, *(_delete(pair, wanted, "asked for") for pair in actual.pairs)], None, (), _warnings(actual))


def _warnings(actual: Actual) -> list[str]:
    return [
        f"Cloudflare has the certificate {stray.id} of this environment, which is not in this Hetzner project, and it "
        "was left: check that the Hetzner token is that of the right project. If it is, revoke the certificate in the "
        "Cloudflare dashboard under SSL/TLS, Origin Server."
        for stray in actual.strays
    ]


def _current(wanted: Wanted, actual: Actual, now: datetime) -> Pair | None:
    """The newest of those that will do."""
    good = [pair for pair in actual.pairs if not _fault(pair, wanted, now)]
    return max(good, key=_age, default=None)


def _age(pair: Pair) -> tuple[datetime, int]:
    chain = chain_of(pair.record.pem)
    return chain.leaf.not_valid_before_utc if chain else datetime.min.replace(tzinfo=UTC), pair.record.id


def _why(newest: Pair | None, wanted: Wanted, now: datetime) -> str:
    return _fault(newest, wanted, now) if newest else "there is none"


def _fault(pair: Pair, wanted: Wanted, now: datetime) -> str:
    """Why a certificate will not do, empty where it will."""
    chain = chain_of(pair.record.pem)
    if pair.issued is None:
        return "the last one was revoked"
    if chain is None:
        return "the last one cannot be read"
    if frozenset(name.lower() for name in chain.names) != frozenset(wanted.names):
        return "other hostnames"
    if keys.kind(chain.leaf) != wanted.key_type:
        return "another type of key"
    if chain.not_valid_after - wanted.renew_before <= now:
        return f"the last one expires on {chain.not_valid_after:%Y-%m-%d}"
    return ""


def _revoke(issued: Issued) -> Step:
    change = Change(
        "certificate",
        f"{issued.id} at Cloudflare",
        "revoke",
        "issued by a run that was cut short before it could be uploaded",
        before={"hostnames": sorted(issued.names)},
        destructive=True,
    )
    return Step(change, issued=issued)


def _delete(pair: Pair, wanted: Wanted, why: str) -> Step:
    record = pair.record
    refused = ""
    if record.used_by:
        users = ", ".join(map(str, record.used_by))
        refused = (
            f"The certificate {record.name} is used by load balancer {users}: delete that, or give it another "
            "certificate, and run again."
        )
    change = Change(
        "certificate", record.name, "delete", why, before=_described(pair, wanted), destructive=True, refused=refused
    )
    return Step(change, record, pair.issued)


def _described(pair: Pair, wanted: Wanted) -> dict[str, Any]:
    """A certificate as plans show it."""
    shown = describe(pair.record, wanted.marker)
    return {key: shown[key] for key in ("name", "hostnames", "expires", "fingerprint")}


def describe(record: Record, marker: str) -> dict[str, Any]:
    """A certificate as the module returns it."""
    chain = chain_of(record.pem)
    return {
        "name": record.name,
        "id": record.id,
        "fingerprint": record.fingerprint,
        "hostnames": sorted(name for name in (chain.names if chain else ()) if name != marker),
        "expires": chain.not_valid_after.strftime("%Y-%m-%dT%H:%M:%SZ") if chain else None,
        "cloudflare_id": record.labels.get(LABEL),
    }
