"""Small playbooks at a terminal, and the same ones elsewhere."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checkout import ROOT, ansible_environment, tool
from tests.terminal import awaits_typing

CALLBACK = "bulwark.hetzner.phases"
#: What moves the cursor back over the line that is drawn again and again.
BACK = re.compile(r"(\x1b\[\d+A)?\r\x1b\[J")

GOOD = """
- name: First phase
  hosts: all
  gather_facts: false
  tasks:
    - name: Change something
      ansible.builtin.command: "true"
      when: inventory_hostname == 'one'
    - name: Say it
      ansible.builtin.debug:
        msg: the same on every host
- name: Second phase
  hosts: one
  gather_facts: false
  tasks:
    - name: Break
      block:
        - name: Refuse
          ansible.builtin.fail:
            msg: This reason is shown.
      rescue:
        - name: Get over it
          ansible.builtin.debug:
            msg: [over it, in two lines]
- name: Third phase
  hosts: nobody
  gather_facts: false
  tasks:
    - name: Never
      ansible.builtin.ping:
"""
BAD = """
- name: A phase that breaks
  hosts: all
  gather_facts: false
  tasks:
    - name: Refuse one
      ansible.builtin.fail:
        msg: >-
          This reason is shown in full, with all its words, however long the sentence is and however narrow
          the terminal.
      when: inventory_hostname == 'one'
    - name: Reach nobody
      ansible.builtin.ping:
      vars:
        ansible_connection: ssh
        ansible_host: 127.0.0.1
        ansible_port: 9
      when: inventory_hostname == 'two'
"""
LONG = """
- name: A phase that lasts
  hosts: one
  gather_facts: false
  tasks:
    - name: Wait for a signal
      ansible.builtin.command: sleep 600
"""
ASKING = """
- name: Ask before it begins
  hosts: one
  gather_facts: false
  vars_prompt:
    - name: confirm
      prompt: Name of the environment
      private: false
  tasks:
    - name: Ask once more
      ansible.builtin.pause:
        prompt: Is it meant
      register: said
    - name: Tell
      ansible.builtin.debug:
        msg: "{{ confirm }} and {{ said.user_input }}"
"""
SECRET = """
- name: Secrets
  hosts: one
  gather_facts: false
  tasks:
    - name: Keep it
      ansible.builtin.debug:
        msg: the-secret-word
      no_log: true
"""


@dataclass(frozen=True)
class Shown:
    code: int
    raw: str

    @property
    def lines(self) -> list[str]:
        """What stays to be read: whatever was drawn and taken back is gone."""
        text = re.sub(r"\x1b\[[0-9;]*m", "", self.raw).replace("\r\n", "\n")
        return [_kept(line) for line in text.split("\n")]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def _kept(line: str) -> str:
    """The end of a line that was drawn several times."""
    last = list(BACK.finditer(line))
    return line[last[-1].end() :] if last else line


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return ansible_environment(
        ANSIBLE_STDOUT_CALLBACK=CALLBACK,
        ANSIBLE_HOST_PATTERN_MISMATCH="warning",
        ANSIBLE_SSH_RETRIES="0",
        ANSIBLE_TIMEOUT="5",
        BULWARK_DURATIONS=str(tmp_path / "durations.json"),
        TERM="xterm",
        **more,
    )


def words(tmp_path: Path, playbook: str, *more: str) -> list[str]:
    path = tmp_path / "playbook.yml"
    path.write_text(playbook)
    interpreter = f"ansible_python_interpreter={sys.executable}"
    return [tool("ansible-playbook"), "-i", "one,two,three,", "-c", "local", "-e", interpreter, str(path), *more]


def at_terminal(
    command: list[str],
    variables: dict[str, str],
    columns: int = 100,
    when: Callable[[int, int, str], None] | None = None,
) -> Shown:
    """Run it at a terminal; ``when`` gets process, terminal and what was shown, whenever there is more."""
    terminal, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    shown = b""
    end = time.monotonic() + 300  # only ends what hangs
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 5)[0]:
                continue
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break  # nobody has it open any more
            if when:
                when(process.pid, terminal, shown.decode(errors="replace"))
    finally:
        if time.monotonic() >= end:
            process.kill()
        code = process.wait()
        os.close(terminal)
    return Shown(code, shown.decode())


def elsewhere(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_run_that_ends_well(tmp_path: Path) -> None:
    shown = at_terminal(words(tmp_path, GOOD), environment(tmp_path))
    assert shown.code == 0, shown.text
    lines = [" ".join(line.split()) for line in shown.lines]
    assert "playbook.yml" in lines
    assert "one, three, two: the same on every host" in lines
    assert any(line.startswith("✓ [1/3] First phase 3 hosts 1 changed 0:") for line in lines), shown.text
    assert any(line.startswith("✓ [2/3] Second phase one 0:") for line in lines), shown.text
    assert any(line.startswith("· [3/3] Third phase no hosts") for line in lines), shown.text
    assert "msg: This reason is shown." in lines  # that it is rescued is not known yet
    at = lines.index("one:")
    assert lines[at + 1 : at + 3] == ["over it", "in two lines"]
    assert any("Could not match supplied host pattern, ignoring: nobody" in line for line in lines)
    assert [line for line in lines if line][-3:] == ["one 3 ok, 1 changed, 1 rescued", "three 1 ok", "two 1 ok"]
    assert not any(line.startswith("▸") for line in lines), "a line that was drawn again and again has stayed"
    assert "▸ [1/3] First phase  Change something" in shown.raw

    again = at_terminal(words(tmp_path, GOOD), environment(tmp_path))
    assert re.search(r"▸ \[1/3\] First phase .*about 0:\d\d left", again.raw)
    assert "left" not in again.text


def test_several_playbooks_have_one_recap(tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text(SECRET)
    command = words(tmp_path, GOOD, str(tmp_path / "other.yml"))
    shown = at_terminal(command, environment(tmp_path))
    assert shown.code == 0, shown.text
    lines = [" ".join(line.split()) for line in shown.lines if line]
    assert [line for line in lines if line in ("playbook.yml", "other.yml")] == ["playbook.yml", "other.yml"]
    assert lines[-3:] == ["one 4 ok, 1 changed, 1 rescued", "three 1 ok", "two 1 ok"]
    assert "two 1 ok" not in lines[:-1]


@pytest.mark.parametrize("columns", [100, 30])
def test_errors_are_shown_in_full(tmp_path: Path, columns: int) -> None:
    shown = at_terminal(words(tmp_path, BAD), environment(tmp_path), columns)
    assert shown.code == 4, shown.text
    # Ansible breaks long lines itself.
    said = " ".join(shown.text.split())
    assert "fatal: [one]: FAILED!" in said
    assert "with all its words, however long the sentence is and however narrow the terminal." in said
    assert "fatal: [two]: UNREACHABLE!" in said
    assert any(line.startswith("✗ [1/1] ") for line in shown.lines), shown.text
    assert "two 1 unreachable" in said
    assert not (tmp_path / "durations.json").exists(), "the next run would be estimated from one that broke off"


def test_interrupted_by_the_keyboard(tmp_path: Path) -> None:
    sent: list[int] = []

    def interrupt(process: int, terminal: int, said: str) -> None:
        if "waiting for" in said or said.count("Wait for a signal") > 2:
            if not sent:
                os.killpg(process, signal.SIGINT)
            sent.append(process)

    shown = at_terminal(words(tmp_path, LONG), environment(tmp_path), when=interrupt)
    assert sent
    assert shown.code == 99, shown.text
    assert "User interrupted execution" in shown.text
    assert not any(line.startswith("▸") for line in shown.lines), shown.text


def test_questions_are_not_drawn_over(tmp_path: Path) -> None:
    typed: list[str] = []

    def answer(process: int, terminal: int, said: str) -> None:
        if "Name of the environment" in said and "name" not in typed:
            typed.append("name")
            os.write(terminal, b"lab\r")
        if "Is it meant:" in said and "meant" not in typed:
            typed.append("meant")
            while not awaits_typing(process):
                time.sleep(0.05)
            os.write(terminal, b"yes\r")

    shown = at_terminal(words(tmp_path, ASKING), environment(tmp_path), when=answer)
    assert shown.code == 0, shown.text
    assert "lab and yes" in shown.text
    after = shown.raw[shown.raw.index("Is it meant:") :]
    assert "▸" not in after[: after.index("yes")]


def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    variables = environment(tmp_path, PYTHONIOENCODING="ascii")
    shown = at_terminal(words(tmp_path, GOOD), variables)
    assert shown.code == 0, shown.text
    assert shown.raw.isascii()
    assert "ok [1/3] First phase" in shown.text


def test_what_must_not_be_shown_is_not(tmp_path: Path) -> None:
    shown = at_terminal(words(tmp_path, SECRET), environment(tmp_path))
    assert shown.code == 0
    assert "the-secret-word" not in shown.raw


def test_nothing_of_the_line_gets_into_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    at_terminal(words(tmp_path, GOOD), environment(tmp_path, ANSIBLE_LOG_PATH=str(log)))
    assert "[1/3] First phase" in log.read_text()
    assert "▸" not in log.read_text()
    assert "\x1b" not in log.read_text()


@pytest.mark.parametrize("playbook", [GOOD, BAD], ids=["good", "bad"])
def test_without_a_terminal_it_is_the_default_output(tmp_path: Path, playbook: str) -> None:
    command = words(tmp_path, playbook, "--forks", "1")  # else hosts end in any order
    ours = elsewhere(command, environment(tmp_path))
    theirs = elsewhere(command, environment(tmp_path) | {"ANSIBLE_STDOUT_CALLBACK": "default"})
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert "PLAY RECAP" in ours.stdout
    assert not (tmp_path / "durations.json").exists()


@pytest.mark.parametrize(
    ("more", "variables"), [(["-v"], {}), ([], {"TERM": "dumb"})], ids=["verbose", "dumb terminal"]
)
def test_who_wants_the_default_output_gets_it(tmp_path: Path, more: list[str], variables: dict[str, str]) -> None:
    shown = at_terminal(words(tmp_path, GOOD, *more), environment(tmp_path) | variables)
    assert "PLAY RECAP" in shown.text
    assert "TASK [Change something]" in shown.text
    assert "▸" not in shown.raw
