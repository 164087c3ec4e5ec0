# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairs: a certificate that Cloudflare has issued and the same one in Hetzner's project, with its key.

Nothing else remembers anything: one that was issued lately and has no partner was cut short before its upload, its key
is lost, and it is revoked. An older one may be in use from another project, whose environment has the same name or
whose token should have been given: it is left, and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..infrastructure.plan import owned
from ..load_balancer import pem
from ..load_balancer.certificates import Record
from .client import Client

PATH = "/certificates"
#: The vendor's maximum. https://developers.cloudflare.com/api/resources/origin_ca_certificates/methods/list/
PER_PAGE = 50
#: Hetzner's label that says which certificate of Cloudflare's it is.
LABEL = "cloudflare-id"
#: Until when a certificate without a partner counts as cut short: a run that is repeated every night has come by then.
CUT_SHORT = timedelta(days=2)


@dataclass(frozen=True)
class Issued:
    """A certificate of ours as Cloudflare tells it. Without the certificate itself the last two are not known."""

    id: str
    names: frozenset[str]
    fingerprint: str = ""
    begins: datetime | None = None  # which is when it was issued


@dataclass(frozen=True)
class Pair:
    """A certificate of ours that is at Hetzner, and what Cloudflare knows of it: nothing once it was revoked."""

    record: Record
    issued: Issued | None


@dataclass(frozen=True)
class Actual:
    pairs: Sequence[Pair]
    orphans: Sequence[Issued] = ()  # issued, and never uploaded
    strays: Sequence[Issued] = ()  # issued, and uploaded elsewhere, for all that is known


def read_issued(client: Client, zone_id: str, marker: str) -> list[Issued]:
    """Those of Cloudflare's certificates that are ours and were not revoked."""
    issued = []
    for data in client.list_all(PATH, PER_PAGE, zone_id=zone_id):
        names = frozenset(name.lower() for name in data["hostnames"])
        if marker in names and not data.get("revoked_at"):
            chain = chain_of(data.get("certificate") or "")
            told = (chain.fingerprint, chain.leaf.not_valid_before_utc) if chain else ()
            issued.append(Issued(data["id"], names, *told))
    return issued


def match(issued: Iterable[Issued], records: Iterable[Record], environment: str, now: datetime) -> Actual:
    """What belongs together; ``records`` are all of the project's.

    A certificate of ours that somebody has uploaded here under other labels is nothing of all that: left alone.
    """
    by_id = {item.id: item for item in issued}
    everywhere = {record.fingerprint for record in records}
    pairs = []
    for record in records:
        if owned(record.labels, environment) and LABEL in record.labels:
            partner = by_id.get(record.labels[LABEL])
            if partner and partner.fingerprint in ("", record.fingerprint):
                del by_id[partner.id]
                pairs.append(Pair(record, partner))
            else:
                pairs.append(Pair(record, None))
    alone = [item for item in by_id.values() if item.fingerprint not in everywhere - {""}]
    orphans = [item for item in alone if item.begins and now - item.begins < CUT_SHORT]
    return Actual(pairs, orphans, [item for item in alone if item not in orphans])


def chain_of(text: str) -> pem.Chain | None:
    """The certificate in a text; None for what cannot be read."""
    try:
        return pem.parse(text)
    except pem.CertificateError:
        return None
