"""The one pair of keys of a lab's object storage, in a file."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from pathlib import Path

from lab.object_storage.signature import Credentials


def make(path: Path) -> None:
    """Have the file; one that is there is kept. It appears complete, and only its owner may read it."""
    if path.exists():
        return
    made = Credentials(f"LAB{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30))
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(made)) + "\n")
    unfinished.rename(path)


def read(path: Path) -> Credentials:
    return Credentials(**json.loads(path.read_text()))
