# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback: what people see of a run at a terminal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: phases
type: stdout
short_description: Phases, hosts and remaining time at a terminal, the default output elsewhere
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - At a terminal, a line for each play that is over, and below it a line that tells what is going on, on which hosts,
    for how long, and about how long it will take. Errors, warnings, differences (C(--diff)) and messages are in full.
  - Where the output is no terminal, and with C(-v), it is what the callback C(ansible.builtin.default) gives.
  - The remaining time is an estimate from how long the same phases took in the last run that ended well.
requirements:
  - set as stdout in configuration
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  durations_path:
    description:
      - File in which durations of phases are kept for the estimate. Nothing but the estimate depends on it.
    type: path
    default: ~/.cache/bulwark/durations.json
    env:
      - name: BULWARK_DURATIONS
    ini:
      - section: callback_phases
        key: durations_path
"""

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ansible import constants as C  # noqa: N812 because everybody calls it that
from ansible import context
from ansible.plugins.callback.default import CallbackModule as Default

from ..plugin_utils.phases import Phase, Progress, Signs, fit, keep_durations, read_durations, recap

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.inventory.host import Host
    from ansible.playbook import Playbook
    from ansible.playbook.included_file import IncludedFile
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

#: Seconds between two looks at the clock.
TICK = 1.0
DEBUG = ("debug", "ansible.builtin.debug", "ansible.legacy.debug")
#: They read from the terminal.
ASKING = ("pause", "ansible.builtin.pause", "ansible.legacy.pause")
COLOURS = {"good": C.COLOR_OK, "changed": C.COLOR_CHANGED, "bad": C.COLOR_ERROR}


class Line:
    """A last line that is drawn again and again, and is gone whenever something else is printed.

    It is written to the terminal and nowhere else: neither to Ansible's log nor through its streams.
    """

    def __init__(self, text: Callable[[int], str]) -> None:
        self.text = text  # what it says in so many columns
        self.lock = threading.RLock()
        self.process = os.getpid()
        self.shown = 0  # columns that are drawn
        self.quiet = True
        self.over = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self.over.wait(TICK):
            self.draw()

    def draw(self) -> None:
        with self.lock:
            if self.quiet or self.over.is_set():
                return
            # The last column stays free: some terminals go on to the next line after it.
            said = self.text(columns() - 1)
            self._write(self._back() + said)
            self.shown = len(said)

    def clear(self) -> None:
        with self.lock:
            if self.shown:
                self._write(self._back())
                self.shown = 0

    def end(self) -> None:
        """Nothing is drawn any more."""
        if os.getpid() == self.process:
            self.over.set()
            self.clear()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """For something else to be printed. Processes that Ansible forks print nothing themselves."""
        if os.getpid() != self.process:
            yield
            return
        with self.lock:
            self.clear()
            yield

    def _back(self) -> str:
        if not self.shown:
            return ""
        # Where the terminal has become narrower, it stands in several lines now.
        up = (self.shown - 1) // columns()
        return (f"\x1b[{up}A" if up else "") + "\r\x1b[J"

    def _write(self, said: str) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            os.write(sys.stdout.fileno(), said.encode(sys.stdout.encoding or "ascii", errors="replace"))


def columns() -> int:
    try:
        return max(20, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return 80


def at_terminal() -> bool:
    try:
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except ValueError:
        return False


class CallbackModule(Default):  # type: ignore[misc]  # because Ansible has no types
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "bulwark.hetzner.phases"

    def __init__(self) -> None:
        super().__init__()
        self.live = at_terminal() and self._display.verbosity == 0
        self.signs = Signs.of(sys.stdout.encoding)
        self.progress = Progress([], {}, self.signs, time.monotonic())
        self.line: Line | None = None
        self.said: dict[str, list[str]] = {}  # messages of the task, and the hosts they come from
        self.playbooks = 0  # that have begun
        self.key = ""

    # --- the run ------------------------------------------------------------------------------------------------------

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        super().v2_playbook_on_start(playbook)
        if not self.live:
            return
        if not self.line:
            self.line = Line(lambda width: self.progress.status(time.monotonic(), width))
            self._give_way(self.line)
            atexit.register(self.line.end)
        self.playbooks += 1
        self.key = self._key(playbook._file_name)
        coming = [
            read_durations(self._durations(), self._key(path)) for path in context.CLIARGS["args"][self.playbooks :]
        ]
        self.progress = Progress(
            [play.get_name().strip() for play in playbook.get_plays()],
            read_durations(self._durations(), self.key),
            self.signs,
            time.monotonic(),
            sum(sum(phases.values()) for phases in coming) if all(coming) else None,
        )
        told = Path(playbook._file_name).name
        if context.CLIARGS.get("check"):
            told += " (check mode: nothing is changed)"
        self._display.display("")
        self._display.display(told, color=C.COLOR_HIGHLIGHT)

    def v2_playbook_on_play_start(self, play: Play) -> None:
        if not self.live:
            super().v2_playbook_on_play_start(play)
            return
        self._play = play  # the default output's own
        self._tell()
        self._over(self.progress.play(play.get_name().strip(), time.monotonic()))
        self._look()

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        if not self.live:
            super().v2_playbook_on_stats(stats)
            return
        self._tell()
        self._over(self.progress.end(time.monotonic()))
        counts = {host: stats.summarize(host) for host in stats.processed}
        well = not any(count["failures"] or count["unreachable"] for count in counts.values())
        if well:
            keep_durations(self._durations(), self.key, self.progress.durations)
        # Ansible counts on from one playbook to the next, and stops at one that does not end well.
        if not well or self.playbooks == len(context.CLIARGS["args"]):
            self._display.display("")
            for kind, said in recap(counts, bool(context.CLIARGS.get("check"))):
                self._display.display(fit(said, columns() - 1, self.signs.more), color=COLOURS[kind])
            self._display.display("")
        self._hush()

    def v2_playbook_on_vars_prompt(self, *args: object, **kwargs: object) -> None:
        self._hush()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        if not self.live:
            super().v2_playbook_on_no_hosts_matched()

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        if not self.live:
            super().v2_playbook_on_no_hosts_remaining()
        else:
            self._display.display("No host is left to go on with.", color=C.COLOR_ERROR)

    def v2_playbook_on_include(self, included_file: IncludedFile) -> None:
        if not self.live:
            super().v2_playbook_on_include(included_file)

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _task_start(self, task: Task, prefix: str | None = None) -> None:
        if not self.live:
            super()._task_start(task, prefix)
            return
        # As the default output does, which prints this above what it is told to print.
        if prefix is not None:
            self._task_type_cache[task._uuid] = prefix
        self._last_task_name = task.get_name().strip()
        self._tell()
        # A role by its own name: the collection's says nothing more.
        role, colon, name = self._last_task_name.partition(" : ")
        if name.startswith("Validating arguments against arg spec"):
            name = "its options"
        self.progress.task(f"{role.rpartition('.')[2]}: {name}" if colon else role)
        if task.action in ASKING:
            self._hush()
        else:
            self._look()

    def v2_runner_on_start(self, host: Host, task: Task) -> None:
        if not self.live:
            super().v2_runner_on_start(host, task)
            return
        self.progress.begins(host.get_name())
        self._draw()

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_on_ok(result)
            return
        self._handle_warnings_and_exception(result)
        self._message(result)
        self.progress.ends(result.host.get_name(), changed=result.is_changed())
        self._draw()

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_on_skipped(result)
            return
        self._handle_warnings_and_exception(result)
        self.progress.ends(result.host.get_name())
        self._draw()

    def v2_runner_on_failed(
        self,
        result: CallbackTaskResult,
        ignore_errors: bool = False,  # because Ansible's API names it so; nothing is swallowed here
    ) -> None:
        super().v2_runner_on_failed(result, ignore_errors)
        if self.live:
            self.progress.ends(result.host.get_name(), lost=not ignore_errors)
            self._draw()

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        super().v2_runner_on_unreachable(result)
        if self.live:
            self.progress.ends(result.host.get_name(), lost=not result.task.ignore_unreachable)
            self._draw()

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_item_on_ok(result)
            return
        self._handle_warnings_and_exception(result)
        self._message(result)

    def v2_runner_item_on_skipped(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_item_on_skipped(result)

    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_retry(result)
        elif self.progress.phase:
            self.progress.phase.attempt = f" (attempt {result.result['attempts']} of {result.result['retries']})"
            self._draw()

    def v2_runner_on_async_poll(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_on_async_poll(result)

    def v2_runner_on_async_ok(self, result: CallbackTaskResult) -> None:
        if not self.live:
            super().v2_runner_on_async_ok(result)

    # --- printing -----------------------------------------------------------------------------------------------------

    def _give_way(self, line: Line) -> None:
        """Whatever Ansible prints, warnings of any part of it too, finds the line gone."""
        display = self._display.display

        def printed(*args: object, **kwargs: object) -> None:
            with line.away():
                display(*args, **kwargs)

        self._display.display = printed

    def _message(self, result: CallbackTaskResult) -> None:
        """What `debug` says is kept until the task is over, so that several hosts say the same once."""
        found = result.result
        if result.task.action not in DEBUG or "censored" in found or "results" in found or found.get("skipped"):
            return
        message = found.get("msg")
        if isinstance(message, list) and all(isinstance(line, str) for line in message):
            message = "\n".join(message)
        if not isinstance(message, str):
            self._clean_results(found, result.task.action)
            message = self._dump_results(found)
        self.said.setdefault(message, []).append(result.host.get_name())

    def _tell(self) -> None:
        for message, hosts in self.said.items():
            lines = message.strip().splitlines() or [""]
            who = "" if hosts == ["localhost"] else f"{', '.join(sorted(hosts))}: "
            if len(lines) > 1 and who:
                lines.insert(0, "")
            self._display.display("\n".join(f"    {line}".rstrip() for line in [f"{who}{lines[0]}", *lines[1:]]))
        self.said.clear()

    def _over(self, phase: Phase | None) -> None:
        if phase:
            said = self.progress.ended(phase, columns() - 1, bool(context.CLIARGS.get("check")))
            kind = "bad" if phase.lost else "changed" if phase.changed else "good"
            self._display.display(said, color=COLOURS[kind])

    def _draw(self) -> None:
        if self.line:
            self.line.draw()

    def _look(self) -> None:
        if self.line:
            self.line.quiet = False
            self.line.draw()

    def _hush(self) -> None:
        if self.line:
            self.line.quiet = True
            self.line.clear()

    def _key(self, playbook: str) -> str:
        """By what durations are kept: another choice of tasks or hosts takes another time."""
        chosen = [context.CLIARGS.get(name) for name in ("tags", "skip_tags", "subset", "check")]
        return f"{os.path.abspath(playbook)} {chosen}"

    def _durations(self) -> Path:
        return Path(self.get_option("durations_path"))
