"""Where finished images lie: a folder in the cache that the registry serves from.

``blobs`` holds layers, configurations and manifests under their digests, ``images`` a file for each image, written when
all its blobs are there, ``archives`` what ``docker load`` reads. Everything appears under its name by a rename.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any, BinaryIO

from lab.command import CommandError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
# Not compressed: the archives go no farther than to the other end of a cable in this machine's memory.
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_UNFINISHED = "unfinished-"


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


@dataclass(frozen=True)
class Blob:
    """What a manifest says about a blob it refers to."""

    mediaType: str  # noqa: N815 because the format calls it so
    digest: str
    size: int


@dataclass(frozen=True)
class Image:
    """One finished image; ``key`` is its recipe's."""

    repository: str
    tags: tuple[str, ...]
    manifest: str
    key: str

    @property
    def slug(self) -> str:
        return self.repository.replace("/", "-")

    @property
    def references(self) -> list[str]:
        """What a compose file may call it."""
        return [f"{self.repository}:{tag}" for tag in self.tags]


class Store:
    """The folder; it may be used by several processes, of which one at a time adds to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._images = folder / "images"
        self._archives = folder / "archives"

    def blob(self, digest: str) -> Path | None:
        """The file of a blob, None when it is not here."""
        if not is_digest(digest):
            return None
        return self._path(digest) if self._path(digest).is_file() else None

    def _path(self, digest: str) -> Path:
        return self._blobs / digest.partition(":")[2]

    def add(self, media_type: str, write: Callable[[BinaryIO], object]) -> Blob:
        """Take in what ``write`` writes."""
        self._blobs.mkdir(parents=True, exist_ok=True)
        handle, name = mkstemp(dir=self._blobs, prefix=_UNFINISHED)
        unfinished = Path(name)
        try:
            with open(handle, "wb") as file:
                write(file)
            with unfinished.open("rb") as file:
                hexadecimal = hashlib.file_digest(file, "sha256").hexdigest()
            size = unfinished.stat().st_size
            unfinished.rename(self._blobs / hexadecimal)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return Blob(media_type, f"sha256:{hexadecimal}", size)

    def add_json(self, media_type: str, content: object) -> Blob:
        return self.add(media_type, lambda file: file.write(json.dumps(content).encode()))

    def publish(
        self, repository: str, key: str, tags: list[str], configuration: dict[str, Any], layers: list[Blob]
    ) -> Image:
        """Make an image of its configuration and its layers, whose blobs are here. It replaces the one of that name."""
        diff_ids = [layer.digest for layer in layers]  # that of the layer itself, since none is compressed
        config = self.add_json(CONFIG_TYPE, {**configuration, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": asdict(config),
            "layers": [asdict(layer) for layer in layers],
        }
        image = Image(repository, tuple(tags), self.add_json(MANIFEST_TYPE, manifest).digest, key)
        self._images.mkdir(parents=True, exist_ok=True)
        unfinished = self._images / f"{image.slug}.unfinished"
        unfinished.write_text(json.dumps(asdict(image)))
        unfinished.rename(self._images / f"{image.slug}.json")
        return image

    def images(self) -> list[Image]:
        found = []
        for path in sorted(self._images.glob("*.json")):
            # One that was replaced meanwhile is there again by the next time.
            with suppress(FileNotFoundError):
                fields = json.loads(path.read_text())
                found.append(Image(**{**fields, "tags": tuple(fields["tags"])}))
        return found

    def image(self, repository: str) -> Image | None:
        return next((image for image in self.images() if image.repository == repository), None)

    def manifest(self, image: Image) -> dict[str, Any]:
        """The manifest of an image. Raises CommandError when its blob is missing."""
        path = self.blob(image.manifest)
        if path is None:
            raise CommandError(
                f"{self.folder} lacks {image.manifest}; remove that folder, and all images are made again"
            )
        return dict(json.loads(path.read_text()))

    def layers(self, image: Image) -> list[Blob]:
        return [Blob(**layer) for layer in self.manifest(image)["layers"]]

    def archive(self, image: Image) -> Path:
        """The image as ``docker load`` reads it, with all its tags."""
        target = self._archives / _archive_name(image)
        if not target.exists():
            self._archives.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_suffix(".unfinished")
            self.pack(image, image.references, unfinished)
            unfinished.rename(target)
        return target

    def pack(self, image: Image, references: list[str], target: Path) -> None:
        """Write an archive from which ``docker load`` takes the image under these references."""
        manifest = self.manifest(image)
        config, *layers = [blob["digest"] for blob in (manifest["config"], *manifest["layers"])]
        contents = {"Config": _member(config), "RepoTags": references, "Layers": [*map(_member, layers)]}
        described = json.dumps([contents]).encode()
        with tarfile.open(target, "w") as tar:
            about = tarfile.TarInfo("manifest.json")
            about.size = len(described)
            tar.addfile(about, io.BytesIO(described))
            for digest in (config, *layers):
                tar.add(self._path(digest), _member(digest))

    def tidy(self) -> None:
        """Remove what no image refers to, and what a run that was killed left unfinished."""
        images = self.images()
        wanted = {image.manifest for image in images}
        for image in images:
            manifest = self.manifest(image)
            wanted |= {blob["digest"] for blob in (manifest["config"], *manifest["layers"])}
        for path in self._blobs.glob("*"):
            if f"sha256:{path.name}" not in wanted:
                path.unlink()
        names = {*map(_archive_name, images)}
        for path in self._archives.glob("*"):
            if path.name not in names:
                path.unlink()


def _archive_name(image: Image) -> str:
    return f"{image.slug}@{image.manifest.partition(':')[2][:12]}.tar"


def _member(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
