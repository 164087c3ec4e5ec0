"""Container images of the lab, as far as they need no engine: recipes, layers, what lies in the store, certificates."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder
from cryptography.x509.verification import Store as Trusted

from lab import settings
from lab.command import CommandError
from lab.containers import build, certificates, layers, recipes
from lab.containers.recipes import RECIPES, Recipe
from lab.containers.store import LAYER_TYPE, Store

# Recipes


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_a_recipe_is_whole(recipe: Recipe) -> None:
    assert recipe.base == "" or RECIPES[recipe.base].base == ""
    assert (recipe.files / "setup.sh").read_text().startswith("#!/bin/sh\n")
    assert recipe.defaults.entrypoint or recipe.defaults.command
    assert all(port.endswith("/tcp") for port in recipe.defaults.ports)
    listed = recipes.tags(recipe, "1:17.6+ds1-0+deb13u1")
    assert len(set(listed)) == len(listed)
    assert any("17.6" in tag for tag in listed)


def test_images_that_up_makes_have_recipes() -> None:
    assert set(settings.CONTAINER_IMAGES) <= set(RECIPES)


@pytest.mark.parametrize(
    ("package", "upstream"),
    [
        ("17.6-0+deb13u1", "17.6"),
        ("2.53.3+ds1-2", "2.53.3"),
        ("1:1.9.0-1+b4", "1.9.0"),
        ("18~rc1-1", "18"),
        ("13.1\n", "13.1"),
    ],
)
def test_versions_count_as_upstream_counts(package: str, upstream: str) -> None:
    assert recipes.upstream_version(package) == upstream


def test_tags_are_the_version_inside() -> None:
    assert recipes.tags(RECIPES["postgres"], "17.6-0+deb13u1") == ["17.6", "17.6-trixie", "17", "17-trixie"]
    assert recipes.tags(RECIPES["prom/prometheus"], "2.53.3+ds1-2") == ["v2.53.3"]
    with pytest.raises(ValueError, match="is no version"):
        recipes.tags(RECIPES["postgres"], "forky/sid")


def test_a_key_tells_everything_apart_that_an_image_is_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPES["prom/alertmanager"]
    before = recipe.key()
    shutil.copytree(recipes.FILES, tmp_path / "files")
    monkeypatch.setattr(recipes, "FILES", tmp_path / "files")
    assert recipe.key() == before
    assert replace(recipe, packages=(*recipe.packages, "less")).key() != before
    (tmp_path / "files/alertmanager/alertmanager.yml").write_text("{}\n")
    changed = recipe.key()
    assert changed != before
    (tmp_path / "files/debian/setup.sh").write_text("#!/bin/sh\n")
    assert recipe.key() != changed


def test_an_image_without_a_recipe_is_refused() -> None:
    with pytest.raises(
        CommandError, match=r"no recipe for an image called grafana/grafana; there are .*debian, postgres"
    ):
        build.provide(["grafana/grafana"], print)


# Layers


def contents(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar}


def written(root: Path, changed: set[str], removed: list[str]) -> dict[str, tarfile.TarInfo]:
    buffer = io.BytesIO()
    layers.write(root, buffer, changed, removed)
    return contents(buffer.getvalue())


@pytest.fixture
def system(tmp_path: Path) -> Path:
    for folder in ("etc/apt", "usr/share/doc/less", "dev", "proc/1", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/passwd").write_text("root")
    (tmp_path / "etc/apt/sources.list").write_text("deb")
    (tmp_path / "usr/share/doc/less/copyright").write_text("free")
    (tmp_path / "dev/null").touch()
    (tmp_path / "tmp/scratch").touch()
    return tmp_path


def test_what_is_the_engines_is_no_part_of_a_system(system: Path) -> None:
    found = layers.paths(system)
    assert {"dev", "proc", "tmp", "etc/apt/sources.list"} <= found
    assert not {"dev/null", "proc/1", "tmp/scratch"} & found


def test_a_layer_holds_what_changed_and_marks_what_went(system: Path) -> None:
    before = layers.paths(system)
    moment = layers.now(system)
    (system / "etc/apt/sources.list").unlink()
    (system / "etc/apt/trixie.list").write_text("deb")
    (system / "etc/hostname").symlink_to("/run/name")
    os.chmod(system / "etc/passwd", 0o600)
    shutil.rmtree(system / "usr/share/doc")
    # A folder that became a file takes what was in it along.
    (system / "usr/share/doc").write_text("none")

    changed, removed = layers.changed_since(system, moment), layers.gone(system, before)
    assert removed == ["etc/apt/sources.list"]
    assert changed == {
        "etc",
        "etc/apt",
        "etc/apt/trixie.list",
        "etc/hostname",
        "etc/passwd",
        "usr/share",
        "usr/share/doc",
        "tmp",
    }
    members = written(system, changed, removed)
    assert set(members) == {*changed, "etc/apt/.wh.sources.list"}
    assert members["etc/passwd"].mode == 0o600
    assert members["etc/hostname"].linkname == "/run/name"
    assert all(member.uname == member.gname == "" for member in members.values())


def test_only_the_top_of_a_removed_tree_is_marked(system: Path) -> None:
    before = layers.paths(system)
    shutil.rmtree(system / "usr/share/doc")
    assert layers.gone(system, before) == ["usr/share/doc"]


def test_hard_links_stay_links(system: Path) -> None:
    os.link(system / "etc/passwd", system / "etc/passwd-")
    members = written(system, {"etc/passwd", "etc/passwd-"}, [])
    assert members["etc/passwd-"].islnk()
    assert members["etc/passwd-"].linkname == "etc/passwd"


# The store


def filled(folder: Path, repository: str = "prom/trial", key: str = "k1") -> Store:
    store = Store(folder)
    bottom, top = (
        store.add(LAYER_TYPE, lambda file, text=text: file.write(text)) for text in (b"bottom", key.encode())
    )
    store.publish(repository, key, ["v1", "v1.0"], {"os": "linux"}, [bottom, top])
    return store


def test_blobs_lie_under_their_digests(tmp_path: Path) -> None:
    store = filled(tmp_path)
    image = store.image("prom/trial")
    assert image is not None
    assert image.references == ["prom/trial:v1", "prom/trial:v1.0"]
    manifest = store.manifest(image)
    assert manifest["layers"][0]["digest"] == "sha256:" + hashlib.sha256(b"bottom").hexdigest()
    assert manifest["layers"][0]["size"] == len(b"bottom")
    for digest in (image.manifest, manifest["config"]["digest"], manifest["layers"][1]["digest"]):
        blob = store.blob(digest)
        assert blob is not None
        assert "sha256:" + hashlib.sha256(blob.read_bytes()).hexdigest() == digest
    config = store.blob(manifest["config"]["digest"])
    assert config is not None
    assert json.loads(config.read_text())["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert store.blob("sha256:../../images/prom-trial.json") is None
    assert store.image("trial") is None


def test_an_interrupted_blob_is_not_there(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = sorted(tmp_path.rglob("*"))

    def break_off(file: io.BytesIO) -> None:
        file.write(b"half")
        raise CommandError("killed")

    with pytest.raises(CommandError):
        store.add(LAYER_TYPE, break_off)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_can_be_loaded(tmp_path: Path) -> None:
    store = filled(tmp_path)
    image = store.image("prom/trial")
    assert image is not None
    archive = store.archive(image)
    assert store.archive(image) == archive
    with tarfile.open(archive) as tar:
        described = tar.extractfile("manifest.json")
        assert described is not None
        (about,) = json.load(described)
        assert about["RepoTags"] == image.references
        for name in (about["Config"], *about["Layers"]):
            member = tar.extractfile(name)
            assert member is not None
            assert hashlib.sha256(member.read()).hexdigest() == name.rpartition("/")[2]


def test_a_replaced_image_is_tidied_away_and_others_stay(tmp_path: Path) -> None:
    store = filled(tmp_path)
    filled(tmp_path, "postgres")
    first = store.image("prom/trial")
    assert first is not None
    old_archive, old_layer = store.archive(first), store.layers(first)[1]
    filled(tmp_path, key="k2")
    (tmp_path / "blobs/sha256/unfinished-x").write_text("half")
    filled(tmp_path, "postgres", key="k3")
    store.tidy()
    second, other = store.image("prom/trial"), store.image("postgres")
    assert second is not None
    assert other is not None
    assert second.key == "k2"
    assert not old_archive.exists()
    assert store.blob(first.manifest) is None
    assert store.blob(old_layer.digest) is None
    assert not list(tmp_path.rglob("unfinished-*"))
    for image in (second, other):
        assert all(store.blob(layer.digest) for layer in store.layers(image))


# Certificates


def test_a_certificate_is_for_its_names_and_signed_by_the_labs_authority(tmp_path: Path) -> None:
    certificate, key = certificates.issue(["registry.lab.example", "other.lab.example"], tmp_path)
    trusted = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    builder = PolicyBuilder().store(Trusted([trusted])).time(datetime.now(UTC))
    for name in ("registry.lab.example", "other.lab.example"):
        builder.build_server_verifier(x509.DNSName(name)).verify(leaf, [])
    with pytest.raises(x509.verification.VerificationError):
        builder.build_server_verifier(x509.DNSName("elsewhere.example")).verify(leaf, [])
    assert key.stat().st_mode & 0o077 == 0
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0


def test_certificates_are_kept_and_follow_a_new_authority(tmp_path: Path) -> None:
    certificate, _ = certificates.issue(["registry.lab.example"], tmp_path)
    first = certificate.read_bytes()
    certificates.issue(["other.lab.example"], tmp_path)
    certificates.issue(["registry.lab.example"], tmp_path)
    assert certificate.read_bytes() == first
    (tmp_path / "ca.crt").unlink()
    certificates.issue(["registry.lab.example"], tmp_path)
    assert certificate.read_bytes() != first


def test_a_new_authority_leaves_no_certificate_of_the_old_one(tmp_path: Path) -> None:
    other, _ = certificates.issue(["other.lab.example"], tmp_path)
    (tmp_path / "ca.crt").unlink()
    certificates.issue(["registry.lab.example"], tmp_path)
    assert not other.exists()


def test_programs_are_told_to_trust_the_public_authorities_and_the_labs(tmp_path: Path) -> None:
    public = tmp_path / "public.crt"
    certificates.trust(tmp_path / "trusted.crt", tmp_path / "ours", public)
    ours = (tmp_path / "ours" / "ca.crt").read_bytes()
    assert (tmp_path / "trusted.crt").read_bytes() == ours
    public.write_bytes((certificates.authority(tmp_path / "public")[0]).read_bytes())
    certificates.trust(tmp_path / "trusted.crt", tmp_path / "ours", public)
    trusted = x509.load_pem_x509_certificates((tmp_path / "trusted.crt").read_bytes())
    assert trusted == [x509.load_pem_x509_certificate(pem) for pem in (public.read_bytes(), ours)]
    assert (tmp_path / "trusted.crt").stat().st_mode & 0o777 == 0o644
