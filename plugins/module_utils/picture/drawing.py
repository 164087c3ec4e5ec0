# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An architecture as SVG: columns from the outside to what lies deepest, boxes as high as their text. Pure functions.

All text comes from topologies, so it is escaped wherever it stands. The picture loads nothing and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape  # only writes

from ..flows.table import LOAD_BALANCER
from .architecture import EDGE, Architecture, Arrow, System, description

_LINE = 18  # from one line of text to the next
_LETTER = 7.0  # an average one's width, for 13 pixels
_PADDING = 12
_BETWEEN_BOXES = 36
_BETWEEN_COLUMNS = 130
_MARGIN = 24
_LEAST_WIDTH = 150
_LANE = 10  # between arrows that pass the same way,
_LANES = 3  # of which so many have room side by side
_DEEPEST = frozenset({"db", "monitoring"})


@dataclass(frozen=True)
class _Box:
    system: System
    lines: tuple[tuple[str, str], ...]  # CSS class and text
    x: float
    y: float
    width: float
    height: float
    column: int


@dataclass(frozen=True)
class _End:
    """One end of an arrow: at a side of a box (-1 left, 1 right)."""

    x: float
    y: float
    side: int


def svg(picture: Architecture) -> str:
    """The whole picture, with all flows as a list below."""
    boxes = _place(picture)
    framed = [box for box in boxes.values() if box.system.servers]
    below = max(box.y + box.height for box in boxes.values()) + _BETWEEN_BOXES
    flows = [description(flow) for flow in picture.flows]
    texts = [*flows, picture.network]
    width = max(
        max(box.x + box.width for box in boxes.values()) + _beside(picture) + _MARGIN,
        max(len(text) for text in texts) * _LETTER + 2 * _MARGIN,
    )
    height = below + _MARGIN + (len(flows) + 2) * _LINE
    title = f"Architecture of {picture.environment}"
    return _PAGE.format(
        width=_number(width),
        height=_number(height),
        title=escape(title),
        words=escape("; ".join(flows)),
        style=_STYLE,
        frame=_frame(picture, framed, below),
        arrows="\n".join(_arrows(picture, boxes)),
        boxes="\n".join(_box(box) for box in boxes.values()),
        flows="\n".join(_text(_MARGIN, below + _MARGIN + number * _LINE, *line) for number, line in _listed(flows)),
    )


def _listed(flows: list[str]) -> Iterator[tuple[int, tuple[str, str]]]:
    yield from enumerate(
        [("strong", "All flows; every other new connection is refused"), *(("", line) for line in flows)]
    )


def _beside(picture: Architecture) -> float:
    """Room on the right of the last column, for arrows within it."""
    return max(_BETWEEN_COLUMNS / 2, _label_width(picture))


def _column(system: System) -> int:
    if not system.servers:
        return 1 if system.key == EDGE else 0
    if system.key == LOAD_BALANCER or system.public:
        return 2
    return 4 if _DEEPEST.intersection(system.roles) else 3


def _label(arrow: Arrow) -> str:
    return ", ".join(arrow.labels)


def _label_width(picture: Architecture) -> float:
    """Of the longest, with what keeps it from the boxes."""
    return max((len(_label(arrow)) for arrow in picture.arrows), default=0) * _LETTER + 2 * _PADDING


def _place(picture: Architecture) -> dict[str, _Box]:
    """Boxes from top to bottom in their columns; columns that would be empty take no room."""
    columns: dict[int, list[System]] = {}
    for system in picture.systems:
        columns.setdefault(_column(system), []).append(system)
    boxes: dict[str, _Box] = {}
    x = float(_MARGIN)
    for number, column in enumerate(sorted(columns)):
        members = [(system, _lines(system)) for system in columns[column]]
        width = max(_LEAST_WIDTH, *(len(text) * _LETTER + 2 * _PADDING for _, lines in members for _, text in lines))
        y = _MARGIN + 2.0 * _LINE
        for system, lines in members:
            height = len(lines) * _LINE + 2 * _PADDING - 4
            boxes[system.key] = _Box(system, lines, x, y, width, height, number)
            y += height + _BETWEEN_BOXES
        x += width + max(_BETWEEN_COLUMNS, _label_width(picture))
    return {system.key: boxes[system.key] for system in picture.systems}


def _lines(system: System) -> tuple[tuple[str, str], ...]:
    named = [("", f"{name}  {address}") for name, address in system.servers]
    return (("strong", system.title), *named, *(("quiet", note) for note in system.notes))


def _box(box: _Box) -> str:
    kind = "box outside" if not box.system.servers else "box public" if box.system.public else "box"
    texts = [
        _text(box.x + _PADDING, box.y + _PADDING + 11 + number * _LINE, css, text)
        for number, (css, text) in enumerate(box.lines)
    ]
    shape = (
        f'<rect class="{kind}" x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="6"/>'
    )
    return "\n".join([shape, *texts])


def _frame(picture: Architecture, boxes: list[_Box], below: float) -> str:
    left = min(box.x for box in boxes) - _MARGIN / 2
    right = max(box.x + box.width for box in boxes) + _beside(picture) + _MARGIN / 2
    shape = (
        f'<rect class="frame" x="{_number(left)}" y="{_number(_MARGIN / 2)}" width="{_number(right - left)}" '
        f'height="{_number(below - _MARGIN)}" rx="8"/>'
    )
    return f"{shape}\n{_text(left + _PADDING, _MARGIN + 12, 'quiet', picture.network)}"


def _arrows(picture: Architecture, boxes: dict[str, _Box]) -> Iterator[str]:
    """Each side of a box shares its height among the arrows there, in the order of where they lead."""
    sides: dict[tuple[str, int], list[tuple[float, int, str]]] = {}
    for number, arrow in enumerate(picture.arrows):
        source, target = boxes[arrow.source], boxes[arrow.target]
        out, into = _sides(source, target)
        sides.setdefault((arrow.source, out), []).append((target.y, number, "source"))
        sides.setdefault((arrow.target, into), []).append((source.y, number, "target"))
    ends: dict[tuple[int, str], _End] = {}
    for (key, side), found in sides.items():
        box = boxes[key]
        for place, (_, number, which) in enumerate(sorted(found)):
            y = box.y + box.height * (place + 1) / (len(found) + 1)
            ends[number, which] = _End(box.x + (box.width if side > 0 else 0), y, side)
    lanes: dict[tuple[int, int], int] = {}
    for number, arrow in enumerate(picture.arrows):
        start, end = ends[number, "source"], ends[number, "target"]
        source, target = boxes[arrow.source], boxes[arrow.target]
        between = [box for box in boxes.values() if _is_between(box.column, source.column, target.column)]
        yield _arrow(arrow, start, end, _way_past(between, start, end, lanes) if between else None)


def _is_between(column: int, one: int, other: int) -> bool:
    return min(one, other) < column < max(one, other)


def _way_past(between: list[_Box], start: _End, end: _End, lanes: dict[tuple[int, int], int]) -> tuple[float, ...]:
    """Along the free height nearest to where the arrow would go: its first and last x, and its y."""
    taken = sorted((box.y, box.y + box.height) for box in between)
    free = [taken[0][0] - _BETWEEN_BOXES / 3]
    covered = taken[0][1]
    for top, bottom in taken[1:]:
        if top - covered >= _BETWEEN_BOXES / 2:
            free.append((covered + top) / 2 - _LANE)
        covered = max(covered, bottom)
    free.append(covered + _BETWEEN_BOXES / 3)
    y = min(free, key=lambda height: abs(height - (start.y + end.y) / 2))
    # Others that come the same way keep their distance, upwards where that leads away from the boxes.
    place = (between[0].column, round(y))
    step = -_LANE if y == free[0] else _LANE
    y += step * (lanes.setdefault(place, 0) % _LANES)
    lanes[place] += 1
    left, right = min(box.x for box in between), max(box.x + box.width for box in between)
    return (left, right, y) if start.x < end.x else (right, left, y)


def _sides(source: _Box, target: _Box) -> tuple[int, int]:
    """By which sides an arrow leaves and arrives; within a column it goes around on the right."""
    if source.column < target.column:
        return 1, -1
    if source.column > target.column:
        return -1, 1
    return 1, 1


def _arrow(arrow: Arrow, start: _End, end: _End, past: tuple[float, ...] | None) -> str:
    tip = end.x + end.side * 4
    if past is None:
        path = f"M{_point(start.x, start.y)}{_curve(start.x, start.y, start.side, tip, end.y, end.side)}"
    else:
        first, last, y = past
        path = (
            f"M{_point(start.x, start.y)}{_curve(start.x, start.y, start.side, first, y, -start.side)}H{_number(last)}"
            f"{_curve(last, y, start.side, tip, end.y, end.side)}"
        )
    label = _label(arrow)
    title = escape(f"{arrow.source} to {arrow.target}: {label}")
    # At its end, in the gap before the box, where nothing covers it.
    anchor = "end" if end.side < 0 else "start"
    return (
        f'<path class="arrow" marker-end="url(#head)" d="{path}"><title>{title}</title></path>\n'
        f'<text class="label" text-anchor="{anchor}" x="{_number(end.x + end.side * 14)}" y="{_number(end.y - 5)}">'
        f"{escape(label)}</text>"
    )


def _curve(x1: float, y1: float, side1: int, x2: float, y2: float, side2: int) -> str:
    bend = _BETWEEN_COLUMNS * 0.45
    points = ((x1 + side1 * bend, y1), (x2 + side2 * bend, y2), (x2, y2))
    return "C" + " ".join(_point(*point) for point in points)


def _point(x: float, y: float) -> str:
    return f"{_number(x)} {_number(y)}"


def _text(x: float, y: float, css: str, text: str) -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{_number(x)}" y="{_number(y)}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1c2024; } .strong { font-weight: 600; } .quiet { fill: #5b646c; }
.page { fill: #ffffff; } .frame { fill: #f5f6f7; stroke: #c9ced3; } .box { fill: #ffffff; stroke: #5b646c; }
.public { stroke: #0b57a4; stroke-width: 2; } .outside { fill: #dfe2e5; stroke: none; }
.arrow { fill: none; stroke: #0b57a4; stroke-width: 1.4; } .head { fill: #0b57a4; }
.label { font-size: 12px; fill: #0b57a4; paint-order: stroke; stroke: #f5f6f7; stroke-width: 4px; }
@media (prefers-color-scheme: dark) {
text { fill: #e8eaec; } .quiet { fill: #a4acb3; } .page { fill: #16191c; } .frame { fill: #1e2226; stroke: #3d454c; }
.box { fill: #16191c; stroke: #a4acb3; } .public { stroke: #7db8f0; } .outside { fill: #343a40; }
.arrow { stroke: #7db8f0; } .head { fill: #7db8f0; } .label { fill: #7db8f0; stroke: #1e2226; } }
"""

_PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="title words">
<title id="title">{title}</title>
<desc id="words">{words}</desc>
<style>{style}</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>
<rect class="page" width="{width}" height="{height}"/>
{frame}
{arrows}
{boxes}
{flows}
</svg>
"""
