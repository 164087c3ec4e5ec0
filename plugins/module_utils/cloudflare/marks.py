# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of an environment on what cannot carry labels."""

from __future__ import annotations

import re

from .client import CloudflareError


def check_environment(name: str) -> str:
    """Raises :class:`CloudflareError` for an environment whose name cannot be part of the mark."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,63}", name):
        raise CloudflareError(
            f"environment_name: {name!r} cannot mark what is its: use at most 63 letters, digits, '.', '_' and '-'."
        )
    return name


def mark(environment: str) -> str:
    """What the comment or description of everything of an environment begins with."""
    return f"bulwark:{environment}"
