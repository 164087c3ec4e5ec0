"""The two modules as Ansible runs them: what they change, what they find, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.doc_fragments import s3
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import ARGUMENTS
from ansible_collections.bulwark.hetzner.plugins.modules import s3_buckets, verify_object_storage

from tests.modules import Run, runner
from tests.unit.object_storage.conftest import KEYS
from tests.unit.object_storage.edge import Answer, Asked, Edge, Store, refusal

UPLOADS, BACKUPS = "bulwark-uploads", "bulwark-backups"


@pytest.fixture
def run(options: dict[str, Any], pauses: list[float], capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys, options, KEYS.values())


def make(run: Run, *names: str, check: bool = False, **more: Any) -> dict[str, Any]:
    return run(s3_buckets, check, buckets=list(names), **more)


def test_buckets_check_create_again(run: Run, edge: Edge) -> None:
    store = edge.store = Store({UPLOADS: {"picture": b"content"}})
    announced = make(run, UPLOADS, BACKUPS, check=True)
    assert edge.methods() == [f"HEAD /{UPLOADS}", f"HEAD /{BACKUPS}"]
    assert set(store.buckets) == {UPLOADS}

    made = make(run, UPLOADS, BACKUPS)
    assert announced["created"] == made["created"] == [BACKUPS]
    assert announced["changed"]
    assert made["changed"]
    assert announced["diff"] == made["diff"]
    assert made["diff"] == {"before": f"bucket {UPLOADS}\n", "after": f"bucket {BACKUPS}\nbucket {UPLOADS}\n"}
    assert store.buckets == {UPLOADS: {"picture": b"content"}, BACKUPS: {}}

    edge.asked.clear()
    again = make(run, UPLOADS, BACKUPS)
    assert (again["changed"], again["created"]) == (False, [])
    assert edge.methods() == [f"HEAD /{UPLOADS}", f"HEAD /{BACKUPS}"], "one request for each"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([UPLOADS, "Backups"], "buckets: 'Backups' is no bucket name: use 3 to 63 small letters"),
        ([UPLOADS, UPLOADS], f"buckets: The bucket '{UPLOADS}' is named twice."),
    ],
)
def test_names_are_checked_before_anything_is_asked(run: Run, edge: Edge, names: list[str], sentence: str) -> None:
    result = make(run, *names)
    assert result["failed"]
    assert sentence in result["msg"]
    assert edge.asked == []


def test_a_name_that_is_taken_is_refused_before_anything_is_made(run: Run, edge: Edge) -> None:
    store = edge.store = Store(foreign=frozenset({BACKUPS}))
    assert f"may not use the bucket '{BACKUPS}'" in make(run, UPLOADS, BACKUPS)["msg"]
    assert store.buckets == {}


def test_a_name_that_is_taken_meanwhile_is_told(run: Run, edge: Edge) -> None:
    edge.answers = [refusal(404, ""), refusal(409, "BucketAlreadyExists")]
    assert f"The bucket name '{UPLOADS}' is taken by somebody else" in make(run, UPLOADS)["msg"]


@pytest.mark.parametrize("lost", [Answer(cut=True), refusal(500, "InternalError")], ids=["cut", "error"])
def test_a_bucket_whose_answer_got_lost_is_made(run: Run, edge: Edge, lost: Answer) -> None:
    edge.answers = [refusal(404, ""), lost, refusal(409, "BucketAlreadyOwnedByYou")]
    assert make(run, UPLOADS)["created"] == [UPLOADS]


def test_amazon_is_told_the_region_it_wants_to_hear(run: Run, edge: Edge) -> None:
    edge.answers = [refusal(404, ""), refusal(400, "IllegalLocationConstraintException")]
    assert make(run, UPLOADS, region="eu-central-1")["created"] == [UPLOADS]
    assert [asked.body for asked in edge.asked[:2]] == [b"", b""]
    assert b"<LocationConstraint>eu-central-1</LocationConstraint>" in edge.asked[2].body


def test_keys_may_come_from_the_environment(run: Run, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS["access_key"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS["secret_key"])
    assert not make(run, UPLOADS, access_key=None, secret_key=None)["changed"]
    assert f"Credential={KEYS['access_key']}/" in edge.asked[0].headers["authorization"]


def verify(run: Run, **more: Any) -> dict[str, Any]:
    result = run(verify_object_storage, **{"host": "app-01", "bucket": UPLOADS, **more})
    [check] = result["checks"]
    assert (result["changed"], check["check"], check["host"]) == (False, "object storage", "app-01")
    return dict(check)


def test_what_is_stored_comes_back_and_is_taken_away(run: Run, edge: Edge) -> None:
    store = edge.store = Store({UPLOADS: {"bulwark-verification/app-01": b"left by a run that was killed"}})
    contents = []
    for check in (False, True):
        edge.asked.clear()
        found = verify(run, check=check)
        assert found["ok"]
        assert found["detail"] == f"{UPLOADS} at {edge.url[7:]}: stored, read back and deleted 1024 bytes"
        name = f"/{UPLOADS}/bulwark-verification/app-01"
        assert edge.methods() == [f"PUT {name}", f"GET {name}", f"DELETE {name}"]
        assert store.buckets == {UPLOADS: {}}
        contents.append(edge.asked[0].body)
    assert contents[0] != contents[1], "it is random, so nothing old can pass for it"


def test_something_else_that_comes_back_does_not_hold(run: Run, edge: Edge) -> None:
    store = Store({UPLOADS: {}})
    edge.store = lambda asked: Answer(body=b"old") if asked.method == "GET" else store(asked)
    found = verify(run)
    assert not found["ok"]
    assert found["detail"].endswith("what was stored did not come back as it was (3 of 1024 bytes)")
    assert store.buckets == {UPLOADS: {}}


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_whatever_is_refused_does_not_hold(run: Run, edge: Edge, method: str) -> None:
    store = Store({UPLOADS: {}})

    def refuse(asked: Asked) -> Answer:
        return refusal(403, "AccessDenied") if asked.method == method else store(asked)

    edge.store = refuse
    found = verify(run)
    assert not found["ok"]
    assert f"The key may not use the bucket '{UPLOADS}'" in found["detail"]
    assert bool(store.buckets[UPLOADS]) == (method == "DELETE"), "what was stored is deleted, if that is allowed"


def test_a_bucket_or_service_that_is_not_there_does_not_hold(run: Run, edge: Edge) -> None:
    edge.store = Store()
    assert f"There is no bucket '{UPLOADS}': create it first" in verify(run)["detail"]
    assert "does not answer at 127.0.0.1:1" in verify(run, endpoint="http://127.0.0.1:1")["detail"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [({"bucket": "Uploads"}, "bucket: 'Uploads' is no bucket name"), ({"secret_key": ""}, "There is no secret_key")],
)
def test_options_that_could_never_work_are_a_failure(run: Run, edge: Edge, more: dict[str, Any], sentence: str) -> None:
    result = run(verify_object_storage, **{"host": "app-01", "bucket": UPLOADS, **more})
    assert result["failed"]
    assert sentence in result["msg"]
    assert edge.asked == []


def test_documentation_and_specification_agree() -> None:
    documented = yaml.safe_load(s3.ModuleDocFragment.DOCUMENTATION)["options"]
    assert {name: (option["type"], option.get("default")) for name, option in documented.items()} == {
        name: (option["type"], option.get("default")) for name, option in ARGUMENTS.items()
    }
    assert [name for name, option in ARGUMENTS.items() if option.get("no_log")] == ["access_key", "secret_key"]
