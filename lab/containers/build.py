"""Making images without an engine: debootstrap for the one at the bottom, a layer with packages for each of the others.

Everything happens in namespaces that end with this process, so a run that was killed leaves folders behind and nothing
else; the next one removes them.
"""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab import settings
from lab.command import CommandError, run
from lab.containers import layers
from lab.containers.recipes import RECIPES, Recipe, tags
from lab.containers.store import LAYER_TYPE, Blob, Image, Store

SUITE = "trixie"

_FOLDER = settings.CACHE / "containers"
STORE = Store(_FOLDER)
_WORK = _FOLDER / "unfinished"

_WORKERS = 2
#: The names that images use for processors, by the kernel's.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

#: Whatever runs in there ends when this process does, and with it the mounts.
_IN_NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"),
)
#: Arguments: the system, a folder to lay over its /mnt, and the command. Nothing in there may change what belongs to
#: the machine, such as its resolvers.
_ENTER = """
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
mount -o remount,bind,ro "$1/etc/resolv.conf"
mount --bind "$2" "$1/mnt"
mount -o remount,bind,ro "$1/mnt"
root=$1
shift 2
exec chroot "$root" "$@"
"""

Say = Callable[[str], None]


def provide(repositories: Iterable[str], say: Say) -> list[Image]:
    """Have these images, made unless the cache holds them. Needs root.

    Raises CommandError for one without a recipe, and when a program fails.
    """
    recipes = [_recipe(repository) for repository in repositories]
    if all(map(_is_there, recipes)):
        return [_image(recipe) for recipe in recipes]
    with _alone(say):
        _make(recipes, say)
        return [_image(recipe) for recipe in recipes]


def archive(repository: str, say: Say) -> tuple[Image, Path]:
    """An image, and the archive of it that ``docker load`` reads; made unless the cache holds them."""
    (image,) = provide([repository], say)
    with _alone(say):
        return image, STORE.archive(image)


def version(repository: str) -> str:
    """Which version of an image there is, as its first tag says; empty while it has not been made."""
    image = STORE.image(repository)
    return image.tags[0] if image else ""


def _recipe(repository: str) -> Recipe:
    if repository not in RECIPES:
        raise CommandError(f"no recipe for an image called {repository}; there are {', '.join(sorted(RECIPES))}")
    return RECIPES[repository]


def _is_there(recipe: Recipe) -> bool:
    image = STORE.image(recipe.repository)
    return image is not None and image.key == recipe.key()


def _image(recipe: Recipe) -> Image:
    image = STORE.image(recipe.repository)
    if image is None:
        raise CommandError(f"the image {recipe.repository} was removed from {_FOLDER} meanwhile; repeat the command")
    return image


@contextmanager
def _alone(say: Say) -> Iterator[None]:
    """One process at a time makes images; others wait, since they may want the same."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    with (_FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that makes container images")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(recipes: Collection[Recipe], say: Say) -> None:
    # What a run that was killed left; its mounts ended with it.
    run("rm", "-rf", "--one-file-system", str(_WORK))
    _WORK.mkdir()
    bases = {recipe.base: RECIPES[recipe.base] for recipe in recipes if recipe.base}
    for generation in (bases.values(), recipes):
        missing = {recipe.repository: recipe for recipe in generation if not _is_there(recipe)}
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(lambda recipe: _make_one(recipe, say), missing.values()))
    STORE.tidy()
    run("rm", "-rf", "--one-file-system", str(_WORK))


def _make_one(recipe: Recipe, say: Say) -> None:
    say(f"making the container image {recipe.repository}; this happens once")
    began = time.monotonic()
    with TemporaryDirectory(dir=_WORK, prefix=f"{recipe.slug}-", ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "root"
        below = STORE.layers(_image(RECIPES[recipe.base])) if recipe.base else []
        if below:
            _unpack(below, root)
        else:
            _run(recipe, "debootstrap", "--variant=minbase", SUITE, str(root))
        layer, version = _install(recipe, root)
    image = STORE.publish(
        recipe.repository, recipe.key(), tags(recipe, version), _configuration(recipe, version), [*below, layer]
    )
    megabytes = sum(blob.size for blob in (*below, layer)) // 1_000_000
    say(f"made {image.references[0]}: {megabytes} MB, {time.monotonic() - began:.0f} s")


def _unpack(below: Iterable[Blob], root: Path) -> None:
    root.mkdir()
    for blob in below:
        run("tar", "-C", str(root), "--numeric-owner", "-xpf", str(STORE.blob(blob.digest)))


def _install(recipe: Recipe, root: Path) -> tuple[Blob, str]:
    """Carry out a recipe in a system, and return the layer with what that changed and the version of what is inside."""
    before = layers.paths(root) if recipe.base else set()
    for own in ("resolv.conf", "hostname", "hosts"):  # the engine lays a container's own over them
        (root / "etc" / own).unlink(missing_ok=True)
        (root / "etc" / own).touch()
    moment = layers.now(root) if recipe.base else 0
    if recipe.packages:
        _inside(recipe, root, "apt-get", "-qq", "update")
    _inside(recipe, root, "sh", "/mnt/setup.sh", *recipe.packages)
    version = _inside(recipe, root, *recipe.version).strip()
    leftovers = [root / "var/cache/ldconfig"]
    leftovers += [path for folder in ("lib/apt/lists", "cache/apt") for path in (root / "var" / folder).glob("*")]
    leftovers += [path for path in (root / "var/log").rglob("*") if path.is_file()]
    run("rm", "-rf", *map(str, leftovers))
    layer = STORE.add(
        LAYER_TYPE,
        lambda file: layers.write(root, file, layers.changed_since(root, moment), layers.gone(root, before)),
    )
    return layer, version


def _inside(recipe: Recipe, root: Path, *words: str) -> str:
    """Run a program in a system, with the recipe's files in /mnt, and return what it printed."""
    return _run(recipe, "sh", "-euc", _ENTER, "sh", str(root), str(recipe.files), *words)


def _run(recipe: Recipe, *words: str) -> str:
    """Run a program in namespaces of its own. Raises CommandError with the last of what it said when it fails."""
    done = subprocess.run(
        [*_IN_NAMESPACES, *words],
        env={
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
            # A machine behind a proxy reaches its package mirror through it.
            **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")},
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise CommandError(f"making the image {recipe.repository} failed; its last words:\n{said}")
    return done.stdout


def _configuration(recipe: Recipe, version: str) -> dict[str, Any]:
    """The image's configuration, but for its layers.

    Source of the names: the image specification of the Open Container Initiative, "Image Configuration".
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise CommandError(f"no images for this machine's processor ({machine})")
    wanted = recipe.defaults
    said = {
        "User": wanted.user,
        "ExposedPorts": {port: {} for port in wanted.ports},
        "Env": [f"{name}={value.format(version=version)}" for name, value in _environment(recipe).items()],
        "Entrypoint": list(wanted.entrypoint),
        "Cmd": list(wanted.command),
        "Volumes": {folder: {} for folder in wanted.volumes},
        "WorkingDir": wanted.folder,
        "StopSignal": wanted.stop_signal,
    }
    now = datetime.now(UTC).isoformat()
    generations = [*([recipe.base] if recipe.base else []), recipe.repository]
    return {
        "created": now,
        "architecture": _ARCHITECTURES[machine],
        "os": "linux",
        "config": {name: value for name, value in said.items() if value},
        "history": [{"created": now, "created_by": f"lab.containers {name}"} for name in generations],
    }


def _environment(recipe: Recipe) -> dict[str, str]:
    inherited = _environment(RECIPES[recipe.base]) if recipe.base else {}
    return {**inherited, **recipe.defaults.environment}
