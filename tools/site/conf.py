"""Sphinx builds the pages of docs/ and the reference of plugins and roles with this; see build.sh."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import yaml
from pygments.lexers.special import TextLexer

if TYPE_CHECKING:
    from sphinx.application import Sphinx

TOP = Path(__file__).parents[2]
GALAXY = yaml.safe_load((TOP / "galaxy.yml").read_text())

project = f"{GALAXY['namespace']}.{GALAXY['name']}"
author = ", ".join(GALAXY["authors"])
version = release = GALAXY["version"]
root_doc = "README"
exclude_patterns = ["docsite"]
extensions = ["myst_parser", "sphinx_antsibull_ext"]
myst_heading_anchors = 4
html_theme = "sphinx_ansible_theme"
html_title = project
html_theme_options = {
    "topbar_links": {"Repository": GALAXY["repository"]},
    "vcs_pageview_mode": "edit",
    "documentation_home_url": "README.html",
}
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
# The reference names other collections and Ansible itself, whose pages would have to be asked for over the network.
nitpick_ignore_regex = [
    ("std:ref", r"ansible_collections\.(?!bulwark\.).*"),
    ("std:.*", r"(?!ansible_collections\.bulwark\.).*"),
]

_LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.M | re.S)


def _outside(page: PurePosixPath, target: str) -> str | None:
    """Where a link leads that leaves docs/, as a path in the repository; None for one that stays or leads elsewhere."""
    if re.match(r"[a-z]+:", target) or target.startswith("/"):
        return None
    parts: list[str] = []
    for part in ("docs" / page.parent / target).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return None if parts[:1] == ["docs"] and not (TOP / "docs" / "/".join(parts[1:])).is_dir() else "/".join(parts)


def _to_repository(page: PurePosixPath, text: str) -> str:
    """A reader of the site has no checkout: links that leave docs/ lead to the repository."""

    def link(found: re.Match[str]) -> str:
        outside = _outside(page, found[2])
        if outside is None:
            return found[0]
        path = TOP / outside
        if not path.exists():
            raise ValueError(f"docs/{page} links to {outside}, which does not exist")
        kind = "tree" if path.is_dir() else "blob"
        return f"{found[1]}{GALAXY['repository']}/{kind}/main/{outside}{found[3] or ''})"

    # What stands in a block of code is text.
    pieces, start = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(link, text[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*pieces, _LINK.sub(link, text[start:])])


def _contents(page: PurePosixPath, text: str) -> str:
    """An index is a table of contents: its sections with the pages they link to. A page that none names is an error."""
    trees: dict[str, list[str]] = {}
    for section in re.split(r"^## ", text, flags=re.M):
        pages = [found[2] for found in _LINK.finditer(section) if re.fullmatch(r"[\w/-]+\.md", found[2])]
        if pages:
            trees["" if section is text or section.startswith("# ") else section.splitlines()[0]] = pages
    if len(trees) > 1:
        trees.pop("", None)  # an introduction, which names what the sections name again
    if page.parent == PurePosixPath("."):
        trees["Reference"] = ["reference/index"]
    for caption, pages in trees.items():
        options = f":caption: {caption}\n" if caption else ""
        text += "\n\n```{toctree}\n:hidden:\n" + options + "\n" + "\n".join(dict.fromkeys(pages)) + "\n```\n"
    return text


def _read(_app: Sphinx, name: str, source: list[str]) -> None:
    if name.startswith("reference/"):
        return
    page = PurePosixPath(f"{name}.md")
    text = _contents(page, source[0]) if page.name == "README.md" else source[0]
    source[0] = _to_repository(page, text)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _read)
    app.add_lexer("mermaid", TextLexer)
    return {"parallel_read_safe": True}
