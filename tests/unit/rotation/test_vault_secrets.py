"""Which entries change in which step, and that nothing else in the file does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.module_utils.rotation import secrets
from ansible_collections.bulwark.hetzner.plugins.module_utils.rotation.secrets import Asked, Makers, RotationError, plan
from ansible_collections.bulwark.hetzner.plugins.module_utils.rotation.vault import HEADER, Tool, Vault, rewrite
from ansible_collections.bulwark.hetzner.plugins.module_utils.starting import secrets as starting

from tests.checkout import ROOT

MAKERS = Makers(lambda: "made-anew", lambda: ("KEY\nanew\n", "CERTIFICATE\nanew\n"))
MADE = starting.make(starting.Wanted(edge=True), {})
WHOLE = f"{HEADER}1.2;AES256;production\n"


def _encrypt(text: str, label: str) -> str:
    """In place of ansible-vault, which the test of the module goes through."""
    return f"{HEADER}1.{'2' if label else '1'};AES256{';' * bool(label)}{label}\n{text.encode().hex()}\n"


def _decrypt(text: str) -> str:
    assert text.startswith(HEADER)
    return bytes.fromhex("".join(text.splitlines()[1:])).decode()


TOOL = Tool(_encrypt, _decrypt)

LOCAL = ("-i", "localhost,", "-c", "local", "localhost", "-e", f"ansible_python_interpreter={ROOT}/.venv/bin/python")


class Loader(yaml.SafeLoader):
    """Opens values that are encrypted by themselves."""


Loader.add_constructor("!vault", lambda loader, node: _decrypt(loader.construct_scalar(node)))


def whole(made: dict[str, Any]) -> str:
    return _encrypt("# kept\n" + starting.render(made), "production")


def one_by_one(made: dict[str, Any]) -> str:
    def value(text: str, indent: str) -> str:
        return "!vault |\n" + "".join(f"{indent}    {line}\n" for line in _encrypt(text, "").splitlines())

    lines = ["---\n", "# kept\n"]
    for name, content in made.items():
        if isinstance(content, dict):
            lines.append(f"{name}:\n")
            lines += [f"    {key}: {value(text, '      ')}" for key, text in content.items()]
        else:
            lines.append(f"{name}: {value(content, '')}\n")
    return "".join(lines)


def opened(text: str) -> dict[str, Any]:
    loaded = yaml.load(_decrypt(text) if text.startswith(HEADER) else text, Loader)  # noqa: S506 because it is a safe one
    return {name: value.strip() if isinstance(value, str) else value for name, value in loaded.items()}


def step(text: str, **asked: list[str]) -> tuple[list[str], str]:
    vault = Vault(text, TOOL, "vault.yml")
    edits = plan(vault.present, Asked(**asked), MAKERS)
    vault.change(edits)
    return [edit.told for edit in edits], vault.text()


FORMS = pytest.mark.parametrize("form", [whole, one_by_one])


@FORMS
def test_what_is_replaced_at_once_and_nothing_else(form: Any) -> None:
    before = form(MADE)
    told, after = step(before, new=["replicator", "grafana"])
    assert told == ["bulwark_database_passwords.replicator is new", "bulwark_grafana_password is new"]
    passwords = MADE[secrets.PASSWORDS] | {"replicator": "made-anew"}
    plain = {name: value.strip() if isinstance(value, str) else value for name, value in MADE.items()}
    assert opened(after) == plain | {secrets.PASSWORDS: passwords, "bulwark_grafana_password": "made-anew"}
    assert "# kept" in (_decrypt(after) if form is whole else after)
    assert after.startswith(WHOLE) == (form is whole)
    assert "made-anew" not in after


@FORMS
def test_comments_between_entries_stay_where_they_are(form: Any) -> None:
    text = form(MADE)
    plain = _decrypt(text) if form is whole else text
    plain = re.sub("^( +)(rewind|metrics):", r"\1# of \2:\n\1\2:", plain, flags=re.M)
    _, after = step(_encrypt(plain, "") if form is whole else plain, new=["replicator", "rewind", "application"])
    found = _decrypt(after) if form is whole else after
    names = re.findall("^ +(# .*|[a-z_]+):", found.partition(f"{secrets.PASSWORDS}:\n")[2], re.M)
    expected = ["rails_app", "replicator", "# of rewind", "rewind", "# of metrics", "metrics", "rails_app_alternate"]
    assert names[:7] == expected


@FORMS
def test_the_application_gets_the_other_login_and_the_former_one_goes(form: Any) -> None:
    told, first = step(form(MADE), new=["application"])
    found = opened(first)
    assert found[secrets.PASSWORDS] == MADE[secrets.PASSWORDS] | {"rails_app_alternate": "made-anew"}
    assert (found[secrets.LOGIN], found[secrets.FORMER_LOGIN]) == ("rails_app_alternate", "rails_app")
    # Killed and repeated, it must not turn to the login that is in use.
    assert (
        step(first, new=["application"]) == ([], first)
        if form is one_by_one
        else step(first, new=["application"])[0] == []
    )
    told, second = step(first, retire=["application"])
    assert told == ["bulwark_database_passwords.rails_app is new", "bulwark_database_login_former goes"]
    found = opened(second)
    assert found[secrets.PASSWORDS]["rails_app"] == "made-anew"
    assert secrets.FORMER_LOGIN not in found
    assert step(second, retire=["application"])[0] == []
    # And back the next time.
    found = opened(step(second, new=["application"])[1])
    assert (found[secrets.LOGIN], found[secrets.FORMER_LOGIN]) == ("rails_app", "rails_app_alternate")


@FORMS
def test_the_edge_sends_the_old_one_until_the_new_one_is_used(form: Any) -> None:
    old = MADE[secrets.EDGE]
    _, first = step(form(MADE), new=["edge"])
    assert (opened(first)[secrets.EDGE], opened(first)[f"{secrets.EDGE}_next"]) == (old, "made-anew")
    assert step(first, new=["edge"])[0] == []
    with pytest.raises(RotationError, match="not used yet"):
        step(first, retire=["edge"])
    _, second = step(first, use=["edge"])
    assert (opened(second)[secrets.EDGE], opened(second)[f"{secrets.EDGE}_former"]) == ("made-anew", old)
    assert f"{secrets.EDGE}_next" not in opened(second)
    assert step(second, use=["edge"])[0] == step(second, new=["edge"])[0] == []
    _, third = step(second, retire=["edge"])
    assert opened(third) == opened(form(MADE)) | {secrets.EDGE: "made-anew"}
    assert step(third, retire=["edge"])[0] == []


@FORMS
def test_an_authority_is_trusted_before_it_signs(form: Any) -> None:
    key, certificate = starting.DATABASE_AUTHORITY
    _, first = step(form(MADE), new=["database_authority"])
    assert opened(first)[key] == MADE[key].strip()
    assert opened(first)["bulwark_database_authority_next_certificate"] == "CERTIFICATE\nanew"
    assert step(first, new=["database_authority"])[0] == []
    _, second = step(first, use=["database_authority"])
    found = opened(second)
    assert (found[key], found[certificate]) == ("KEY\nanew", "CERTIFICATE\nanew")
    assert found["bulwark_database_authority_former_certificate"] == MADE[certificate].strip()
    assert not [name for name in found if "_next_" in name]
    _, third = step(second, retire=["database_authority"])
    assert set(opened(third)) == set(MADE)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"new": ["password"]}, "password is no secret that can be made here: name some of replicator"),
        ({"new": ["edge"], "use": ["edge"]}, "edge is named twice"),
        ({"use": ["metrics"]}, "metrics is replaced at once"),
        ({"use": ["application"]}, "leave use out"),
        ({"use": ["edge"]}, "begin with new=edge"),
        ({"new": ["grafana"]}, "The vault has no bulwark_grafana_password"),
    ],
)
def test_what_is_refused(asked: dict[str, list[str]], says: str) -> None:
    lacking = {name: value for name, value in MADE.items() if name != "bulwark_grafana_password"}
    with pytest.raises(RotationError, match=says):
        step(whole(lacking), **asked)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bulwark_edge_secret: plain\n", "is not encrypted"),
        (_encrypt("bulwark_database_passwords: {rails_app: x}\n", ""), "give each a line of its own"),
    ],
)
def test_files_that_cannot_be_changed(text: str, says: str) -> None:
    with pytest.raises(RotationError, match=says):
        step(text, new=["edge"])


def test_a_file_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, link = tmp_path / "vault.yml", tmp_path / "link.yml"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    (tmp_path / ".vault.yml.new").write_text("of a run that was killed")
    rewrite(link, "new")
    assert (link.is_symlink(), path.read_text(), oct(path.stat().st_mode & 0o777)) == (True, "new", "0o640")

    def dying(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr("os.replace", dying)
    with pytest.raises(OSError, match="no room"):
        rewrite(path, "half")
    assert [entry.read_text() for entry in sorted(tmp_path.iterdir())] == ["new", "new"]


def test_ansibles_own_program_opens_what_the_module_has_written(tmp_path: Path) -> None:
    """The module as people run it, on both kinds of files."""
    password, vault = tmp_path / "password", tmp_path / "vault.yml"
    password.write_text("open sesame\n")
    programs = ROOT / ".venv/bin"

    def program(*words: str, feed: str = "") -> str:
        command = [str(programs / words[0]), *words[1:]]
        done = subprocess.run(command, input=feed, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rotate(*words: str) -> str:
        given = f"path={vault} vault_password_file={password} {' '.join(words)}"
        return program("ansible", *LOCAL, "-m", "bulwark.hetzner.vault_secrets", "-a", given, "-vvv", "--diff")

    opens = ("--vault-id", f"production@{password}")
    vault.write_text(program("ansible-vault", "encrypt", *opens, feed=starting.render(MADE)))
    said = rotate("new=application,edge,database_authority,metrics")
    assert vault.read_text().startswith(WHOLE)
    found = yaml.safe_load(program("ansible-vault", "view", *opens, str(vault)))
    assert found[secrets.LOGIN] == "rails_app_alternate"
    assert found[secrets.PASSWORDS]["metrics"] != MADE[secrets.PASSWORDS]["metrics"]
    values = [*found[secrets.PASSWORDS].values(), found[f"{secrets.EDGE}_next"], found[secrets.EDGE]]
    assert [value for value in [*values, "PRIVATE KEY"] if value in said] == []

    single = program("ansible-vault", "encrypt", "--vault-password-file", str(password), feed="former")
    indented = "".join(f"  {line}\n" for line in single.splitlines())
    vault.write_text(f"---\nbulwark_grafana_password: !vault |\n{indented}other: 1 # mine\n")
    rotate("new=grafana")
    words = ("-m", "debug", "-a", "var=bulwark_grafana_password", "-e", f"@{vault}")
    shown = program("ansible", *LOCAL, *words, "--vault-password-file", str(password))
    assert "former" not in shown
    assert "other: 1 # mine\n" in vault.read_text()
