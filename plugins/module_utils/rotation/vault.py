# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vault's file with some entries changed and everything else as it was, comments included.

Two kinds of files: one that is encrypted as a whole, and one whose values are encrypted one by one (``!vault``), as AWX
needs it. In the latter, no value is decrypted: what moves, moves as it is.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as File

from .secrets import Edit, Path, RotationError

HEADER = "$ANSIBLE_VAULT;"
_TAGGED = "!vault"
_ENTRY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):(?:\s|$)")


@dataclass(frozen=True)
class Tool:
    """Ansible's own program, with the password: ``encrypt`` a text with a label (mostly empty), ``decrypt`` one."""

    encrypt: Callable[[str, str], str]
    decrypt: Callable[[str], str]


@dataclass
class _Part:
    """Lines of one entry, or between entries, where ``path`` is empty. A mapping's own line is a part with its name."""

    path: Path
    lines: list[str] = field(repr=False)


class Vault:
    """A vault's text, opened. Raises RotationError for one that this cannot change."""

    def __init__(self, text: str, tool: Tool, name: str) -> None:
        self._tool, self._name = tool, name
        self._whole = text.startswith(HEADER)
        self._label = _label(text) if self._whole else ""
        if not self._whole and _TAGGED not in text:
            raise RotationError(
                f"{name} is not encrypted, so no secret is written into it: ansible-vault encrypt it first."
            )
        plain = tool.decrypt(text) if self._whole else text
        self._parts = _parts(plain)
        if not self._whole:
            # Or one file would need two passwords.
            tool.decrypt(_ciphertext(plain))
        for part in self._parts:
            if len(part.path) == 1 and re.match(r"[A-Za-z0-9_]+:\s*\{", part.lines[0]):
                raise RotationError(
                    f"{name}: {part.path[0]} holds several values in one line; give each a line of its own first."
                )

    @property
    def present(self) -> dict[Path, str]:
        """Every entry, with its value where that is plain and one word."""
        return {part.path: _word(part.lines) for part in self._parts if part.path}

    def change(self, edits: Sequence[Edit]) -> None:
        for edit in edits:
            if edit.source:
                moved = self._take(edit.source)
                first = moved.lines[0].replace(f"{edit.source[-1]}:", f"{edit.path[-1]}:", 1)
                self._put(edit.path, [first, *moved.lines[1:]])
            elif edit.value is None:
                self._take(edit.path)
            else:
                self._put(edit.path, self._rendered(edit))

    def text(self) -> str:
        """What is to be written, encrypted."""
        plain = "".join(line for part in self._parts for line in part.lines)
        return self._tool.encrypt(plain, self._label) if self._whole else plain

    def _rendered(self, edit: Edit) -> list[str]:
        indent = "  " * (len(edit.path) - 1)  # of two; _put moves it to where the others are
        value, tag = str(edit.value), ""
        if not self._whole and edit.secret:
            value, tag = self._tool.encrypt(value, ""), f"{_TAGGED} "
        if "\n" not in value:
            return [f"{indent}{edit.path[-1]}: {tag}{json.dumps(value)}\n"]
        return [
            f"{indent}{edit.path[-1]}: {tag}|\n",
            *(f"{indent}  {line}\n" for line in value.strip().splitlines()),
        ]

    def _index(self, path: Path) -> int | None:
        return next((number for number, part in enumerate(self._parts) if part.path == path), None)

    def _take(self, path: Path) -> _Part:
        number = self._index(path)
        if number is None:
            raise RotationError(f"{self._name} has no {'.'.join(path)}.")
        return self._parts.pop(number)

    def _put(self, path: Path, lines: list[str]) -> None:
        """In its former place; a new one behind those of its mapping, or at the end."""
        family = [number for number, part in enumerate(self._parts) if part.path[:1] == path[:1]]
        if len(path) > 1:
            if not family:
                raise RotationError(f"{self._name} has no {path[0]}.")
            # The way the others are indented, two at least.
            beside = [self._parts[number].lines[0] for number in family if len(self._parts[number].path) > 1]
            wide = len(beside[0]) - len(beside[0].lstrip()) if beside else 2
            lines = [" " * (wide - 2) + line for line in lines]
        number = self._index(path)
        if number is not None:
            self._parts[number] = _Part(path, lines)
            return
        end = family[-1] + 1 if len(path) > 1 else len(self._parts)
        if end and self._parts[end - 1].lines and not self._parts[end - 1].lines[-1].endswith("\n"):
            self._parts[end - 1].lines[-1] += "\n"
        self._parts.insert(end, _Part(path, lines))


def rewrite(path: File, text: str) -> None:
    """All of it or nothing, with the permissions that the file has; behind a link, what that leads to."""
    real = path.resolve()
    new = real.with_name(f".{real.name}.new")
    new.unlink(missing_ok=True)  # of a run that was killed
    mode = stat.S_IMODE(real.stat().st_mode)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, real)
    finally:
        new.unlink(missing_ok=True)


def _parts(text: str) -> list[_Part]:
    parts: list[_Part] = []
    top = ""
    wide = 0  # indentation of a mapping's keys, 0 for none
    for line in text.splitlines(keepends=True):
        entry = _ENTRY.match(line)
        if entry:
            top, wide = entry[1], 0
            parts.append(_Part((top,), [line]))
            mapping = line.partition(":")[2].split("#")[0].strip() == ""
        elif line[:1] in ("#", "-", "%", ".") or not parts or not top:
            top = ""
            parts.append(_Part((), [line]))
        else:
            inner = _ENTRY.match(line.lstrip(" "))
            depth = len(line) - len(line.lstrip(" "))
            if inner and mapping and depth and wide in (0, depth):
                wide = depth
                parts.append(_Part((top, inner[1]), [line]))
            elif depth <= wide and line.lstrip(" ").startswith("#"):  # deeper, it is of a value
                parts.append(_Part((), [line]))
            else:
                parts[-1].lines.append(line)
    return parts


def _word(lines: Sequence[str]) -> str:
    value = lines[0].partition(":")[2].strip()
    return value.strip("\"'") if re.fullmatch(r"[\"']?[A-Za-z0-9_]+[\"']?", value) else ""


def _label(text: str) -> str:
    """Of the vault's id: https://docs.ansible.com/ansible/latest/vault_guide/vault_encrypting_content.html"""
    fields = text.splitlines()[0].strip().split(";")
    return fields[3] if len(fields) > 3 else ""


def _ciphertext(text: str) -> str:
    """The first value that is encrypted by itself."""
    found = re.search(r"^( *)(\$ANSIBLE_VAULT;.*\n(?:\1[0-9a-f]+\n?)+)", text, re.M)
    if not found:
        raise RotationError("The vault's encrypted values cannot be read: look at the file.")
    return re.sub(r"^ +", "", found[2], flags=re.M)
