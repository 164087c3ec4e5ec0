"""What the documentation says to type exists, and is run by a test."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT
from tests.documented import Command, in_blocks, in_sentences, mentioned, pages, typed

LIST = ROOT / "tests/commands.yml"
PROVED = yaml.safe_load(LIST.read_text())
PLAYBOOKS = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}


# --- playbooks --------------------------------------------------------------------------------------------------------


def calls_a_playbook(words: list[str]) -> bool:
    return words[0].endswith("ansible-playbook") or words[:2] == ["./bulwark", "run"]


class Loader(yaml.SafeLoader):
    """Takes what Ansible's files hold besides plain YAML."""


Loader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))


def parsed(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader)  # noqa: S506 because it is a safe loader


@cache
def files_of(playbook: Path) -> frozenset[Path]:
    """A playbook, and the playbooks, tasks and roles' specifications that it takes in."""
    text = playbook.read_text()
    found = {playbook}
    for name in re.findall(r"(?:import_playbook|import_tasks|include_tasks): (\S+\.yml)", text):
        if (playbook.parent / name).is_file():
            found |= files_of(playbook.parent / name)
    for role in re.findall(r"bulwark\.hetzner\.(\w+)", text):
        specification = ROOT / "roles" / role / "meta/argument_specs.yml"
        if specification.is_file():
            found.add(specification)
    return frozenset(found)


def variables_of(playbook: Path) -> set[str]:
    """Names that mean something to a playbook: what it, its tasks and group variables speak of, its roles' options."""
    names = set(re.findall(r"[a-z_]\w*", (ROOT / "playbooks/group_vars/all.yml").read_text()))
    for path in files_of(playbook):
        if path.name == "argument_specs.yml":
            for entry in parsed(path)["argument_specs"].values():
                names |= set(entry.get("options") or {})
        else:
            names |= set(re.findall(r"[a-z_]\w*", path.read_text()))
    return names


def tags_of(playbook: Path) -> set[str]:
    def within(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            tags = part.get("tags", [])
            yield from [tags] if isinstance(tags, str) else tags
            for value in part.values():
                yield from within(value)
        elif isinstance(part, list):
            for value in part:
                yield from within(value)

    return {tag for path in files_of(playbook) if "roles" not in path.parts for tag in within(parsed(path))}


def given(text: str) -> set[str]:
    """Names of the variables in one argument of -e."""
    if text.startswith("@"):
        return set()
    if text.startswith("{"):
        return set(json.loads(text))
    return {text.partition("=")[0]}


def wrong_with_playbook(words: list[str]) -> str:
    """What is wrong with a call of ansible-playbook; empty if nothing is."""
    names = [word for word in words if word.endswith(".yml")]
    if not names:
        return "names no playbook"
    for name in names:
        if "VERB" in name:
            continue
        playbook = ROOT / name
        if not playbook.is_file():
            return f"{name} does not exist"
        for position, word in enumerate(words):
            if word in ("-e", "--extra-vars"):
                unknown = given(words[position + 1]) - variables_of(playbook)
                if unknown:
                    return f"{name} knows no variable {', '.join(unknown)}"
            if word in ("--tags", "--skip-tags", "-t"):
                unknown = set(words[position + 1].split(",")) - tags_of(playbook)
                if unknown:
                    return f"{name} has no tag {', '.join(unknown)}"
    return ""


# --- the launcher, documents ------------------------------------------------------------------------------------------


@cache
def launcher_commands() -> frozenset[str]:
    words = [ROOT / "bulwark", "help"]
    usage = subprocess.run(words, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout
    return frozenset(re.findall(r"^  ([a-z]+) ", usage, re.M))


def wrong_with(command: Command) -> str:
    """Why a command cannot be right as it stands; empty if it may be."""
    try:
        words = command.words
    except ValueError as error:
        return str(error)
    if calls_a_playbook(words):
        return wrong_with_playbook(words)
    if words[0] == "./bulwark" and words[1] not in launcher_commands():
        return f"the launcher has no command {words[1]}"
    if words[0] == "ansible-doc":
        kind = words[words.index("-t") + 1] if "-t" in words else "module"
        name = words[-1].removeprefix("bulwark.hetzner.")
        file = {"role": f"roles/{name}", "filter": f"plugins/filter/{name}.py", "module": f"plugins/modules/{name}.py"}
        if not name.isupper() and not (ROOT / file[kind]).exists():
            return f"there is no {kind} {name}"
    for word in words:
        if word.startswith(("tests/", "molecule/")) and not (ROOT / word).exists():
            return f"{word} does not exist"
    return ""


@pytest.mark.parametrize("page", sorted({command.page for command in typed() + mentioned()}))
def test_what_is_to_be_typed_exists(page: str) -> None:
    commands = [command for command in typed() + mentioned() if command.page == page]
    assert {command.text: why for command in commands if (why := wrong_with(command))} == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ansible-playbook playbooks/none.yml", "does not exist"),
        ("ansible-playbook playbooks/failover.yml -e conform=production", "knows no variable conform"),
        ('ansible-playbook playbooks/destroy.yml -e \'{"confirm": "x", "alow": []}\'', "knows no variable alow"),
        ("./bulwark run playbooks/site.yml --tags postgres_primary,docer", "has no tag docer"),
        ("./bulwark start", "has no command start"),
        ("ansible-doc -t filter bulwark.hetzner.none", "there is no filter none"),
        (".venv/bin/python -m pytest tests/real/test_none.py", "does not exist"),
        ("ssh app-01 'date", "No closing quotation"),
    ],
)
def test_a_mistake_is_found(text: str, says: str) -> None:
    assert says in wrong_with(Command(text, "page.md"))


def test_commands_are_read_as_they_are_typed() -> None:
    block = "   ```console\n   one \\\n     two   # it's why\n   $ three '# no comment'\n   ```\n"
    text = f"Say `./bulwark up`, not `up`.\n\n{block}"
    assert [command.text for command in in_blocks(text, "")] == ["one two", "three '# no comment'"]
    assert [command.text for command in in_sentences(text, "")] == ["./bulwark up"]


# --- who runs it ------------------------------------------------------------------------------------------------------


def proof(command: Command) -> str | None:
    """The test that runs a command, or why none does; nothing where nobody has said."""
    words = command.words
    for entry in PROVED["not_run"] + PROVED["others"]:
        if fnmatchcase(command.text, entry["command"]):
            return str(entry.get("test") or entry["why"])
    if calls_a_playbook(words):
        names = [Path(word).stem for word in words if word.startswith("playbooks/")]
        return None if not names or set(names) - set(PROVED["playbooks"]) else PROVED["playbooks"][names[0]]
    if words[0] == "./bulwark":
        found: str | None = PROVED["launcher"].get(words[1])
        return found
    return None


def test_everything_that_is_to_be_typed_is_run_by_a_test() -> None:
    unproved = sorted({f"{command.page}: {command.text}" for command in typed() if not proof(command)})
    assert unproved == [], "name the test that runs these in tests/commands.yml"


def named() -> list[str]:
    return sorted(
        {*PROVED["playbooks"].values(), *PROVED["launcher"].values(), *(entry["test"] for entry in PROVED["others"])}
    )


def holds(place: str) -> bool:
    """Whether FILE::NAME is a test, or FILE a file with that text."""
    file, _, name = place.partition("::")
    path = ROOT / file
    if not path.is_file() or not name:
        return False
    if name.startswith("test_"):
        nodes = ast.walk(ast.parse(path.read_text()))
        return any(isinstance(node, ast.FunctionDef) and node.name == name for node in nodes)
    return name in path.read_text()


@pytest.mark.parametrize("place", named())
def test_the_test_that_is_named_exists(place: str) -> None:
    assert holds(place)


def test_a_test_that_does_not_exist_is_found() -> None:
    assert not holds("tests/static/test_documented_commands.py::test_none")
    assert not holds("tests/static/test_none.py::test_none")


def test_the_list_names_nothing_that_is_gone() -> None:
    assert set(PROVED["playbooks"]) - PLAYBOOKS == set()
    assert set(PROVED["launcher"]) - launcher_commands() == set()
    texts = [command.text for command in typed()]
    patterns = [entry["command"] for entry in PROVED["others"] + PROVED["not_run"]]
    assert [pattern for pattern in patterns if not any(fnmatchcase(text, pattern) for text in texts)] == []


def test_every_playbook_is_among_the_operations() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operations.md").read_text(), re.M))
    assert told == PLAYBOOKS, "docs/operations.md has a row for each playbook"


def test_every_module_and_role_is_in_the_table() -> None:
    rows = re.findall(r"^\| (?:module|role)s? \|.+", (ROOT / "README.md").read_text(), re.M)
    told = re.findall(r"`(\w+\*?)`", "".join(rows))
    names = {path.stem for path in (ROOT / "plugins/modules").glob("[!_]*.py")}
    names |= {path.name for path in (ROOT / "roles").iterdir()}
    assert sorted(name for name in names if not any(fnmatchcase(name, pattern) for pattern in told)) == []


# --- links ------------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What can be linked to in a page: its headings, as GitHub writes them."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    plain = [re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in plain}


def leads_nowhere(page: Path, text: str) -> list[str]:
    """Links of a page's text to files, or to parts of them, that do not exist."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (part and (file.suffix != ".md" or part not in anchors(file))):
            wrong.append(target)
    return wrong


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert leads_nowhere(page, page.read_text()) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = "[a](docs/none.md), [b](docs/ssh.md#none), [c](docs/ssh.md#host-keys), [d](#use-it)"
    assert leads_nowhere(ROOT / "README.md", text) == ["docs/none.md", "docs/ssh.md#none"]
