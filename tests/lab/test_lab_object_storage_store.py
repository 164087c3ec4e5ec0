"""Objects as files: what a kill leaves, what a new process finds; and pages of keys, of any keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.object_storage.errors import StorageError
from lab.object_storage.listing import Start, page
from lab.object_storage.store import Entry, Store, file_name
from lab.object_storage.uploads import Uploads
from tests.checkout import ROOT


def put(store: Store, key: str, content: bytes) -> Entry:
    incoming = store.incoming()
    incoming.write(content)
    etag = incoming.finish()["md5"].hex()
    return store.put("bucket", key, incoming, etag, {}, lambda _: None)


def read(store: Store, key: str) -> bytes:
    _, file = store.open("bucket", key)
    with file:
        return file.read()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.create_bucket("bucket")
    return store


def files(store: Store) -> list[str]:
    return sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*") if path.is_file())


def test_a_new_process_finds_everything(store: Store) -> None:
    entry = put(store, "a/b", b"1")
    (number, folder) = (Uploads(store).begin("bucket", "c", {}), store.folder)
    before = files(store)
    again = Store(folder)
    again.tidy()
    assert files(again) == before
    assert (again.entry("bucket", "a/b"), read(again, "a/b")) == (entry, b"1")
    assert again.buckets() == store.buckets()
    Uploads(again).check("bucket", "c", number)


def test_what_a_kill_left_is_removed(store: Store) -> None:
    put(store, "a", b"1")
    before = files(store)
    store.incoming().write(b"half")
    (store.folder / "bucket/content/a.00000000").write_bytes(b"renamed, and then killed")
    (store.folder / "bucket/uploads/0123.unfinished").mkdir()
    (store.folder / ".gone-1").mkdir()
    assert files(Store(store.folder)) != before, "looking removes nothing"
    again = Store(store.folder)
    again.tidy()
    assert files(again) == before
    assert sorted(path.name for path in again.folder.iterdir()) == [".unfinished", "bucket"]
    assert not list((again.folder / "bucket/uploads").iterdir())


def test_who_reads_goes_on_while_the_object_is_replaced(store: Store) -> None:
    put(store, "a", b"first")
    _, file = store.open("bucket", "a")
    put(store, "a", b"second")
    assert (file.read(), read(store, "a")) == (b"first", b"second")


def test_a_refused_write_leaves_what_was_there(store: Store) -> None:
    def never(_: Entry | None) -> None:
        raise StorageError("PreconditionFailed")

    put(store, "a", b"1")
    before = files(store)
    incoming = store.incoming()
    with pytest.raises(StorageError):
        store.put("bucket", "a", incoming, "", {}, never)
    incoming.discard()
    assert (files(store), read(store, "a")) == (before, b"1")


_WRITER = """
import sys
from pathlib import Path
from tests.lab.test_lab_object_storage_store import put
from lab.object_storage.store import Store
store = Store(Path(sys.argv[1]))
print("begun", flush=True)
number = 0
while True:
    number += 1
    put(store, "a", b"%d" % (number % 10) * 100_000)
"""


def test_a_writer_killed_anywhere_leaves_a_whole_object(store: Store) -> None:
    put(store, "a", b"0" * 100_000)
    for attempt in range(10):
        words = [sys.executable, "-c", _WRITER, str(store.folder)]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.02 + attempt * 0.003)
            os.kill(process.pid, signal.SIGKILL)
        again = Store(store.folder)
        again.tidy()
        content, entry = read(again, "a"), again.entry("bucket", "a")
        assert (len(content), len(set(content)), entry.size) == (100_000, 1, 100_000)
        assert len(list((again.folder / "bucket/content").iterdir())) == 1


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


@given(KEYS)
def test_every_key_has_a_name_that_a_file_can_have(key: str) -> None:
    name = file_name(key)
    assert len(name) <= 180
    assert "/" not in name
    assert name not in (".", "..")


@given(KEYS, KEYS)
def test_two_keys_never_share_a_file(first: str, second: str) -> None:
    assert (file_name(first) == file_name(second)) == (first == second)


@given(
    st.lists(st.text("ab/", min_size=1, max_size=6), unique=True),
    st.sampled_from(["", "a", "a/", "/"]),
    st.sampled_from(["", "/", "b", "/a"]),
    st.integers(1, 3),
)
def test_pages_together_are_the_whole(keys: list[str], prefix: str, delimiter: str, most: int) -> None:
    keys.sort()
    whole = page(keys, prefix, delimiter, Start(), 10**6)
    assert whole.next is None
    found, rolled, start = [], [], Start()
    while True:
        part = page(keys, prefix, delimiter, start, most)
        assert len(part.keys) + len(part.prefixes) <= most
        found += part.keys
        rolled += part.prefixes
        if part.next is None:
            break
        start = Start.of_token(part.next.token())
    assert (found, rolled) == (whole.keys, whole.prefixes)
    for key in keys:
        in_prefix = key.startswith(prefix)
        under = [common for common in rolled if key.startswith(common)]
        assert (key in found) + len(under) == in_prefix
