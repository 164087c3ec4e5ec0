"""The registry that container images are pulled from, by the distribution specification's words."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from lab.containers.registry import create_registry
from lab.containers.store import LAYER_TYPE, MANIFEST_TYPE, Store

LAYER = b"a layer of an image"
DIGEST = "sha256:" + hashlib.sha256(LAYER).hexdigest()
ABSENT = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for repository, tags in (("postgres", ["17", "17.6"]), ("prom/prometheus", ["v2.53.3"])):
        layer = store.add(LAYER_TYPE, lambda file: file.write(LAYER))
        configuration = {"os": "linux", "config": {"Cmd": [repository]}}
        store.publish(repository, "key", tags, configuration, [layer])
    return store


class Client:
    """Asks the application without a network."""

    def __init__(self, app: Starlette) -> None:
        self._transport = httpx.ASGITransport(app)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="https://registry") as client:
                return await client.request(method, path, follow_redirects=True, **options)

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)


@pytest.fixture
def client(store: Store) -> Client:
    return Client(create_registry(store))


def test_it_says_that_it_speaks_the_second_version(client: Client) -> None:
    answer = client.get("/v2/")
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("name", "tag"),
    [("postgres", "17"), ("library/postgres", "17"), ("library/postgres", "17.6"), ("prom/prometheus", "v2.53.3")],
)
def test_an_image_is_pulled_by_tag_and_by_digest(client: Client, name: str, tag: str) -> None:
    manifest = client.get(f"/v2/{name}/manifests/{tag}")
    assert manifest.status_code == 200
    assert manifest.headers["content-type"] == MANIFEST_TYPE == manifest.json()["mediaType"]
    digest = "sha256:" + hashlib.sha256(manifest.content).hexdigest()
    assert manifest.headers["docker-content-digest"] == digest
    assert client.get(f"/v2/{name}/manifests/{digest}").content == manifest.content
    for described in (manifest.json()["config"], *manifest.json()["layers"]):
        blob = client.get(f"/v2/{name}/blobs/{described['digest']}")
        assert "sha256:" + hashlib.sha256(blob.content).hexdigest() == described["digest"]
        assert blob.headers["docker-content-digest"] == described["digest"]
        assert int(blob.headers["content-length"]) == described["size"]


def test_it_can_be_asked_without_taking(client: Client) -> None:
    for path in ("/v2/", "/v2/library/postgres/manifests/17", f"/v2/library/postgres/blobs/{DIGEST}"):
        asked, taken = client.request("HEAD", path), client.get(path)
        assert (asked.status_code, asked.content) == (200, b"")
        for header in ("content-length", "content-type", "docker-content-digest"):
            assert asked.headers.get(header) == taken.headers.get(header)


def test_a_pull_that_broke_off_goes_on(client: Client) -> None:
    answer = client.get(f"/v2/library/postgres/blobs/{DIGEST}", headers={"Range": "bytes=8-"})
    assert (answer.status_code, answer.content) == (206, LAYER[8:])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/grafana/grafana/manifests/11.0", 404, "NAME_UNKNOWN"),
        ("/v2/library/prom/prometheus/manifests/latest", 404, "MANIFEST_UNKNOWN"),
        ("/v2/library/postgres/manifests/16", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/library/postgres/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/grafana/grafana/tags/list", 404, "NAME_UNKNOWN"),
        (f"/v2/grafana/grafana/blobs/{DIGEST}", 404, "NAME_UNKNOWN"),
        (f"/v2/library/postgres/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
        ("/v2/library/postgres/blobs/sha256:..%2F..%2Fimages", 404, "UNSUPPORTED"),
        ("/v2/library/postgres/blobs/md5:0", 400, "DIGEST_INVALID"),
        ("/v2/_catalog", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
    ],
)
def test_what_it_has_not_is_refused_in_the_specifications_words(
    client: Client, path: str, status: int, code: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert error["message"]


def test_the_other_tags_are_named_with_the_refusal(client: Client) -> None:
    (error,) = client.get("/v2/library/postgres/manifests/16").json()["errors"]
    assert error["message"] == "of postgres this lab has 17, 17.6"


def test_a_blob_of_another_image_is_not_this_ones(client: Client) -> None:
    config = client.get("/v2/prom/prometheus/manifests/v2.53.3").json()["config"]["digest"]
    assert client.get(f"/v2/prom/prometheus/blobs/{config}").status_code == 200
    assert client.get(f"/v2/library/postgres/blobs/{config}").status_code == 404


def test_nothing_can_be_pushed(client: Client) -> None:
    for method, path in (
        ("PUT", "/v2/library/postgres/manifests/17"),
        ("DELETE", "/v2/library/postgres/manifests/17"),
        ("POST", "/v2/library/postgres/blobs/uploads/"),
    ):
        answer = client.request(method, path)
        assert answer.status_code in (404, 405)
        assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"


def test_tags_are_listed_in_pages(client: Client) -> None:
    def tags(**query: str) -> list[str]:
        return list(client.get("/v2/library/postgres/tags/list", params=query).json()["tags"])

    assert tags() == ["17", "17.6"]
    assert tags(n="1") == ["17"]
    assert tags(n="1", last="17") == ["17.6"]
    assert tags(n="0") == []


def test_an_image_made_meanwhile_is_served(client: Client, store: Store) -> None:
    assert client.get("/v2/prom/alertmanager/manifests/v1").status_code == 404
    store.publish("prom/alertmanager", "key", ["v1"], {}, [])
    assert client.get("/v2/prom/alertmanager/manifests/v1").status_code == 200
