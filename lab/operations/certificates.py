"""Certificates that load balancers show. Only uploaded ones: there is no authority here that would issue others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lab.errors import CloudError, invalid_field, not_implemented
from lab.operations import common
from lab.state import x509
from lab.state.load_balancers import Certificate

if TYPE_CHECKING:
    from lab.operations.cloud import Cloud


def check_type(kind: str) -> None:
    if kind == "managed":
        raise not_implemented("certificates of type managed; upload one")
    if kind != "uploaded":
        raise invalid_field("type", "must be one of uploaded, managed")


def create(cloud: Cloud, name: str, certificate: str, private_key: str, labels: Mapping[str, str]) -> Certificate:
    store = cloud.store
    checked_labels = common.check_labels(labels)
    problem = x509.problem(certificate, private_key, store.now())
    if problem is not None:
        raise invalid_field(problem.field, problem.message)
    common.check_name_is_free("certificate", name, store.certificates)
    common.check_limit(store, "certificates", len(store.certificates))
    made = Certificate(store.new_id(), name, store.now(), certificate, private_key, checked_labels)
    store.certificates[made.id] = made
    return made


def update(cloud: Cloud, certificate: Certificate, name: str | None, labels: Mapping[str, str] | None) -> None:
    common.rename("certificate", certificate, cloud.store.certificates, name)
    common.relabel(certificate, labels)


def delete(cloud: Cloud, certificate: Certificate) -> None:
    if cloud.store.load_balancers_with(certificate.id):
        raise CloudError("resource_in_use", f"certificate with ID {certificate.id} is still in use")
    del cloud.store.certificates[certificate.id]
