"""Take collections out of the `ansible` wheel without asking a Galaxy server: those in requirements.yml or those given.

Usage: python unpack_collections.py FOLDER_WITH_THE_WHEEL SITE_PACKAGES [COLLECTION…]
"""

import sys
import zipfile
from pathlib import Path

import yaml


def required() -> list[str]:
    listed = yaml.safe_load((Path(__file__).parent.parent / "requirements.yml").read_text())["collections"]
    return [entry["name"] for entry in listed]


def main(wheels: Path, target: Path, wanted: list[str]) -> None:
    folders = tuple(f"ansible_collections/{name.replace('.', '/')}/" for name in wanted)
    (wheel,) = wheels.glob("ansible-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(folders) and "/tests/" not in name]
        missing = [folder for folder in folders if not any(name.startswith(folder) for name in members)]
        if missing:
            sys.exit(f"{wheel.name} has no {', '.join(missing)}")
        archive.extractall(target, members)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or required())
