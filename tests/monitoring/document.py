"""What docs/alerts.md promises: the table of alerts, and what fires in the lab for the machine's reasons."""

from __future__ import annotations

import re

from tests.checkout import ROOT

DOCUMENT = ROOT / "docs/alerts.md"
_SECONDS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """A time such as 90s, 2m or 3d in Prometheus' notation, or 2 min in ours; of several in one cell the first."""
    found = re.match(r"(\d+) ?(s|min|m|h|d)\b", text)
    assert found, text
    return int(found[1]) * _SECONDS[found[2]]


def rows() -> dict[str, list[str]]:
    """The table of alerts in the document: severity, cause, fires within, resolves within."""
    found = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert found
    assert all(name == page for name, page, _ in found)
    assert len({name for name, *_ in found}) == len(found)
    return {name: rest.split(" | ") for name, _, rest in found}


def machine_alerts() -> set[str]:
    """Alerts that tell of the machine under the lab, where servers are containers."""
    paragraph = DOCUMENT.read_text().partition("\n## In the lab\n\n")[2].partition("\n\n")[0]
    found = set(re.findall(r"`(\w+)`", paragraph))
    assert found
    assert found < set(rows())
    return found
