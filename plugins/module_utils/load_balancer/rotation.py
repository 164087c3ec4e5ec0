# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates are uploaded before services use them, and which go once nobody does.

What is uploaded here says so in a label, and has a name made of the load balancer's and of its content: so what a run
that was killed has left is known again. Certificates that are declared by name are somebody else's to delete.
"""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from typing import Any

from ..infrastructure.draft import hint
from ..infrastructure.plan import PATHS, Call, Ref, owned, ownership
from . import pem
from .certificates import Record
from .declared import Certificate
from .planning import Planning

#: On certificates that were uploaded from their content given to the module.
UPLOADED_HERE = {"uploaded-by": "hcloud_load_balancer"}
#: Digits of the content's hash in a certificate's name.
DIGITS = 12


def plan_uploads(planning: Planning, now: datetime) -> dict[int, tuple[str, ...]]:
    """Upload what is not there yet. The names of the declared certificates, by the listen port of their service."""
    names = {}
    for service in planning.declared.services or ():
        if service.certificates is not None:
            part = planning.part("service", service.port)
            found = [_name(planning, part, certificate, now) for certificate in service.certificates]
            names[service.port] = tuple(sorted(set(found)))
    return names


def _name(planning: Planning, part: Ref, certificate: Certificate, now: datetime) -> str:
    """The certificate's name in the project. What is wrong with it is refused."""
    try:
        if certificate.chain is None:
            return _named(planning, part, certificate, now)
        pem.check(certificate.chain, certificate.private_key, now)
        pem.check_names(certificate.chain.names, certificate.hostnames)
        return _uploaded(planning, certificate, certificate.chain)
    except pem.CertificateError as error:
        planning.refuse(part, "update", f"{part}: {error}")
        return certificate.name or ""


def _named(planning: Planning, part: Ref, certificate: Certificate, now: datetime) -> str:
    name = certificate.name or ""
    records = {record.name: record for record in planning.actual.certificates}
    record = records.get(name)
    if record is None:
        there = ", ".join(sorted(records)) or "none"
        raise pem.CertificateError(f"there is no certificate {name}{hint(name, records)}; there are: {there}.")
    pem.check_names(record.domain_names, certificate.hostnames)
    if record.not_valid_after and record.not_valid_after < now:
        planning.warnings.append(f"{part}: the certificate {name} expired on {record.not_valid_after:%Y-%m-%d}.")
    return name


def _uploaded(planning: Planning, certificate: Certificate, chain: pem.Chain) -> str:
    same = [record for record in planning.actual.certificates if record.content == chain.content]
    if same:
        return min(same, key=lambda record: (not owned(record.labels, planning.environment), record.id)).name
    ref = Ref("certificate", own_name(planning.declared.name, chain.content))
    if ref in planning.ids:
        raise pem.CertificateError(f"there is another certificate called {ref.name} in the project: rename that one.")
    if not any(step.ref == ref for step in planning.steps):
        body = {
            "name": ref.name,
            "type": "uploaded",
            "certificate": chain.pem,
            "private_key": certificate.private_key,
            "labels": ownership(planning.environment) | UPLOADED_HERE,
        }
        after = _facts(chain.fingerprint, chain.names, chain.not_valid_after)
        planning.add(ref, "create", Call("POST", PATHS["certificate"], body), "declared and not there", after=after)
    return ref.name


def plan_removal(planning: Planning, used: Set[str], absent: bool = False) -> None:
    """Delete what nobody uses any more; ``used`` are the names of certificates that the load balancer will use."""
    balancer = planning.existing
    for record in planning.actual.certificates:
        used_here = balancer is not None and record.id in balancer.certificates
        others = set(record.used_by) - ({balancer.id} if balancer else set())
        if record.name in used or others or not _uploaded_here(planning, record):
            continue
        if used_here or _left(planning, record):
            ref = Ref("certificate", record.name)
            planning.add(
                ref,
                "delete",
                planning.itself(ref, "DELETE"),
                "not used any more",
                before=_facts(record.fingerprint, record.domain_names, record.not_valid_after),
                destructive=absent,
                reads=frozenset({planning.ref}),
            )


def _uploaded_here(planning: Planning, record: Record) -> bool:
    return owned(record.labels, planning.environment) and UPLOADED_HERE.items() <= record.labels.items()


def _left(planning: Planning, record: Record) -> bool:
    """Whether an earlier run has uploaded it for this load balancer."""
    return record.name == own_name(planning.declared.name, record.content)


def own_name(balancer: str, content: str) -> str:
    return f"{balancer}-{content[:DIGITS]}"


def _facts(fingerprint: str, names: tuple[str, ...], until: datetime | None) -> dict[str, Any]:
    """What a person should see of a certificate."""
    facts = {"fingerprint": fingerprint, "names": list(names)}
    return facts | ({"not_valid_after": f"{until:%Y-%m-%d %H:%M} UTC"} if until else {})
