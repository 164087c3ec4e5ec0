# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a host's firewall, plans what differs from the declared one, and carries that out with a way back armed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

from ansible_collections.bulwark.hetzner.plugins.module_utils import config_files
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import (
    Change,
    Entry,
    Found,
    RefusedError,
    Runner,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall import files, guard, ufw
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.interfaces import Address
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.rules import Firewall, Session

PACKAGES = {"ufw": "/usr/sbin/ufw", "nftables": "/usr/sbin/nft", "iptables": "/usr/sbin/iptables-restore"}
VERSIONS = (4, 6)
TABLES = {4: "iptables", 6: "ip6tables"}
#: What is compared as it is in force, and the file that says how it should be.
GUARD = f"table {guard.TABLE}"
UFW = {version: f"rules of UFW, IPv{version}" for version in VERSIONS}
SUBJECTS = {GUARD: files.GUARD, **{UFW[version]: path for version, path in files.USER_RULES.items()}}

# Loads the declared rules in a network namespace of its own, so that the programs that print what runs print these too.
_TRY = f"""\
set -e
cd "$1"
shift
nft --file guard
nft --stateless list table {guard.TABLE}
for exe; do
  echo "-- $exe"
  $exe-restore < $exe
  $exe-save -t filter
done
"""


class FailedError(Exception):
    """The rules could not be put in force; the message says what holds now."""


@dataclass(frozen=True)
class State:
    """What is on the host. ``running`` and ``expected`` are texts by subject, as the programs print them."""

    files: dict[str, Found | None]
    running: dict[str, str]
    expected: dict[str, str]
    off: tuple[str, ...]  # what UFW lacks to have a say
    units: tuple[str, ...]  # what is not as it should be at the next boot
    pending: bool  # a change waits to be confirmed


@dataclass(frozen=True)
class Plan:
    """Everything that differs."""

    files: list[Change]
    running: list[tuple[str, str, str]]  # subject, before, after
    off: tuple[str, ...]
    units: tuple[str, ...]
    pending: bool

    @property
    def empty(self) -> bool:
        """Whether all is as declared; a change that waits to be confirmed is in force already."""
        return not (self.files or self.running or self.off or self.units)

    def diff(self) -> list[dict[str, str]]:
        """The plan as Ansible shows differences."""
        # A file whose rules differ in force as well is not shown twice.
        told = {SUBJECTS[subject] for subject, _, _ in self.running}
        shown = config_files.diff([change for change in self.files if change.path not in told])
        for subject, before, after in self.running:
            header = f"{subject} (in force)"
            shown.append({"before_header": header, "after_header": header, "before": before, "after": after})
        prepared = [f"not so yet: {what}" for what in (*self.off, *self.units)]
        if self.pending:
            prepared.append("the last change has not been confirmed yet")
        if prepared:
            shown.append({"prepared": "\n".join(prepared) + "\n"})
        return shown


def plan(entries: Sequence[Entry], state: State) -> Plan:
    """What differs from the declared. Pure."""
    running = [
        (subject, state.running.get(subject, ""), text)
        for subject, text in state.expected.items()
        if state.running.get(subject, "") != text
    ]
    return Plan(config_files.plan(entries, [], state.files), running, state.off, state.units, state.pending)


def declared_files(firewall: Firewall, found: Mapping[str, Found | None]) -> list[Entry]:
    """All files as they have to be; what is not ours in UFW's files comes from those found. Pure."""

    def text(path: str) -> str:
        seen = found.get(path)
        return (seen.content or b"").decode(errors="replace") if seen is not None else ""

    entries = [
        Entry("/etc/bulwark", None, 0o755, 0, 0),
        Entry(files.ROLLBACK, files.ROLLBACK_TEXT, 0o700, 0, 0),
        Entry(files.UNIT, files.UNIT_TEXT, 0o644, 0, 0),
        Entry(files.GUARD, guard.render(firewall), 0o600, 0, 0),
        Entry(files.DEFAULTS, ufw.with_settings(text(files.DEFAULTS), ufw.DEFAULTS), 0o644, 0, 0),
        Entry(files.CONF, ufw.with_settings(text(files.CONF), ufw.CONF), 0o644, 0, 0),
    ]
    for version, path in files.USER_RULES.items():
        entries.append(Entry(path, ufw.render(firewall, version, text(path)), 0o640, 0, 0))
    return entries


@dataclass
class Host:
    """The host this runs on. ``run`` runs a program by list."""

    run: Runner
    versions: list[int] = field(default_factory=lambda: [4, *([6] if os.path.exists("/proc/sys/net/ipv6") else [])])

    def missing(self) -> list[str]:
        """Packages that have to be installed first."""
        return [name for name, program in PACKAGES.items() if not os.path.exists(program)]

    def refuse_unsupported(self) -> None:
        """Raises RefusedError for a packet filter that this cannot work beside."""
        if os.geteuid() != 0:
            raise RefusedError("The firewall is root's business: run with become.")
        code, _ = self.run(["systemctl", "is-active", "--quiet", "firewalld.service"])
        if code == 0:
            raise RefusedError("firewalld is active and would fight UFW; remove it first: apt purge firewalld.")
        if os.path.exists(files.MASK) and not os.path.islink(files.MASK):
            raise RefusedError(
                f"{files.MASK} is a unit of this host's own, but nftables.service, which empties all rules, has to be "
                "masked: give that unit another name."
            )
        if os.path.exists("/usr/sbin/iptables"):
            for exe in TABLES.values():
                said = self.run([exe, "-V"])[1]
                if "nf_tables" not in said:
                    raise RefusedError(
                        f"{exe} uses another back end than nf_tables ({said.strip()}); switch over first: "
                        f"update-alternatives --set {exe} /usr/sbin/{exe}-nft, then restart the host."
                    )
        if os.path.exists(PACKAGES["nftables"]):
            code, said = self.run(["nft", "list", "tables"])
            if code != 0:
                raise RefusedError(
                    f"nft cannot read the rules of this kernel, which must have nf_tables: {said.strip()}"
                )

    def addresses(self) -> list[Address]:
        """All addresses of this host."""
        _, said = self.run(["ip", "-json", "address"])
        return [
            Address(link["ifname"], info["local"], os.path.isdir(f"/sys/class/net/{link['ifname']}/bridge"))
            for link in json.loads(said)
            for info in link.get("addr_info", [])
            if "local" in info
        ]

    def files(self) -> dict[str, Found | None]:
        """The files of UFW that ours are made from."""
        return {path: config_files.read(path) for path in (files.DEFAULTS, files.CONF, *files.USER_RULES.values())}

    def read(self, entries: Sequence[Entry]) -> State:
        """Everything that the plan needs. Raises RefusedError when nft or iptables refuse the declared rules."""
        content = {entry.path: entry.content or "" for entry in entries}
        tables = [TABLES[version] for version in self.versions]
        with tempfile.TemporaryDirectory() as folder:
            rules = {"guard": content[files.GUARD]} | {
                TABLES[version]: content[files.USER_RULES[version]] for version in self.versions
            }
            for name, text in rules.items():
                with open(os.path.join(folder, name), "w") as file:
                    file.write(text)
            code, said = self.run(["unshare", "--net", "sh", "-c", _TRY, "try", folder, *tables])
        if code != 0:
            raise RefusedError(f"the declared rules cannot be loaded, so nothing was changed: {said.strip()}")
        table, *saved = said.split("\n-- ")
        expected = {GUARD: table.strip() + "\n"}
        running = {GUARD: self._said(["nft", "--stateless", "list", "table", *guard.TABLE.split()])}
        off: list[str] = []
        for version, wanted in zip(self.versions, saved, strict=True):
            now = self._said([f"{TABLES[version]}-save", "-t", "filter"])
            expected[UFW[version]] = "".join(f"{line}\n" for line in ufw.loaded(wanted, version))
            running[UFW[version]] = "".join(f"{line}\n" for line in ufw.loaded(now, version))
            off += [f"UFW IPv{version}: {what}" for what in ufw.hooks(now, version)]
        found = {entry.path: config_files.read(entry.path) for entry in entries}
        return State(found, running, expected, tuple(off), tuple(self._units()), os.path.isdir(files.PREVIOUS))

    def _said(self, words: Sequence[str]) -> str:
        code, said = self.run(words)
        return said.strip() + "\n" if code == 0 else ""

    def _units(self) -> Iterator[str]:
        if not (os.path.islink(files.MASK) and os.readlink(files.MASK) == "/dev/null"):
            yield "nftables.service, which empties all rules, is masked"
        for unit in ("bulwark-guard.service", "ufw.service"):
            if self.run(["systemctl", "is-enabled", "--quiet", unit])[0] != 0:
                yield f"{unit} is enabled"
        if self._said(["systemctl", "show", "-P", "NeedDaemonReload", "bulwark-guard.service"]).strip() == "yes":
            yield "systemd has read bulwark-guard.service"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds off the way back, and another run of this module."""
        with open(files.LOCK, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def apply(self, wanted: Plan, session: Session | None, rollback_after: int) -> None:
        """Carry out a plan: arm the way back, write, put in force.

        ``rollback_after`` is in seconds; 0 confirms at once. The lock must be held. Cut off anywhere, the host is as
        it was, has the new rules, or goes back to the confirmed ones; the next run starts from whatever it finds.
        """
        self._disarm()
        if not wanted.pending:
            self._keep(wanted, session)
        first = [change for change in wanted.files if change.path in ("/etc/bulwark", files.ROLLBACK)]
        config_files.apply(first, self.run)
        self._arm(rollback_after or 60)
        config_files.apply([change for change in wanted.files if change not in first], self.run)
        self._enforce(wanted)
        if rollback_after == 0:
            self.confirm()

    def _enforce(self, wanted: Plan) -> None:
        # The guard first: it holds whatever UFW does meanwhile.
        self._must(["nft", "--file", files.GUARD])
        if wanted.units or any(change.path == files.UNIT for change in wanted.files):
            self._must(["systemctl", "mask", "--quiet", "nftables.service"])
            self._must(["systemctl", "daemon-reload"])
            self._must(["systemctl", "enable", "--quiet", "bulwark-guard.service", "ufw.service"])
        # UFW's own files are read again as a whole only where it must be: that opens its chains for a moment.
        if wanted.off or any(change.path == files.DEFAULTS for change in wanted.files):
            self._must([files.UFW_INIT, "force-reload"])
        else:
            for version in self.versions:
                path = files.USER_RULES[version]
                self._must(["sh", "-c", f"{TABLES[version]}-restore --noflush < {path}"])

    def _must(self, words: Sequence[str]) -> None:
        code, said = self.run(words)
        if code != 0:
            raise FailedError(f"{' '.join(words)} failed: {said.strip()}")

    def _keep(self, wanted: Plan, session: Session | None) -> None:
        """Copy the confirmed files aside; the copy is there as a whole or not at all."""
        new = files.PREVIOUS + ".new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new, 0o700)
        for name, path in files.KEPT.items():
            if os.path.exists(path):
                shutil.copy2(path, os.path.join(new, name))
        copy = os.path.join(new, "guard.nft")
        # Going back to no guard at all would leave the host open, so there is a closed one to go back to.
        if (
            not os.path.exists(copy)
            or not os.path.getsize(copy)
            or self.run(["nft", "--check", "--file", copy])[0] != 0
        ):
            config_files.apply([Change(copy, Entry(copy, guard.safe(session), 0o600, 0, 0), None)], self.run)
        if not wanted.off:
            with open(os.path.join(new, files.UFW_RAN), "w"):
                pass
        os.rename(new, files.PREVIOUS)

    def _arm(self, seconds: int) -> None:
        with open(files.ARMED, "w"):
            pass
        self._must(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={files.TIMER}",
                f"--on-active={seconds}",
                "--timer-property=AccuracySec=1s",
                "/bin/sh",
                files.ROLLBACK,
            ]
        )

    def _disarm(self) -> None:
        # With the lock held the service can only be waiting for it, so stopping it leaves nothing half done.
        for kind in ("timer", "service"):
            self.run(["systemctl", "stop", "--quiet", f"{files.TIMER}.{kind}"])
            self.run(["systemctl", "reset-failed", "--quiet", f"{files.TIMER}.{kind}"])

    def confirm(self) -> None:
        """Keep what is in force: there is no way back any more. The lock must be held."""
        self._disarm()
        done = files.PREVIOUS + ".done"
        shutil.rmtree(done, ignore_errors=True)
        os.rename(files.PREVIOUS, done)
        shutil.rmtree(done, ignore_errors=True)
        with suppress(FileNotFoundError):
            os.unlink(files.ARMED)

    def go_back(self) -> None:
        """Put the confirmed rules back now. The lock must not be held."""
        self.run(["/bin/sh", files.ROLLBACK])


def find_session(environment: Mapping[str, str], process: int) -> Session | None:
    """The SSH connection that a process came by, from its own environment or that of one it descends from.

    sudo and the like drop the variable, so the parents are asked. None for a local run.
    """
    said = environment.get("SSH_CONNECTION", "")
    while not said and process > 1:
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                variables = file.read().decode(errors="replace").split("\0")
            with open(f"/proc/{process}/stat") as file:
                process = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            return None
        said = next((text.partition("=")[2] for text in variables if text.startswith("SSH_CONNECTION=")), "")
    words = said.split()
    if len(words) != 4 or not words[3].isdigit():
        return None
    # A link-local address carries its interface.
    client = words[0].partition("%")[0]
    try:
        ip_address(client)
    except ValueError:
        return None
    return Session(client, int(words[3]))
