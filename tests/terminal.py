"""A program of ours at a terminal, seen from the outside."""

from __future__ import annotations

import os
from pathlib import Path


def awaits_typing(process: int) -> bool:
    """Whether it asks for the next key. Before that, Ansible throws away what was typed while the question came up."""
    try:
        flags = Path(f"/proc/{process}/fdinfo/0").read_text().splitlines()[1]
    except (FileNotFoundError, IndexError):  # it ends, or has ended
        return False
    return bool(int(flags.removeprefix("flags:"), 8) & os.O_NONBLOCK)
