"""Uploading and deleting certificates, with a client that keeps them in memory and fails as told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import APIException, Client, ClientError
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import certificates
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.certificates import (
    delete_unused,
    list_certificates,
    upload,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.pem import CertificateError

from tests.lab.pairs import Pair, issue

PAIR, OTHER = issue(), issue()
LABELS = {"env": "lab", "managed-by": "bulwark"}
LOST = requests.ConnectionError("the answer was lost")


class Fake(Client):
    """Holds certificates. ``faults`` are met by creations in their order: before the work, or after it."""

    def __init__(self, *faults: tuple[str, Exception]) -> None:
        self.faults = list(faults)
        self.there: dict[int, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []

    def sleep(self, _seconds: float) -> None:
        pass

    def list_all(self, url: str, **params: object) -> Iterator[dict[str, Any]]:
        self.asked.append(("GET", url))
        for found in self.there.values():
            selector = params.get("label_selector")
            fits = not selector or all(f"{key}={found['labels'].get(key)}" in str(selector) for key in LABELS)
            if params.get("name") in (None, found["name"]) and fits:
                yield found

    def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
        self.asked.append((method, url))
        if method == "POST":
            return {"certificate": self._create(kwargs["json"])}
        number = int(url.rpartition("/")[2])
        if number not in self.there:
            raise APIException("not_found", "no such certificate", None)
        if method == "DELETE":
            if self.there[number]["used_by"]:
                raise APIException("resource_in_use", "it is in use", None)
            del self.there[number]
            return {}
        return {"certificate": self.there[number]}

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        when, fault = self.faults.pop(0) if self.faults else ("", None)
        if when == "before" and fault:
            raise fault
        if any(found["name"] == body["name"] for found in self.there.values()):
            raise APIException("uniqueness_error", "name is already used", None)
        number = len(self.there) + 1
        made = {"id": number, "not_valid_after": "2030-01-01T00:00:00Z", "domain_names": ["bulwark.example"]}
        self.there[number] = {**body, **made, "used_by": []}
        if when == "after" and fault:
            raise fault
        return self.there[number]


def put(client: Client, pair: Pair = PAIR, name: str = "web") -> certificates.Record:
    return upload(client, name, pair.certificate, pair.private_key, LABELS)


def test_what_was_uploaded_is_listed() -> None:
    client = Fake()
    record = put(client)
    assert list_certificates(client) == list_certificates(client, "lab") == [record]
    assert list_certificates(client, "production") == []
    assert (record.name, record.labels, record.pem, record.used_by) == ("web", LABELS, PAIR.certificate, ())
    assert (record.domain_names, record.fingerprint) == (("bulwark.example",), record.content)
    assert record.not_valid_after
    assert record.not_valid_after.year == 2030
    assert "PRIVATE KEY" not in repr(record)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("fault", [LOST, APIException("timeout", "", None), APIException(502, "", None)])
def test_a_lost_answer_makes_nothing_twice(when: str, fault: Exception) -> None:
    client = Fake((when, fault))
    assert put(client).name == "web"
    assert len(client.there) == 1


def test_repeating_it_is_harmless() -> None:
    client = Fake()
    assert put(client) == put(client)
    assert len(client.there) == 1


def test_another_content_under_the_name_is_refused() -> None:
    client = Fake()
    put(client)
    with pytest.raises(ClientError, match="There is another certificate called web in the project"):
        put(client, OTHER)
    assert len(client.there) == 1


def test_what_always_fails_is_told_in_the_end() -> None:
    client = Fake(*[("before", LOST)] * 9)
    with pytest.raises(requests.ConnectionError):
        put(client)
    assert len(client.faults) == 9 - certificates.MAX_TRIES


def test_what_is_refused_is_not_tried_again() -> None:
    client = Fake(("before", APIException("invalid_input", "no", None)))
    with pytest.raises(APIException):
        put(client)
    assert client.asked == [("POST", "/certificates")]


def test_what_is_no_certificate_is_not_uploaded() -> None:
    client = Fake()
    with pytest.raises(CertificateError):
        upload(client, "web", "nothing", PAIR.private_key, LABELS)
    assert client.asked == []


def test_only_what_nobody_uses_is_deleted() -> None:
    client = Fake()
    record = put(client)
    client.there[record.id]["used_by"] = [{"id": 7, "type": "load_balancer"}]
    assert list_certificates(client)[0].used_by == (7,)
    assert delete_unused(client, record) is False
    assert len(client.there) == 1
    client.there[record.id]["used_by"] = []
    assert delete_unused(client, record) is True
    assert client.there == {}
    assert delete_unused(client, record) is True, "it is gone already"


def test_what_is_used_meanwhile_stays() -> None:
    class Late(Fake):
        def request(self, method: str, url: str, **kwargs: Any) -> dict[str, Any]:
            answer = super().request(method, url, **kwargs)
            if method == "GET":
                answer = {"certificate": dict(answer["certificate"])}
                self.there[1]["used_by"] = [{"id": 7, "type": "load_balancer"}]
            return answer

    client = Late()
    assert delete_unused(client, put(client)) is False


def test_a_managed_certificate_that_is_not_there_yet() -> None:
    data = {"id": 1, "name": "managed", "labels": {}, "certificate": None, "domain_names": ["a.example"]}
    record = certificates.parse(data | {"not_valid_after": None, "used_by": []})
    assert (record.pem, record.fingerprint, record.content, record.not_valid_after) == ("", "", "", None)
