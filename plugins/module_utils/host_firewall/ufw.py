# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""UFW's own files for a set of rules, in the form in which UFW writes them. Pure.

UFW keeps each rule twice, as a comment ("tuple") that its commands read and as a line for iptables-restore; see
backend_iptables.py of UFW 0.36.2, which Debian 13 and Ubuntu 24.04 have.
"""

from __future__ import annotations

import re

from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.rules import Firewall, Network, Rule

EVERYBODY = {4: "0.0.0.0/0", 6: "::/0"}

#: Chains that hold the rules people add; nothing but the declared rules may be in them.
USER_CHAINS = ("user-input", "user-output", "user-forward")
_CHAINS = (
    *USER_CHAINS,
    *(f"{place}-logging-{way}" for place in ("before", "user", "after") for way in ("input", "output", "forward")),
    "logging-deny",
    "logging-allow",
    "user-limit",
    "user-limit-accept",
)
_END = "### END RULES ###\n"

#: What must hold in /etc/default/ufw. MANAGE_BUILTINS would empty other people's chains, Docker's among them.
DEFAULTS = {
    "IPV6": "yes",
    "DEFAULT_INPUT_POLICY": '"DROP"',
    "DEFAULT_FORWARD_POLICY": '"DROP"',
    "MANAGE_BUILTINS": "no",
}
CONF = {"ENABLED": "yes"}


def prefix(version: int) -> str:
    """How the names of UFW's chains begin for a family."""
    return "ufw" if version == 4 else "ufw6"


def render(firewall: Firewall, version: int, found: str) -> str:
    """The file user.rules or user6.rules; what UFW keeps behind the rules (logging) comes from the one found."""
    name = prefix(version)
    entries: dict[str, str] = {}  # by what UFW goes by: what two rules allow alike stands there once
    for rule in firewall.rules:
        for source in [*rule.of_family(version), *rule.of_family(version, containers=True)]:
            _add(entries, rule, source, firewall, forwarded=False)
    for rule in firewall.forward:
        for source in rule.of_family(version):
            _add(entries, rule, source, firewall, forwarded=True)
    head = "".join(f":{name}-{chain} - [0:0]\n" for chain in _CHAINS)
    return f"*filter\n{head}### RULES ###\n{''.join(entries.values())}\n{_tail(name, found)}"


def _add(entries: dict[str, str], rule: Rule, source: Network, firewall: Firewall, forwarded: bool) -> None:
    """A rule for one source; none for the echo, which UFW's before.rules let pass anyway and the guard decides on."""
    if rule.protocol == "icmp":
        return
    action, chain, way, match = "allow", "user-input", "in", ""
    if forwarded:
        inside, outside = firewall.private_interface, firewall.public_interface
        action, chain, way, match = (
            "route:allow",
            "user-forward",
            f"in_{inside}!out_{outside}",
            f"-i {inside} -o {outside} ",
        )
    # UFW writes a single address without its length.
    single = str(source).removesuffix(f"/{source.max_prefixlen}")
    where = f"-s {single} " if source.prefixlen else ""
    for first, last in rule.ports or ((0, 0),):
        if rule.protocol == "any":
            ports, what = "any", ""
        elif first == last:
            ports, what = str(first), f"-p {rule.protocol} --dport {first} "
        else:
            ports = f"{first}:{last}"
            what = f"-p {rule.protocol} -m multiport --dports {ports} "
        known_by = f"### tuple ### {action} {rule.protocol} {ports} {EVERYBODY[source.version]} any {single} {way}"
        line = f"-A {prefix(source.version)}-{chain} {match}{what}{where}-j ACCEPT"
        entries.setdefault(known_by, f"\n{known_by} comment={rule.name.encode().hex()}\n{line}\n")


def _tail(name: str, found: str) -> str:
    """What follows the rules: UFW's own, without lines somebody has hidden there."""
    if _END in found and found.rstrip().endswith("COMMIT"):
        hidden = re.compile(rf"^\s*-\w+\s+{name}-({'|'.join(USER_CHAINS)})\b")
        return "".join(
            line for line in (_END + found.split(_END, 1)[1]).splitlines(keepends=True) if not hidden.match(line)
        )
    return (
        f"{_END}\n### LOGGING ###\n### END LOGGING ###\n\n### RATE LIMITING ###\n"
        f"-A {name}-user-limit -j REJECT\n-A {name}-user-limit-accept -j ACCEPT\n### END RATE LIMITING ###\nCOMMIT\n"
    )


def with_settings(found: str, settings: dict[str, str]) -> str:
    """A file of shell assignments in which these hold; everything else in it stays."""
    lines = found.splitlines()
    for key, value in settings.items():
        mine = [number for number, line in enumerate(lines) if re.match(rf"\s*{key}=", line)]
        if not mine:
            lines.append(f"{key}={value}")
        # The shell takes the last.
        elif lines[mine[-1]].split("=", 1)[1].strip().strip("\"'") != value.strip('"'):
            lines[mine[-1]] = f"{key}={value}"
    return "\n".join(lines) + "\n"


def loaded(saved: str, version: int) -> list[str]:
    """What iptables-save tells of the rules that UFW's user chains hold."""
    chains = tuple(f"-A {prefix(version)}-{chain} " for chain in USER_CHAINS)
    return [line for line in saved.splitlines() if line.startswith(chains)]


def hooks(saved: str, version: int) -> list[str]:
    """What UFW needs to have any say and what iptables-save does not tell of; empty when it runs."""
    name = prefix(version)
    lines = saved.splitlines()
    missing = [
        f"policy of {chain} is DROP"
        for chain in ("INPUT", "FORWARD")
        if not any(line.startswith(f":{chain} DROP ") for line in lines)
    ]
    for chain in ("input", "output", "forward"):
        jumps = (f"-A {chain.upper()} -j {name}-before-{chain}", f"-A {name}-before-{chain} -j {name}-user-{chain}")
        missing += [jump for jump in jumps if jump not in lines]
    return missing
