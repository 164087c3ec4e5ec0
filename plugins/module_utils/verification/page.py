# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be reached from where, as one picture: from rows to columns. Pure functions.

All text comes from topologies and servers' names, so it is escaped wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from html import escape
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.outside import PORTS
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.reachability import Finding, finding_text
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import parse_ports

ADMIN, INTERNET = "admin", "internet"


class State(Enum):
    """What is to be said of a pair: its CSS class, sign and words. The gravest come first."""

    OPEN = ("open", "\N{HEAVY BALLOT X}", "open and should be closed")
    CLOSED = ("closed", "!", "closed and should be open")
    UNKNOWN = ("unknown", "?", "not examined, or the scan was invalid")
    FLOWS = ("flows", "\N{CHECK MARK}", "exactly the declared flows are open")
    NOTHING = ("nothing", "\N{MIDDLE DOT}", "closed, as it should be")

    def __init__(self, css: str, sign: str, words: str) -> None:
        self.css = css
        self.sign = sign
        self.words = words


@dataclass(frozen=True)
class Cell:
    """One pair: what should be, and what was found. ``opened`` and ``closed`` are numbers of ports."""

    source: str
    to: str
    address: str
    flows: Sequence[Mapping[str, Any]]
    state: State
    notes: Sequence[str]
    tried: int = 0
    opened: int = 0
    closed: int = 0

    @property
    def examined(self) -> bool:
        return self.state is not State.UNKNOWN


def build_cells(
    pairs: Iterable[Mapping[str, Any]],
    inside: Mapping[str, Mapping[str, Any]],
    outside: Mapping[str, Mapping[str, Any]],
) -> list[Cell]:
    """A cell for each pair that should be known.

    ``inside`` is by host what it found of the others, ``outside`` by host what the controller found of it, which stands
    where the administrator does.
    """
    cells = []
    for pair in pairs:
        if pair["from"] == ADMIN:
            cells.append(_seen_by_admin(pair, outside.get(pair["to"], {})))
        elif pair["from"] == INTERNET:
            cells.append(_unknown(pair, "cannot be examined from here"))
        else:
            cells.append(_seen_by_host(pair, inside.get(pair["from"], {})))
    return cells


def _unknown(pair: Mapping[str, Any], reason: str) -> Cell:
    return Cell(pair["from"], pair["to"], pair["address"], pair["flows"], State.UNKNOWN, [reason])


def _seen_by_host(pair: Mapping[str, Any], result: Mapping[str, Any]) -> Cell:
    wanted = (pair["to"], pair["address"])
    found = next((found for found in result.get("pairs", ()) if (found["to"], found["address"]) == wanted), None)
    if found is None:
        said = [check["detail"] for check in result.get("checks", ()) if not check["ok"]]
        return _unknown(pair, "; ".join(said) or str(result.get("msg") or "took no part"))
    notes = [
        f"{what}: {finding_text(finding)}"
        for what, findings in (
            (State.OPEN.words, found["unexpected"]),
            (State.CLOSED.words, found["closed"]),
            ("no answer to our UDP message, which says little", found["untold"]),
            ("closed, but not silent", found["turned_away"]),
        )
        for finding in findings
    ]
    opened, closed = _ports(found["unexpected"]), _ports(found["closed"])
    state = State.OPEN if opened else State.CLOSED if closed else _as_declared(pair)
    return Cell(pair["from"], pair["to"], pair["address"], pair["flows"], state, notes, found["tried"], opened, closed)


def _seen_by_admin(pair: Mapping[str, Any], result: Mapping[str, Any]) -> Cell:
    check = next((check for check in result.get("checks", ()) if check["check"] == PORTS), None)
    if check is None or "scan invalid" in check["detail"]:
        return _unknown(pair, check["detail"] if check else str(result.get("msg") or "took no part"))
    # Ports that should be open and are not make that scan invalid, so what does not hold is an opening.
    state = _as_declared(pair) if check["ok"] else State.OPEN
    notes = [f"TCP, by connections from the controller: {check['detail']}"]
    opened = 0 if check["ok"] else 1
    return Cell(pair["from"], pair["to"], pair["address"], pair["flows"], state, notes, opened=opened)


def _as_declared(pair: Mapping[str, Any]) -> State:
    return State.FLOWS if pair["flows"] else State.NOTHING


def _ports(findings: Iterable[Finding]) -> int:
    return sum(len(parse_ports(finding["ports"].split(", "))) if finding["ports"] else 1 for finding in findings)


def summary_line(cells: Sequence[Cell]) -> str:
    """What a person wants to know first."""
    examined = [cell for cell in cells if cell.examined]
    line = (
        f"Reachability: {len(examined)} pairs, {sum(cell.tried for cell in cells)} ports tried, "
        f"unexpected openings: {sum(cell.opened for cell in cells)}, "
        f"wrongly closed: {sum(cell.closed for cell in cells)}"
    )
    missing = len(cells) - len(examined)
    return f"{line}, not examined: {missing}" if missing else line


def render(cells: Sequence[Cell], environment: str, time: str) -> str:
    """The page. Nothing in it depends on anything but these."""
    # That nobody looked from the internet is shown in its row. It is always so, and would make every page doubtful.
    judged = [cell for cell in cells if cell.source != INTERNET]
    worst = next((state for state in State if any(cell.state is state for cell in judged)), State.UNKNOWN)
    partly = worst is State.UNKNOWN and any(cell.examined for cell in judged)
    verdict = "Not everything could be examined; the rest is as the flows say" if partly else _VERDICTS[worst]
    return _PAGE.format(
        style=_STYLE,
        environment=escape(environment or "one environment"),
        time=escape(time),
        verdict=escape(verdict),
        css=worst.css,
        sign=worst.sign,
        summary=escape(summary_line(cells)),
        legend="\n".join(_legend(state) for state in State),
        matrix=_matrix(cells),
        remarks=_remarks(cells),
        flows=_flows(cells),
    )


def _legend(state: State) -> str:
    return f'<li><span class="{state.css}">{state.sign}</span> {escape(state.words)}</li>'


def _matrix(cells: Sequence[Cell]) -> str:
    sources = list(dict.fromkeys(cell.source for cell in cells))
    present = {cell.to for cell in cells}
    targets = [*(name for name in sources if name in present), *sorted(present - set(sources))]
    by_pair: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        by_pair.setdefault((cell.source, cell.to), []).append(cell)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in targets)
    rows = [f'<tr><td class="corner">from \\ to</td>{head}</tr>']
    for source in sources:
        columns = "".join(_cell(by_pair.get((source, target), [])) for target in targets)
        rows.append(f'<tr><th scope="row">{escape(source)}</th>{columns}</tr>')
    return "\n".join(rows)


def _cell(cells: Sequence[Cell]) -> str:
    """The cells of a pair, of which there are several where a host has several addresses."""
    if not cells:
        return "<td></td>"
    order = list(State)
    state = min((cell.state for cell in cells), key=order.index)
    ports = ", ".join(dict.fromkeys(port for cell in cells for flow in cell.flows for port in _flow_ports(flow)))
    said = (
        f'<span class="sign" aria-hidden="true">{state.sign}</span><span class="words">{escape(state.words)}: </span>'
    )
    wrong = [note for cell in cells for note in cell.notes] if state in (State.OPEN, State.CLOSED) else []
    more = "".join(f"<small>{escape(note)}</small>" for note in wrong)
    return f'<td class="{state.css}">{said}{escape(ports)}{more}</td>'


def _flow_ports(flow: Mapping[str, Any]) -> list[str]:
    if flow["protocol"] == "icmp":
        return ["echo"]
    if flow["protocol"] == "any":
        return ["everything"]
    suffix = "" if flow["protocol"] == "tcp" else f"/{flow['protocol']}"
    return [f"{port}{suffix}" for port in flow["ports"]]


def _remarks(cells: Sequence[Cell]) -> str:
    order = list(State)
    noted = sorted((cell for cell in cells if cell.notes), key=lambda cell: order.index(cell.state))
    lines = [
        f'<li><span class="{cell.state.css}">{cell.state.sign}</span> '
        f"{escape(cell.source)} to {escape(cell.to)}: {escape('; '.join(cell.notes))}</li>"
        for cell in noted
    ]
    return "\n".join(lines) or "<li>None.</li>"


def _flows(cells: Sequence[Cell]) -> str:
    return "\n".join(
        "<tr>"
        + "".join(
            f"<td>{escape(text)}</td>"
            for text in (
                str(flow["name"]),
                cell.source,
                f"{cell.to} ({cell.address})",
                str(flow["protocol"]),
                ", ".join(_flow_ports(flow)),
            )
        )
        + f'<td class="{cell.state.css}">{cell.state.sign}</td></tr>'
        for cell in cells
        for flow in cell.flows
    )


_VERDICTS = {
    State.OPEN: "There are openings that no flow allows",
    State.CLOSED: "There are flows that are closed",
    State.UNKNOWN: "Nothing could be examined",
    State.FLOWS: "Exactly the declared flows are open",
    State.NOTHING: "Everything is closed, as it should be",
}
_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --page: #ffffff; --line: #c9ced3; --quiet: #5b646c;
  --open: #b3001b; --open-on: #ffffff; --closed: #ffb224; --closed-on: #1c2024; --flows: #d7f0dd; --flows-on: #0b4a1e;
  --unknown: #dfe2e5; --unknown-on: #3d454c; }
@media (prefers-color-scheme: dark) { :root { --text: #e8eaec; --page: #16191c; --line: #3d454c; --quiet: #a4acb3;
  --open: #ff6b6b; --open-on: #16191c; --closed: #ffb224; --closed-on: #16191c; --flows: #123a1f; --flows-on: #a8e6b8;
  --unknown: #343a40; --unknown-on: #ced3d8; } }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 2rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { border: 1px solid var(--line); padding: .4rem .7rem; text-align: left; vertical-align: top; }
.corner, .time { color: var(--quiet); }
.verdict { display: inline-block; padding: .3rem .8rem; border-radius: .3rem; font-weight: 600; }
.sign { font-weight: 700; margin-right: .4rem; }
.words { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
td small { display: block; max-width: 24ch; }
.open { background: var(--open); color: var(--open-on); }
.closed { background: var(--closed); color: var(--closed-on); }
.flows { background: var(--flows); color: var(--flows-on); } .nothing { color: var(--quiet); }
.unknown { background: var(--unknown); color: var(--unknown-on); }
ul { list-style: none; padding: 0; } li { margin: .3rem 0; }
li > span { display: inline-block; min-width: 1.6rem; text-align: center; border-radius: .2rem; font-weight: 700; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reachability of {environment}</title>
<style>{style}</style>
</head>
<body>
<h1>Reachability of {environment}</h1>
<p class="time">Examined {time}</p>
<p class="verdict {css}">{sign} {verdict}</p>
<p>{summary}</p>
<div class="wide">
<table>
<caption>Ports that can be reached, from each row to each column</caption>
{matrix}
</table>
</div>
<ul>
{legend}
</ul>
<h2>Remarks</h2>
<ul>
{remarks}
</ul>
<h2>Declared flows</h2>
<div class="wide">
<table>
<tr><th scope="col">flow</th><th scope="col">from</th><th scope="col">to</th><th scope="col">protocol</th>\
<th scope="col">ports</th><th scope="col">result</th></tr>
{flows}
</table>
</div>
</body>
</html>
"""
