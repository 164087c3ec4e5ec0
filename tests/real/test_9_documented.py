"""What the documentation says to type, typed on the lab: everything that changes nothing, and a backup."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import lifecycle, settings
from tests.checkout import ROOT
from tests.documented import Command, typed
from tests.launcher import succeed
from tests.real.database import primary

#: What a look changes nothing by begins with; a loop is one command.
LOOKS = re.compile(r"(date; )?ssh |ansible-inventory |curl |echo \\| openssl |for |done")
#: What changes something, or takes a name that only the reader knows; tests/commands.yml says who runs the former.
LEFT_OUT = re.compile(r"reboot$|/fenced|-N -L|deployer@|http://127|unattended-upgrade -v")
#: A shell, ssh or a program that did not understand.
NOT_UNDERSTOOD = re.compile(
    r"not found|syntax error|unrecognized|unknown (option|command|flag)|invalid option|No such container|usage:", re.I
)


def looks() -> list[Command]:
    commands = [command for command in typed() if "runbooks/" in command.page or command.page == "docs/monitoring.md"]
    loop: list[str] = []
    found = []
    for command in commands:
        if command.text.startswith("for ") or loop:
            loop.append(command.text)
            if command.text != "done":
                continue
            command, loop = Command("\n".join(loop), command.page), []
        if LOOKS.match(command.text) and not LEFT_OUT.search(command.text):
            found.append(command)
    return found


def test_what_runbooks_look_at_can_be_looked_at() -> None:
    commands = looks()
    assert len(commands) > 60
    # As the pages say it, but for names that are production's, and the member that is primary at the moment.
    names = {"app.example.com": "bulwark.example", "UNIT": "ssh"}
    if primary() != "db-primary":
        names |= {"db-primary": "db-replica", "db-replica": "db-primary"}
    name = re.compile("|".join(map(re.escape, names)))
    texts = [name.sub(lambda found: names[found[0]], command.text) for command in commands]
    said = succeed(
        "shell",
        feed=f"""set -e
folder=$(mktemp -d)
trap 'rm -r $folder' EXIT
ansible-playbook playbooks/ssh_config.yml -e ssh_config_directory=$folder >/dev/null
python tests/real/typist.py $folder/bulwark-lab <<'COMMANDS'
{json.dumps(texts)}
COMMANDS
""",
    )
    answers = [json.loads(line) for line in said.splitlines()]
    assert len(answers) == len(commands)
    # What a command finds is the lab's business, and some find nothing: it must be understood, and find whom to ask.
    wrong = [answer for answer in answers if answer[1] in (2, 125, 126, 127, 255) or NOT_UNDERSTOOD.search(answer[2])]
    assert wrong == []


def on_the_machine(*lines: str) -> str:
    """What commands print on the machine itself, where the management interface is."""
    script = "\n".join(lines).replace("~/.local/state/bulwark", str(settings.STATE))
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return done.stdout


def test_the_labs_management_is_asked() -> None:
    told = [command for command in typed() if command.page.endswith(("in-the-lab.md", "api-fidelity.md"))]
    texts = [command.text for command in told if re.match(r"curl |lab=|token=", command.text)]
    here = [text for text in texts if "CLOUDFLARE_API_ENDPOINT" not in text]
    assert len(here) == 6
    try:
        said = on_the_machine(*here)
    finally:  # switches and faults are as they were, whatever happened
        token = f"Authorization: Bearer {lifecycle.token()}"
        lab = f"http://127.0.0.1:{settings.MANAGEMENT_PORT}/_lab"
        put = ["curl", "-sfH", token, f"{lab}/object_storage", "-X", "PUT", "-d", '{"mode": "ok"}']
        for words in (put, ["curl", "-sfH", token, f"{lab}/faults", "-X", "DELETE"]):
            subprocess.run(words, check=True, capture_output=True)
    assert '"error"' not in said
    for mode in ("ok", "away"):
        assert re.search(rf'"mode": ?"{mode}"', said)
    assert re.search(r'"effect": ?"lose_answer"', said)
    (asked,) = set(texts) - set(here)
    assert json.loads(succeed("shell", feed=asked))["result"][0]["name"] == "bulwark.example"


def test_a_backup_now() -> None:
    assert "changed=1" in succeed("run", "playbooks/backup.yml", "-e", "postgres_backup_type=diff")


@contextmanager
def opened(page: str) -> Iterator[str]:
    """The address that `./bulwark open` prints, as long as it stays open."""
    process = subprocess.Popen(
        ["./bulwark", "open", page], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://\S+", line):
                yield found[0]
                break
        else:
            pytest.fail(f"nothing was printed for {page}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.mark.parametrize(("page", "says"), [("prometheus", "Prometheus"), ("console", "<title>")])
def test_pages_are_opened(page: str, says: str) -> None:
    with opened(page) as address, urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 because it is loopback
        assert says in answer.read().decode()
