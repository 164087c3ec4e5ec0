# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback: makes drift.yml a run in check mode, gathers what tasks would change, and reports it at the end.

It lies beside the playbook, where Ansible finds it by itself: no configuration turns it on, and none can forget to. For
every other playbook of the folder it does nothing. See docs/drift.md for why it is done this way.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible import context
from ansible.module_utils.common.collections import ImmutableDict
from ansible.playbook.handler import Handler
from ansible.plugins.callback import CallbackBase
from ansible.utils.vars import load_options_vars
from ansible_collections.bulwark.hetzner.plugins.plugin_utils.drift import (
    Report,
    Unseen,
    as_json,
    differences,
    markdown,
    text,
)

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook import Playbook
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

PLAYBOOK = Path(__file__).resolve().parent.parent / "drift.yml"
#: Exit codes. Ansible's own are 1 for what went wrong altogether, 2 for hosts that failed and 4 for unreachable ones.
WRONG, FOUND = 1, 3
FORMATS = {".json": as_json, ".md": markdown}


class CallbackModule(CallbackBase):  # type: ignore[misc]  # because Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "drift"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self.restore: tuple[Mapping[str, Any], dict[str, Any]] | None = (
            None  # options of the run, while they are others
        )
        self._begin([])

    def _begin(self, plays: list[str]) -> None:
        self.report = Report()
        self.plays = plays  # that have not begun
        self.play = self.path = ""
        self.failures: dict[str, Unseen] = {}  # by host, the last one
        self.refused: set[str] = set()  # hosts whose failure is a plan that was refused, which tells what differs
        self.troubled = False  # whether a result could not be understood

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        options = load_options_vars(None)
        if self.restore:  # several playbooks in one run: what follows drift.yml is not its business
            context.CLIARGS = self.restore[0]
            options.clear()
            options.update(self.restore[1])
            self.restore = None
        if Path(playbook._file_name).resolve() != PLAYBOOK:
            return
        # Where --check and --diff put it: all plays, roles, tasks and handlers are under it.
        self.restore = (context.CLIARGS, dict(options))
        context.CLIARGS = ImmutableDict({**context.CLIARGS, "check": True, "diff": True})
        options.update(ansible_check_mode=True, ansible_diff_mode=True)
        plays = playbook.get_plays()
        plays[0].vars["drift_gathered"] = True
        self._begin([play.get_name() for play in plays])

    def v2_playbook_on_play_start(self, play: Play) -> None:
        if self.restore:
            self.play = play.get_name()
            if self.play in self.plays:
                self.plays.remove(self.play)
            self.path = str(play.get_variable_manager().extra_vars.get("drift_report_path") or "")

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        if not self.restore:
            return
        self.report.undeclared += result.result.get("undeclared", [])
        # A handler only follows from what is told already.
        if result.is_changed() and not isinstance(result.task, Handler):
            self._add(result)

    def v2_runner_on_failed(
        self,
        result: CallbackTaskResult,
        ignore_errors: bool = False,  # because Ansible's API names it so; nothing is swallowed here
    ) -> None:
        if ignore_errors or not self.restore:
            return
        host = result.host.get_name()
        self._failed(result, f"{result.task.name}: {_message(result.result)}")
        self.refused.discard(host)
        if result.result.get("plan"):
            self._add(result)
            self.refused.add(host)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        if self.restore:
            self._failed(result, f"unreachable: {_message(result.result)}")

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        if not self.restore:
            return
        # A failure that a rescue took care of is none.
        lost = {host for counts in (stats.failures, stats.dark) for host, count in counts.items() if count}
        self.report.unseen += [
            self.failures.get(host, Unseen(host, "", "it failed")) for host in sorted(lost - self.refused)
        ]
        if lost and self.plays:
            self.report.unseen.append(Unseen("", ", ".join(self.plays), "the run ended before"))
        self._display.banner("DRIFT")
        for line in text(self.report):
            self._display.display(line)
        self._write()
        if lost - self.refused:
            return  # Ansible's own exit code tells
        if self.troubled:
            sys.exit(WRONG)
        if self.report.differences:
            sys.exit(FOUND)

    def _add(self, result: CallbackTaskResult) -> None:
        host, part = result.host.get_name(), self._part(result.task)
        found = result.result
        try:
            price = found.get("monthly_price") or {}
            self.report.currency = price.get("currency") or self.report.currency
            self.report.differences += differences(host, part, result.task.name or part, found)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Ansible would go on with a warning, and the report without it.
            self.troubled = True
            self.report.unseen.append(Unseen(host, part, f"{result.task.name}: not understood: {error!r}"))

    def _failed(self, result: CallbackTaskResult, why: str) -> None:
        host = result.host.get_name()
        self.failures[host] = Unseen(host, self._part(result.task), why)

    def _part(self, task: Task) -> str:
        return str(task._role.get_name()).rpartition(".")[2] if task._role else self.play

    def _write(self) -> None:
        path = Path(self.path)
        write = FORMATS.get(path.suffix)
        if not self.path or not write:
            return  # the playbook has refused another format
        try:
            _write(path, write(self.report))
        except OSError as error:
            self._display.error(f"The report could not be written to {path}: {error.strerror}.")
            sys.exit(WRONG)


def _message(result: Mapping[str, Any]) -> str:
    return " ".join(str(result.get("msg") or result.get("stderr") or "it failed without a message").split())


def _write(path: Path, content: str) -> None:
    """Readable to its owner alone, since differences tell how servers are set up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as made:
        made.write(content)
    os.replace(made.name, path)
