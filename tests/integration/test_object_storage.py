"""The modules for object storage against the embedded one, over TLS: check, create, again, store, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage import client
from ansible_collections.bulwark.hetzner.plugins.modules import s3_buckets, verify_object_storage

from tests.lab.object_storage import CREDENTIALS, REGION, Served, serving
from tests.modules import Run, runner

UPLOADS, BACKUPS = "bulwark-lab-uploads", "bulwark-lab-backups"


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def run(storage: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(client.Client, "sleep", staticmethod(lambda _seconds: None))
    options = {
        "endpoint": storage.url,
        "region": REGION,
        "access_key": CREDENTIALS.access_key,
        "secret_key": CREDENTIALS.secret_key,
        "ca_path": str(storage.authority),
    }
    return runner(capsys, options, [CREDENTIALS.secret_key])


def buckets(storage: Served) -> list[str]:
    return sorted(bucket.name for bucket in storage.store.buckets())


def test_buckets_check_create_again(run: Run, storage: Served) -> None:
    announced = run(s3_buckets, check=True, buckets=[UPLOADS, BACKUPS])
    assert buckets(storage) == []
    made = run(s3_buckets, buckets=[UPLOADS, BACKUPS])
    assert buckets(storage) == [BACKUPS, UPLOADS]
    assert announced["created"] == made["created"] == [UPLOADS, BACKUPS]
    assert announced["diff"] == made["diff"] == {"before": "", "after": f"bucket {BACKUPS}\nbucket {UPLOADS}\n"}
    again = run(s3_buckets, buckets=[UPLOADS, BACKUPS])
    assert (again["changed"], again["created"]) == (False, [])


def test_a_run_that_was_killed_in_between_is_completed(run: Run, storage: Served) -> None:
    storage.store.create_bucket(UPLOADS)
    assert run(s3_buckets, buckets=[UPLOADS, BACKUPS])["created"] == [BACKUPS]
    assert buckets(storage) == [BACKUPS, UPLOADS]


def test_what_is_stored_comes_back_and_leaves_nothing(run: Run, storage: Served) -> None:
    storage.store.create_bucket(UPLOADS)
    result = run(verify_object_storage, bucket=UPLOADS, host="app-01")
    [check] = result["checks"]
    assert (check["ok"], result["changed"]) == (True, False), check["detail"]
    assert list(storage.store.keys(UPLOADS)) == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"access_key": "SOMEBODYELSE"}, "The object storage does not know the access key: check access_key"),
        ({"secret_key": "another"}, "The secret key is not the one of the access key: check secret_key."),
        ({"region": "fsn1"}, "The region is 'lab' and not 'fsn1': set region to that."),
        ({"ca_path": None}, "is not trusted ("),
    ],
)
def test_refusals_say_what_to_do(run: Run, storage: Served, more: dict[str, Any], sentence: str) -> None:
    result = run(s3_buckets, buckets=[UPLOADS], **more)
    assert result["failed"]
    assert sentence in result["msg"]
    [check] = run(verify_object_storage, bucket=UPLOADS, host="app-01", **more)["checks"]
    assert not check["ok"]
    assert sentence in check["detail"]
    assert buckets(storage) == []


def test_a_wrong_clock_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) - timedelta(minutes=20)

    monkeypatch.setattr(client, "datetime", Late)
    assert "clock is 20 minutes behind the object storage's" in run(s3_buckets, buckets=[UPLOADS])["msg"]


def test_a_service_that_is_away_or_refuses_is_told(run: Run, storage: Served) -> None:
    storage.store.create_bucket(UPLOADS)
    storage.availability.mode = "away"
    assert "has no time for this: run again later" in run(s3_buckets, buckets=[UPLOADS])["msg"]
    storage.availability.mode = "refusing"
    [check] = run(verify_object_storage, bucket=UPLOADS, host="app-01")["checks"]
    assert not check["ok"]
    assert f"The key may not use the bucket '{UPLOADS}'" in check["detail"]
