# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates in the project: what there is, uploading one, and deleting one that nobody uses any more.

A certificate does not change: another one is uploaded under another name, then used, then the old one is deleted.
https://docs.hetzner.cloud/reference/cloud#certificates
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..hcloud_client import APIException, Client, ClientError
from ..infrastructure.plan import ownership
from ..retries import unclear
from . import pem as pem_module
from .pem import CertificateError

PATH = "/certificates"
#: Times that an upload is tried whose answer got lost. Its name is unique, so that it is never there twice.
MAX_TRIES = 4


@dataclass(frozen=True)
class Record:
    """A certificate as the API tells it. ``pem`` is empty while a managed one is being issued."""

    id: int
    name: str
    labels: Mapping[str, str]
    pem: str
    fingerprint: str  # SHA-256 in hexadecimal digits without colons; empty without a certificate
    content: str  # the same of the certificate and all that follow it
    domain_names: tuple[str, ...]
    not_valid_after: datetime | None
    used_by: tuple[int, ...]  # ids of load balancers


def parse(data: Mapping[str, Any]) -> Record:
    """From the API. The fingerprint is our own, since the vendor does not say how it writes its."""
    pem_module.require()
    text = data["certificate"] or ""
    try:
        chain = pem_module.parse(text) if text else None
    except CertificateError:  # the API holds something that only it can read
        chain = None
    until = data["not_valid_after"]
    return Record(
        id=data["id"],
        name=data["name"],
        labels=data["labels"],
        pem=text,
        fingerprint=chain.fingerprint if chain else "",
        content=chain.content if chain else "",
        domain_names=tuple(data["domain_names"]),
        not_valid_after=datetime.fromisoformat(until) if until else None,
        used_by=tuple(user["id"] for user in data["used_by"]),
    )


def list_certificates(client: Client, environment: str | None = None) -> list[Record]:
    """The certificates of an environment, or, with None, all in the project. One request for each fifty."""
    labels = {key: value for key, value in ownership(environment or "").items() if key != "bulwark-version"}
    selector = {"label_selector": ",".join(f"{key}={value}" for key, value in labels.items())} if environment else {}
    return [parse(data) for data in client.list_all(PATH, **selector)]


def upload(client: Client, name: str, pem: str, private_key: str, labels: Mapping[str, str]) -> Record:
    """Upload a certificate (PEM, with those that certify it) and its key (PEM), and return what is there then.

    Where there is one of this name and content already, it is returned, so that a lost answer makes nothing twice and
    the call may be repeated. Raises :class:`ClientError` where the name has another content,
    :class:`~.pem.CertificateError` where the text is no certificate, and what the API raises.
    """
    content = pem_module.parse(pem).content
    body = {"name": name, "type": "uploaded", "certificate": pem, "private_key": private_key, "labels": dict(labels)}
    for attempt in range(1, MAX_TRIES + 1):
        try:
            return parse(client.request("POST", PATH, json=body)["certificate"])
        except (APIException, OSError) as error:
            taken = getattr(error, "code", None) == "uniqueness_error"
            if not taken and not unclear(error):
                raise
            found = [parse(data) for data in client.list_all(PATH, name=name)]
            if found and found[0].content == content:
                return found[0]
            if found:
                raise ClientError(
                    f"There is another certificate called {name} in the project (for "
                    f"{pem_module.told(found[0].domain_names)}): rename one of the two."
                ) from None
            if taken or attempt == MAX_TRIES:
                raise
        client.sleep(2.0 ** (attempt - 1))
    raise AssertionError("the last try returns or raises")


def delete_unused(client: Client, record: Record, before: Callable[[], None] = lambda: None) -> bool:
    """Delete a certificate unless somebody uses it; whether it is gone. ``before`` is done once nobody does."""
    path = f"{PATH}/{record.id}"
    try:
        if parse(client.request("GET", path)["certificate"]).used_by:
            return False
    except APIException as error:
        if error.code != "not_found":
            raise
    before()
    try:
        client.request("DELETE", path)
    except APIException as error:
        if error.code == "resource_in_use":
            return False
        if error.code != "not_found":
            raise
    return True
