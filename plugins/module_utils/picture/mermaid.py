# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An architecture as text for Mermaid, which renders in Markdown: https://mermaid.js.org/syntax/flowchart.html."""

from __future__ import annotations

from .architecture import EDGE, Architecture, System

_INDENT = "    "


def mermaid(picture: Architecture) -> str:
    """A flowchart. Servers of the private network stand in a frame of their own."""
    lines = ["flowchart LR"]
    inside = [system for system in picture.systems if system.servers]
    lines += [f"{_INDENT}{_box(system)}" for system in picture.systems if not system.servers]
    lines.append(f'{_INDENT}subgraph network["{_escape(picture.network)}"]')
    lines += [f"{_INDENT * 2}{_box(system)}" for system in inside]
    lines.append(f"{_INDENT}end")
    lines += [
        f'{_INDENT}{arrow.source} -- "{_escape(", ".join(arrow.labels))}" --> {arrow.target}'
        for arrow in picture.arrows
    ]
    return "\n".join(lines) + "\n"


def _box(system: System) -> str:
    first, last = ("[(", ")]") if system.roles == ("db",) else ("([", "])") if not system.servers else ("[", "]")
    if system.key == EDGE:
        first, last = "{{", "}}"
    named = [f"{name} {address}" for name, address in system.servers]
    text = "<br>".join(_escape(line) for line in [system.title, *named, *system.notes])
    return f'{system.key}{first}"{text}"{last}'


def _escape(text: str) -> str:
    """Entities are Mermaid's own, a number sign for the ampersand."""
    found = "".join(f"#{ord(letter)};" if letter in '"#&<>`\\' else letter for letter in text)
    return found.replace("\n", " ")
