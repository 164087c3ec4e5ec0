"""Making the base image: debootstrap, our few files, and a tarball in the cache that is imported where it is needed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from lab import settings
from lab.command import CommandError, run

SUITE = "trixie"
OS_IMAGE = "debian-13"  # what it is called in the cloud's API
TAG = f"bulwark/base:{OS_IMAGE}"
_LABEL = "bulwark.recipe"

_INSTALLED = "packages.txt"
_DOWNLOADED = "downloads.txt"

_UNFINISHED = "unfinished-"

_HERE = Path(__file__).parent
_FOLDER = settings.CACHE / "images"

Say = Callable[[str], None]


def _listed(name: str) -> list[str]:
    """The packages a file names, one on each line."""
    lines = (_HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def recipe() -> str:
    """A short hash of everything the image is made from."""
    digest = hashlib.sha256(SUITE.encode())
    made_from = [_HERE / _INSTALLED, _HERE / _DOWNLOADED, _HERE / "customise.sh", *(_HERE / "files").iterdir()]
    for path in sorted(made_from):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def tarball() -> Path:
    return _FOLDER / f"{OS_IMAGE}-{recipe()}.tar"


def build(say: Say) -> Path:
    """Return the tarball of the base image, made unless the cache holds it. Takes about two minutes; needs root."""
    target = tarball()
    if target.exists():
        return target
    _FOLDER.mkdir(parents=True, exist_ok=True)
    say(f"making the servers' base image ({OS_IMAGE}); this happens once and takes about two minutes")
    for killed in _FOLDER.glob(f"{_UNFINISHED}*"):
        _discard(killed)
    root = Path(mkdtemp(prefix=_UNFINISHED, dir=_FOLDER))
    try:
        _debootstrap(root, say)
        shutil.copytree(_HERE / "files", root / "tmp/files")
        shutil.copy(_HERE / "customise.sh", root / "tmp/customise.sh")
        inside = ["/tmp/customise.sh", "/tmp/files"]  # noqa: S108 because it is inside the new system
        run("chroot", str(root), "sh", *inside, *_listed(_DOWNLOADED))
        shutil.rmtree(root / "tmp/files")
        (root / "tmp/customise.sh").unlink()
        unfinished = target.with_suffix(".unfinished")
        run("tar", "-C", str(root), "--one-file-system", "-cf", str(unfinished), ".")
        unfinished.rename(target)
    finally:
        _discard(root)
    for old in _FOLDER.glob(f"{OS_IMAGE}-*.tar"):
        if old != target:
            old.unlink()
    return target


def _discard(root: Path) -> None:
    """Remove a system under construction. debootstrap mounts the kernel's file systems there: those stay whole."""
    for mounted in ("proc", "sys"):
        run("umount", "-R", str(root / mounted), check=False)
    run("rm", "-rf", "--one-file-system", str(root))


def _debootstrap(root: Path, say: Say) -> None:
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(_listed(_INSTALLED))}", SUITE, str(root)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    last: list[str] = []
    if process.stdout is None:
        raise CommandError("debootstrap: no output")
    for line in process.stdout:
        last = [*last[-9:], line.rstrip()]
        if line.startswith(("I: Extracting dpkg", "I: Configuring systemd.", "I: Base system installed")):
            say(line.strip().removeprefix("I: "))
    if process.wait() != 0:
        raise CommandError("debootstrap failed; its last words:\n" + "\n".join(last))


def load(say: Say) -> None:
    """Have the image in the Docker Engine, imported from the tarball unless the engine holds this very recipe."""
    present = run(
        "docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}', TAG, check=False
    )
    if present.strip() == recipe():
        return
    source = build(say)
    say("loading the base image into the Docker Engine")
    run("docker", "import", "--change", f"LABEL {_LABEL}={recipe()}", str(source), TAG)
    # The one it replaces, unless a container still uses it.
    run("docker", "image", "prune", "--force", "--filter", f"label={_LABEL}")
