"""What the firewall lets through, with real packets between the host and its neighbours (see files/cables.sh)."""

import time
from contextlib import contextmanager

import pytest

HOST, PUBLIC, OUTSIDE, CONTAINER = "10.0.0.2", "203.0.113.10", "192.0.2.80", "172.30.0.2"


def ask(host, address, port=80, source=None):
    """Which address the server there sees, asked from a neighbour or from the host; empty when nothing answers."""
    enter = f"ip netns exec {source} " if source else ""
    return host.run(f"{enter}curl --silent --max-time 1 http://{address}:{port}/").stdout


def ping(host, address, source):
    return host.run(f"ip netns exec {source} ping -c 1 -W 1 {address}").rc == 0


@contextmanager
def without(host, *layers):
    """The host without one of the layers, or without both: so that a closed port is seen to be one that answers."""
    if "ufw" in layers:
        host.check_output("systemctl stop ufw")
    if "guard" in layers:
        host.check_output("nft delete table inet bulwark_guard")
    try:
        yield
    finally:
        host.check_output("systemctl reload bulwark-guard && systemctl start ufw")


@pytest.mark.parametrize("port", [80, 3005, 9100, 8080])
def test_who_has_a_rule_gets_in_to_the_host_and_to_a_published_port(host, port):
    assert ask(host, HOST, port, "friend") == "10.0.0.3"
    assert ask(host, HOST, port, "stranger") == ""


@pytest.mark.parametrize("port", [9000, 8081])
def test_a_port_without_a_rule_is_closed_though_it_answers(host, port):
    assert ask(host, HOST, port, "friend") == ""
    with without(host, "ufw", "guard"):
        assert ask(host, HOST, port, "friend") == "10.0.0.3"


def test_ufw_alone_lets_strangers_in_to_published_ports_and_the_guard_alone_does_not(host):
    with without(host, "guard"):
        assert ask(host, HOST, 8081, "stranger") == "10.0.0.4"
    with without(host, "ufw"):
        assert ask(host, HOST, 8081, "stranger") == ""
        assert ask(host, HOST, 9000, "stranger") == ""
        assert ask(host, HOST, 8080, "friend") == "10.0.0.3"


def test_ipv6_is_the_same(host):
    assert ask(host, "[fd00::a:1]", 80, "friend") == "fd00::a:2"
    assert ask(host, "[fd00::a:1]", 9000, "friend") == ""
    assert ask(host, "[fd00::b:1]", 80, "stranger") == ""
    # Somebody on the same wire needs no address but the link's own.
    link_local = host.check_output("ip -6 -o address show dev enp8s0 scope link | awk '{print $4}' | cut -d/ -f1")
    assert link_local.startswith("fe80")
    address = f"[{link_local}%25cable]"
    assert ask(host, address, 80, "stranger") == ""
    with without(host, "ufw", "guard"):
        assert ask(host, address, 80, "stranger").startswith("fe80")


@pytest.mark.parametrize(("friend", "stranger"), [(HOST, HOST), ("fd00::a:1", "fd00::b:1")])
def test_the_echo_is_answered_by_rule_only(host, friend, stranger):
    assert ping(host, friend, "friend")
    assert not ping(host, stranger, "stranger")


def test_the_host_itself_gets_out_and_has_its_answers(host):
    assert ask(host, "10.0.0.4") == HOST
    assert ask(host, CONTAINER) == "172.30.0.1"
    assert ask(host, HOST, 9000) == HOST
    assert host.run("ping -c 1 -W 1 10.0.0.4").rc == 0


def test_container_addresses_cannot_be_reached_directly(host):
    assert ask(host, CONTAINER, 80, "stranger") == ""
    assert ask(host, CONTAINER, 80, "friend") == ""
    with without(host, "guard"):
        assert ask(host, CONTAINER, 80, "stranger") == "10.0.0.4"


def test_containers_get_out_and_to_their_own_rules_but_not_to_the_host_or_its_metadata(host):
    assert ask(host, "10.0.0.4", 80, "container") == CONTAINER
    assert ask(host, "172.30.0.1", 9100, "container") == CONTAINER
    for port in (80, 9000, 8080):
        assert ask(host, "172.30.0.1", port, "container") == ""
    host.check_output("ip route add 169.254.169.254 dev eth0")
    try:
        assert ask(host, "169.254.169.254") == PUBLIC
        assert ask(host, "169.254.169.254", 80, "container") == ""
        assert ask(host, "169.254.169.254", 80, "friend") == ""
    finally:
        host.run("ip route delete 169.254.169.254")


def test_forwarding_goes_out_only_and_for_whom_it_is_declared(host):
    assert ask(host, OUTSIDE, 80, "friend") == "10.0.0.3"
    assert ask(host, OUTSIDE, 80, "stranger") == ""
    assert ask(host, "10.0.0.3", 80, "outside") == ""
    assert ask(host, "10.0.0.4", 80, "friend") == ""


def test_errors_about_ones_own_packets_come_back(host):
    # A port where nothing listens: the answer is an ICMP error, without which this would take its full second.
    script = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1); "
        "s.connect(('10.0.0.4', 9)); s.send(b'x'); s.recv(1)"
    )
    assert "ConnectionRefusedError" in host.run(f'python3 -c "{script}"').stderr


def hold(host, port):
    """The friend opens a connection; returns the path of the file upon which it is used again."""
    trigger = f"/run/held-{port}"
    host.run(f"rm -f {trigger}*")
    unit = f"systemd-run --quiet --collect --unit=held-{port} --property=StandardOutput=file:{trigger}.said"
    host.check_output(f"{unit} ip netns exec friend python3 /root/hold.py {HOST} {port} {trigger}")
    wait_for(host, f"test -e {trigger}.ready")
    return trigger


def became(host, trigger):
    """What became of the connection when it was used again."""
    host.check_output(f"touch {trigger}")
    wait_for(host, f"test -s {trigger}.said")
    return host.check_output(f"cat {trigger}.said")


def wait_for(host, command):
    for _ in range(200):
        if host.run(command).rc == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"never: {command}")


@pytest.mark.parametrize("port", [80, 8080])
def test_who_is_taken_out_is_cut_off(host, port):
    trigger = hold(host, port)
    other = host.check_output("cat /etc/bulwark/guard.nft").replace("10.0.0.3/32", "10.0.0.99/32")
    host.check_output(f"nft -f - <<'RULES'\n{other}\nRULES")
    try:
        assert became(host, trigger) == "cut"
    finally:
        host.check_output("systemctl reload bulwark-guard")


@pytest.mark.parametrize("port", [80, 8080])
def test_who_stays_keeps_a_connection_while_both_layers_are_loaded_anew(host, port):
    trigger = hold(host, port)
    host.check_output("systemctl reload bulwark-guard && ufw reload")
    assert became(host, trigger) == "alive"


@pytest.mark.parametrize(
    "event",
    ["ufw reload", "ufw disable; ufw --force enable", "systemctl restart ufw", "systemctl restart bulwark-guard"],
)
def test_nothing_gets_in_meanwhile(host, event):
    """A probe goes on while it happens; the guard's counter shows that its packets really came, before and after."""
    probe = "while :; do curl -s --max-time 0.05 http://10.0.0.2:9000/ && echo leaked; done"
    refused = "nft list counter inet bulwark_guard dropped_to_host"
    came = f"until {refused} | grep -q 'packets [1-9]'; do sleep 0.05; done"
    said = host.check_output(
        f"nft reset counters table inet bulwark_guard >/dev/null; systemd-run --quiet --collect --unit=probe "
        f"--property=StandardOutput=file:/run/probe ip netns exec stranger sh -c '{probe}'; "
        f'timeout 20 sh -c "{came}" || echo no packets before; {{ {event}; }} >/dev/null; '
        f'nft reset counters table inet bulwark_guard >/dev/null; timeout 20 sh -c "{came}" || echo no packets after; '
        "systemctl stop probe; cat /run/probe; rm /run/probe"
    )
    assert said == ""
    assert ask(host, HOST, 80, "friend") == "10.0.0.3"


def test_other_peoples_rules_are_as_they_were(host):
    saved = host.check_output("iptables-save -t filter")
    assert "somebody-else" in saved
    assert "-A FORWARD -j DOCKER-USER" in saved
    assert "table ip published" in host.check_output("nft list ruleset")


def test_ufw_shows_exactly_the_declared_rules(host):
    added = host.check_output("ufw show added").splitlines()[1:]
    assert added == [
        "ufw allow from 10.0.0.3 to any port 80 proto tcp comment 'web'",
        "ufw allow from 10.0.0.3 to any port 8080 proto tcp comment 'web'",
        "ufw allow from 10.0.0.3 to any port 3000:3010 proto tcp comment 'range'",
        "ufw allow from 10.0.0.0/24 to any port 53 proto udp comment 'names'",
        "ufw allow from 10.0.0.3 to any port 9100 proto tcp comment 'node-metrics'",
        "ufw allow from 172.30.0.0/24 to any port 9100 proto tcp comment 'node-metrics'",
        "ufw route allow in on enp7s0 out on eth0 from 10.0.0.3 comment 'internet'",
        "ufw allow from fd00::a:2 to any port 80 proto tcp comment 'web'",
        "ufw allow from fd00::a:2 to any port 8080 proto tcp comment 'web'",
        "ufw allow from fd00::/16 to any port 53 proto udp comment 'names'",
    ]


def test_ufw_writes_the_rules_in_the_same_form(host):
    """What UFW writes itself is compared byte by byte, so that using it does not count as a change."""

    def rules():
        return host.check_output("cat /etc/ufw/user*.rules | sed -n '/### RULES/,/### END RULES/p'")

    before = rules()
    host.check_output("ufw allow 8999 && ufw delete allow 8999")
    assert rules() == before


def test_it_is_there_after_a_reboot(host):
    assert host.service("bulwark-guard").is_enabled
    assert host.service("ufw").is_enabled
    assert host.file("/etc/systemd/system/nftables.service").linked_to == "/dev/null"
    before = host.check_output("systemctl show -P Before bulwark-guard").split()
    assert {"network-pre.target", "ufw.service", "docker.service"} <= set(before)


def test_nothing_waits_to_be_confirmed(host):
    assert not host.file("/etc/bulwark/firewall-previous").exists
    assert not host.file("/run/bulwark-firewall-armed").exists
    assert host.run("systemctl is-active bulwark-firewall-rollback.timer").rc != 0


def test_only_root_reads_and_runs_what_the_firewall_is_made_of(host):
    assert host.file("/etc/bulwark/guard.nft").mode == 0o600
    assert host.file("/etc/bulwark/firewall-rollback").mode == 0o700


# The last one: it leaves other rules behind.
def test_a_run_killed_anywhere_leaves_the_host_neither_open_nor_locked_and_the_next_ends_right(host):
    """files/killed.py kills the module at every program it starts; it prints what does not hold."""
    done = host.run("python3 /root/killed.py")
    assert (done.rc, done.stdout) == (0, ""), done.stderr
    # All the programs of a whole change, or this would have proven nothing.
    assert int(done.stderr.split("programs:")[1]) > 10
