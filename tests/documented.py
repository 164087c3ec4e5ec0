"""The commands that the documentation tells people to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.checkout import ROOT

_BLOCK = re.compile(r"^( *)```(sh|shell|bash|console)\n(.*?)^\1```", re.M | re.S)
_ANY_BLOCK = re.compile(r"^( *)(```|~~~).*?^\1\2", re.M | re.S)
_INLINE = re.compile(r"`([^`\n]+)`")
#: Inline code that begins so is a command, and not a name.
_PROGRAMS = ("ansible-playbook ", "./bulwark ", ".venv/bin/", "ansible-doc ")


@dataclass(frozen=True)
class Command:
    """One command as it is typed, without its comment, and where it stands."""

    text: str
    page: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def without_comment(line: str) -> str:
    """A line up to a hash that stands by itself outside of quotes."""
    quote = ""
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#" and line[place - 1 : place] in ("", " "):
            return line[:place].strip()
    return line.strip()


def in_blocks(text: str, page: str) -> list[Command]:
    """Commands in the blocks of a page's text; those that go over several lines are one."""
    found = []
    for block in _BLOCK.finditer(text):
        lines = re.sub(r"\\\n\s*", "", block[3]).splitlines()
        found += [Command(command.removeprefix("$ "), page) for line in lines if (command := without_comment(line))]
    return found


def in_sentences(text: str, page: str) -> list[Command]:
    """Commands within sentences, of which placeholders in capitals are part."""
    return [
        Command(span[1], page)
        for span in _INLINE.finditer(_ANY_BLOCK.sub("", text))
        if span[1].startswith(_PROGRAMS) and "…" not in span[1]
    ]


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def typed() -> list[Command]:
    """Every command in every block."""
    return [command for page in pages() for command in in_blocks(page.read_text(), _named(page))]


def mentioned() -> list[Command]:
    """Every command in a sentence."""
    return [command for page in pages() for command in in_sentences(page.read_text(), _named(page))]
