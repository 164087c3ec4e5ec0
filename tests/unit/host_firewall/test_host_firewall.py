"""The firewall of a host as pure functions: what is refused, and what both layers make of the same rules."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import Found, RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall import files, guard, ufw
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.host import (
    GUARD,
    UFW,
    Host,
    State,
    declared_files,
    find_session,
    plan,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.interfaces import Address, firewall
from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.rules import (
    Firewall,
    Session,
    check_session,
    parse,
)

ADDRESSES = [
    Address("lo", "127.0.0.1", False),
    Address("enp7s0", "10.0.0.2", False),
    Address("eth0", "203.0.113.10", False),
    Address("docker0", "172.17.0.1", True),
]


def rule(**given: Any) -> dict[str, Any]:
    return {"name": "web", "protocol": "tcp", "ports": ["80"], "sources": ["10.0.0.3/32"], "containers": []} | given


def declared(*rules: dict[str, Any], forward: tuple[dict[str, Any], ...] = (), **more: Any) -> Firewall:
    options = {"rules": rules, "forward": forward, "private_address": "10.0.0.2", "public_address": "203.0.113.10"}
    return firewall(options | more, ADDRESSES)


FORWARD = rule(name="internet", protocol="any", ports=[], sources=["10.0.0.0/24"])


class TestRefused:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"ports": ["0"]}, "port 0 is out of range"),
            ({"ports": ["65536"]}, "port 65536 is out of range"),
            ({"ports": ["90-80"]}, "write 80-90"),
            ({"ports": ["http"]}, '"http" is no port'),
            ({"ports": ["80\n"]}, "is no port"),
            ({"ports": []}, "tcp needs at least one"),
            ({"protocol": "icmp"}, "icmp has no ports"),
            ({"protocol": "sctp"}, 'the protocol is "sctp"; write one of tcp, udp, icmp.'),
            ({"protocol": "any", "ports": []}, 'the protocol is "any"'),
            ({"sources": ["10.0.0.3/24"]}, "without bits of the host"),
            ({"sources": ["app-01"]}, '"app-01" is no network'),
            ({"containers": ["docker0"]}, '"docker0" is no network'),
            ({"sources": []}, "there is no source"),
            ({"name": 'x" accept; #'}, "is no name"),
            ({"name": ""}, "is no name"),
        ],
    )
    def test_a_bad_rule(self, given, says):
        with pytest.raises(RefusedError) as refused:
            parse([rule(**given)], "rules")
        assert says in str(refused.value)
        assert str(refused.value).startswith("rules: ")

    def test_a_name_twice(self):
        with pytest.raises(RefusedError, match="web is there more than once"):
            parse([rule(), rule()], "rules")

    def test_containers_of_what_is_forwarded(self):
        with pytest.raises(RefusedError, match="has no containers"):
            parse([FORWARD | {"containers": ["172.30.0.0/24"]}], "forward")

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"private_address": "10.0.0.99"}, "no interface of this host has it"),
            ({"private_address": "172.17.0.1"}, "docker0, a bridge"),
            ({"private_address": "203.0.113.10"}, "both on eth0"),
            ({"public_address": None}, "forward needs private_address and public_address"),
        ],
    )
    def test_addresses(self, given, says):
        with pytest.raises(RefusedError, match=says):
            declared(forward=(FORWARD,), **given)


class TestBackEnds:
    """Packet filters that cannot be worked beside are refused by what their programs say."""

    def refused(self, monkeypatch, **says: tuple[int, str]) -> str:
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("os.path.exists", lambda path: path.startswith("/usr/sbin/"))
        modern = (0, "iptables v1.8.11 (nf_tables)")
        answers = {"iptables": modern, "ip6tables": modern, "systemctl": (3, ""), "nft": (0, "")} | says
        with pytest.raises(RefusedError) as refused:
            Host(lambda words: answers[words[0]]).refuse_unsupported()
        return str(refused.value)

    @pytest.mark.parametrize("program", ["iptables", "ip6tables"])
    def test_the_legacy_back_end(self, monkeypatch, program):
        said = self.refused(monkeypatch, **{program: (0, "iptables v1.8.11 (legacy)")})
        assert f"update-alternatives --set {program} /usr/sbin/{program}-nft" in said

    def test_firewalld(self, monkeypatch):
        assert "apt purge firewalld" in self.refused(monkeypatch, systemctl=(0, ""))

    def test_a_kernel_without_nf_tables(self, monkeypatch):
        assert "must have nf_tables: Operation not supported" in self.refused(
            monkeypatch, nft=(1, "Operation not supported\n")
        )

    def test_a_run_without_rights(self, monkeypatch):
        monkeypatch.setattr("os.geteuid", lambda: 1000)
        with pytest.raises(RefusedError, match="run with become"):
            Host(lambda words: (0, "")).refuse_unsupported()


class TestLockout:
    rules = (rule(name="ssh", ports=["22", "2222-2230"], sources=["10.0.0.0/30"]),)

    @pytest.mark.parametrize(("client", "port"), [("10.0.0.2", 22), ("10.0.0.3", 2225)])
    def test_a_session_with_a_rule_is_fine(self, client, port):
        check_session(Session(client, port), declared(*self.rules), [])

    @pytest.mark.parametrize(("client", "port"), [("10.0.0.4", 22), ("10.0.0.2", 23), ("fd00::2", 22)])
    def test_one_without_is_refused(self, client, port):
        with pytest.raises(RefusedError, match=f"No rule lets {client} open connections to port {port}"):
            check_session(Session(client, port), declared(*self.rules), [])

    def test_the_host_itself_and_a_local_run_need_no_rule(self):
        check_session(Session("10.0.0.2", 22), declared(), ["10.0.0.2"])
        check_session(None, declared(), [])

    def test_udp_is_no_ssh(self):
        with pytest.raises(RefusedError):
            check_session(
                Session("10.0.0.2", 22), declared(rule(protocol="udp", ports=["22"], sources=["10.0.0.2/32"])), []
            )

    def test_the_session_is_found_though_the_variable_was_dropped_on_the_way(self):
        code = (
            "import os, sys\n"
            "from ansible_collections.bulwark.hetzner.plugins.module_utils.host_firewall.host import find_session\n"
            "found = find_session({}, os.getpid())\n"
            "print(found.client, found.port)\n"
        )
        inner = f"env -u SSH_CONNECTION {sys.executable} -c '{code}'; true"
        environment = os.environ | {"SSH_CONNECTION": "10.0.0.2 40000 10.0.0.3 2222", "PYTHONPATH": ":".join(sys.path)}
        done = subprocess.run(["sh", "-c", inner], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "10.0.0.2 2222\n", done.stderr

    @pytest.mark.parametrize("said", ["UNKNOWN 65535 UNKNOWN 65535", "10.0.0.2", "a b c d"])
    def test_what_is_no_address_is_no_session(self, said):
        assert find_session({"SSH_CONNECTION": said}, 1) is None

    def test_a_link_local_client_is_found_without_its_interface(self):
        assert find_session({"SSH_CONNECTION": "fe80::1%eth0 4000 fe80::2%eth0 22"}, 1) == Session("fe80::1", 22)


class TestGuard:
    def test_sources_of_both_families_stand_apart(self):
        text = guard.render(declared(rule(sources=["10.0.0.3/32", "fd00::3/128"])))
        assert 'ip saddr { 10.0.0.3/32 } tcp dport { 80 } accept comment "web"' in text
        assert 'ip6 saddr { fd00::3/128 } tcp dport { 80 } accept comment "web"' in text

    def test_what_overlaps_is_joined(self):
        text = guard.render(
            declared(rule(ports=["81", "80", "100-200", "150-300"], sources=["10.0.0.0/24", "10.0.0.3/32"]))
        )
        assert "ip saddr { 10.0.0.0/24 } tcp dport { 80-81, 100-300 } accept" in text

    def test_everybody_is_no_set(self):
        text = guard.render(declared(rule(sources=["0.0.0.0/0", "::/0"])))
        assert "meta nfproto ipv4 tcp dport { 80 } accept" in text
        assert "meta nfproto ipv6 tcp dport { 80 } accept" in text

    def test_containers_get_in_from_bridges_only(self):
        text = guard.render(declared(rule(sources=[], containers=["172.30.0.0/24"])))
        before, _, after = text.partition("chain containers_to_host")
        assert "172.30.0.0/24" in after
        assert "172.30.0.0/24" not in before

    def test_forwarding_goes_from_the_private_to_the_public_interface(self):
        text = guard.render(declared(forward=(FORWARD,)))
        assert 'iifname "enp7s0" fib daddr oifname "eth0" ip saddr { 10.0.0.0/24 } accept comment "internet"' in text

    @pytest.mark.parametrize(
        ("client", "source"), [("10.0.0.2", "ip saddr { 10.0.0.2/32 }"), ("fd00::2", "ip6 saddr { fd00::2/128 }")]
    )
    def test_the_safe_rules_let_only_the_session_in(self, client, source):
        accepted = [line.strip() for line in guard.safe(Session(client, 22)).splitlines() if " dport { " in line]
        assert accepted == [f'{source} tcp dport {{ 22 }} accept comment "session"']
        assert "dport {" not in guard.safe(None)


class TestUfw:
    def lines(self, text: str) -> list[str]:
        return [
            line for line in text.split("### END RULES")[0].splitlines() if "tuple" in line or line.startswith("-A")
        ]

    def test_a_rule_is_there_as_ufw_writes_it(self):
        assert self.lines(ufw.render(declared(rule()), 4, "")) == [
            "### tuple ### allow tcp 80 0.0.0.0/0 any 10.0.0.3 in comment=776562",
            "-A ufw-user-input -p tcp --dport 80 -s 10.0.0.3 -j ACCEPT",
        ]

    def test_ranges_everybody_and_ipv6(self):
        assert self.lines(ufw.render(declared(rule(ports=["3000-3010"], sources=["::/0"])), 6, "")) == [
            "### tuple ### allow tcp 3000:3010 ::/0 any ::/0 in comment=776562",
            "-A ufw6-user-input -p tcp -m multiport --dports 3000:3010 -j ACCEPT",
        ]

    def test_what_is_forwarded(self):
        assert self.lines(ufw.render(declared(forward=(FORWARD,)), 4, "")) == [
            "### tuple ### route:allow any any 0.0.0.0/0 any 10.0.0.0/24 in_enp7s0!out_eth0 comment=696e7465726e6574",
            "-A ufw-user-forward -i enp7s0 -o eth0 -s 10.0.0.0/24 -j ACCEPT",
        ]

    def test_what_two_rules_allow_alike_stands_there_once_and_the_echo_never(self):
        text = ufw.render(declared(rule(), rule(name="again"), rule(name="ping", protocol="icmp", ports=[])), 4, "")
        assert len(self.lines(text)) == 2

    def test_rendered_again_from_itself_it_is_the_same(self):
        once = ufw.render(declared(rule()), 4, "")
        assert ufw.render(declared(rule()), 4, once) == once

    def test_ufws_logging_stays_and_hidden_rules_go(self):
        found = ufw.render(declared(), 4, "").replace(
            "### LOGGING ###\n",
            "### LOGGING ###\n-A ufw-after-logging-input -j LOG\n-A ufw-user-input -j ACCEPT\n"
            " -I ufw-user-forward 1 -j ACCEPT\n",
        )
        text = ufw.render(declared(), 4, found)
        assert "-A ufw-after-logging-input -j LOG" in text
        assert "-j ACCEPT" not in text.replace("-A ufw-user-limit-accept -j ACCEPT", "")

    @pytest.mark.parametrize("found", ["", "*filter\n### RULES ###\n", "### END RULES ###\n"])
    def test_a_broken_file_is_made_anew(self, found):
        assert ufw.render(declared(), 4, found).endswith("### END RATE LIMITING ###\nCOMMIT\n")

    @pytest.mark.parametrize(
        ("found", "text"),
        [
            ("ENABLED=no\nLOGLEVEL=low\n", "ENABLED=yes\nLOGLEVEL=low\n"),
            ('# ENABLED=no\nENABLED="yes"\n', '# ENABLED=no\nENABLED="yes"\n'),
            ("ENABLED=yes\nENABLED=no\n", "ENABLED=yes\nENABLED=yes\n"),
            ("LOGLEVEL=low", "LOGLEVEL=low\nENABLED=yes\n"),
        ],
    )
    def test_settings(self, found, text):
        assert ufw.with_settings(found, ufw.CONF) == text

    def test_hooks_that_are_missing_are_told(self):
        running = ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n" + "".join(
            f"-A {chain.upper()} -j ufw-before-{chain}\n-A ufw-before-{chain} -j ufw-user-{chain}\n"
            for chain in ("input", "output", "forward")
        )
        assert ufw.hooks(running, 4) == []
        assert ufw.hooks(running.replace("INPUT DROP", "INPUT ACCEPT"), 4) == ["policy of INPUT is DROP"]
        assert len(ufw.hooks("", 6)) == 8


class TestPlan:
    def state(self, entries: list[Any], **more: Any) -> State:
        found = {
            entry.path: Found(
                "folder" if entry.content is None else "file",
                entry.content and entry.content.encode(),
                entry.mode,
                0,
                0,
            )
            for entry in entries
        }
        texts = {GUARD: "table\n", UFW[4]: "rules\n"}
        return State(
            **({"files": found, "running": texts, "expected": texts, "off": (), "units": (), "pending": False} | more)
        )

    def test_all_as_declared_is_nothing_to_do(self):
        entries = declared_files(declared(rule()), {})
        wanted = plan(entries, self.state(entries))
        assert wanted.empty
        assert wanted.diff() == []

    @pytest.mark.parametrize(
        ("differs", "shown"),
        [
            ({"running": {GUARD: "table\n", UFW[4]: "rules\nby hand\n"}}, "by hand"),
            ({"running": {UFW[4]: "rules\n"}}, "table inet bulwark_guard (in force)"),
            ({"off": ("policy of INPUT is DROP",)}, "not so yet: policy of INPUT is DROP"),
            ({"units": ("ufw.service is enabled",)}, "not so yet: ufw.service is enabled"),
        ],
    )
    def test_whatever_differs_is_planned_and_shown(self, differs, shown):
        entries = declared_files(declared(rule()), {})
        wanted = plan(entries, self.state(entries, **differs))
        assert not wanted.empty
        assert shown in str(wanted.diff())

    def test_a_file_is_not_shown_beside_what_is_in_force_of_it(self):
        entries = declared_files(declared(rule()), {})
        there = self.state(entries, running={GUARD: "", UFW[4]: "rules\n"})
        there.files[files.GUARD] = None
        headers = [part["before_header"] for part in plan(entries, there).diff()]
        assert headers == ["table inet bulwark_guard (in force)"]

    def test_a_change_that_waits_is_told(self):
        entries = declared_files(declared(rule()), {})
        wanted = plan(entries, self.state(entries, pending=True))
        assert wanted.empty
        assert "has not been confirmed yet" in str(wanted.diff())


def test_the_way_back_is_a_shell_script():
    subprocess.run(["sh", "-n"], input=files.ROLLBACK_TEXT, text=True, check=True)
