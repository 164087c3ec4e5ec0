# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the modules for PostgreSQL run programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .container import Runner

#: AnsibleModule, of which the checker knows no type.
Module = Any


def runner(module: Module, seconds: int = 0) -> Runner:
    """Programs by list, in English, with the module's own means. What is fed to a program is not logged.

    With ``seconds``, a program that takes longer is killed and has failed: a server in trouble may answer nothing.
    """
    limit = ["timeout", "--signal", "KILL", str(seconds)] if seconds else []

    def run(words: Sequence[str], feed: str = "") -> tuple[int, str, str]:
        try:
            code, out, error = module.run_command(
                [*limit, *words],
                data=feed or None,
                environ_update={"LC_ALL": "C", "LANG": "C"},
                handle_exceptions=False,
            )
        except BrokenPipeError:
            # A container that is starting or stopping ends `docker exec` so; the caller knows whether to ask again.
            return 1, "", f"{words[0]} ended before it had read what it was to do"
        return int(code), str(out), str(error)

    return run
