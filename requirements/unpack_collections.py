"""Take the collections named in requirements.yml out of the `ansible` wheel, without asking a Galaxy server.

Usage: python unpack_collections.py FOLDER_WITH_THE_WHEEL SITE_PACKAGES
"""

import sys
import zipfile
from pathlib import Path

import yaml


def main(wheels: Path, target: Path) -> None:
    wanted = yaml.safe_load((Path(__file__).parent.parent / "requirements.yml").read_text())["collections"]
    folders = tuple(f"ansible_collections/{entry['name'].replace('.', '/')}/" for entry in wanted)
    (wheel,) = wheels.glob("ansible-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(folders) and "/tests/" not in name]
        missing = [folder for folder in folders if not any(name.startswith(folder) for name in members)]
        if missing:
            sys.exit(f"{wheel.name} has no {', '.join(missing)}")
        archive.extractall(target, members)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
