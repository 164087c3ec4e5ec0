"""Programs that the collection's configuration is written for, in the versions that the lab runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from lab import settings
from lab.containers import build
from lab.containers.recipes import RECIPES
from lab.containers.store import Image

#: In which image of the lab each of them lies, and where. They need nothing but the C library beside them.
_PROGRAMS = {
    "promtool": ("prom/prometheus", "usr/bin/promtool"),
    "amtool": ("prom/alertmanager", "usr/bin/amtool"),
}


def program(name: str) -> str:
    """The path of a program, taken out of the lab's image of it once and kept in the lab's cache.

    Making that image needs root. Without it the machine's own program serves, and without that the test is skipped.
    """
    repository, member = _PROGRAMS[name]
    image = build.STORE.image(repository)
    if image is None or (os.geteuid() == 0 and RECIPES[repository].key() != image.key):
        if os.geteuid() != 0:
            own = shutil.which(name)
            return own or pytest.skip(f"no {name} here; as root the tests take it from the lab's image {repository}")
        (image,) = build.provide([repository], print)
    return str(_kept(image, member))


def _kept(image: Image, member: str) -> Path:
    folder = settings.CACHE / "programs"
    target = folder / f"{Path(member).name}-{image.tags[0]}-{image.manifest.partition(':')[2][:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            for old in folder.glob(f"{Path(member).name}-*"):
                old.unlink()
            unfinished = folder / "unfinished"
            unfinished.write_bytes(_read(image, member))
            unfinished.chmod(0o755)
            unfinished.rename(target)
    return target


def _read(image: Image, member: str) -> bytes:
    for layer in reversed(build.STORE.layers(image)):
        path = build.STORE.blob(layer.digest)
        assert path is not None
        with tarfile.open(path) as tar:
            # By going through it: a program that lies early is found without reading the rest.
            found = next((entry for entry in tar if entry.name.lstrip("./") == member), None)
            file = tar.extractfile(found) if found else None
            if file is not None:
                return file.read()
    raise AssertionError(f"{image.repository} holds no {member}")
