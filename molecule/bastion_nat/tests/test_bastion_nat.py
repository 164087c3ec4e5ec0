"""What the bastion lets through, with real packets between its neighbours (see files/cables.sh)."""

import pytest

INSIDE, OUTSIDE, THIRD = "10.0.0.3", "192.0.2.80", "172.30.0.2"
PUBLIC = "203.0.113.10"


def ask(host, address, source=None):
    """Which address the server there sees, asked from a neighbour or from the bastion; empty when nothing answers."""
    enter = f"ip netns exec {source} " if source else ""
    return host.run(f"{enter}curl --silent --max-time 1 http://{address}/").stdout


def holds(host):
    """The whole promise in short: out under the bastion's address, and not in."""
    assert ask(host, OUTSIDE, "inside") == PUBLIC
    assert ask(host, INSIDE) == "10.0.0.2", "nothing listens inside, so a closed port would prove nothing"
    assert ask(host, INSIDE, "outside") == ""


@pytest.fixture
def foreign_table(host):
    """Rules that belong to somebody else."""
    host.check_output("nft add table ip somebody_else")
    yield "somebody_else"
    host.run("nft delete table ip somebody_else")


def test_inside_goes_out_under_the_bastions_address_and_nobody_comes_in(host):
    holds(host)


def test_the_rules_are_what_keeps_the_outside_out(host):
    host.check_output("systemctl stop bulwark-nat")
    try:
        assert ask(host, INSIDE, "outside") == OUTSIDE
        assert ask(host, OUTSIDE, "inside") != PUBLIC
    finally:
        host.check_output("systemctl start bulwark-nat")
    holds(host)


def test_a_third_interface_reaches_the_outside_as_before_and_the_inside_never(host):
    assert ask(host, OUTSIDE, "third") == THIRD
    assert ask(host, INSIDE, "third") == ""
    assert ask(host, THIRD, "inside") == ""


def test_a_source_outside_the_network_is_not_let_out(host):
    host.check_output("ip -n inside address add 10.99.0.3/32 dev cable")
    host.check_output("ip route add 10.99.0.3 dev enp7s0")
    try:
        command = "ip netns exec inside curl --silent --max-time 1 --interface 10.99.0.3 http://"
        assert host.run(command + OUTSIDE).stdout == ""
        assert host.run(command + "10.0.0.2:22").rc != 28, "the address does not work at all"
    finally:
        host.run("ip route delete 10.99.0.3; ip -n inside address delete 10.99.0.3/32 dev cable")


def test_the_bastions_metadata_is_not_the_private_servers(host):
    assert ask(host, "169.254.169.254") == PUBLIC
    assert ask(host, "169.254.169.254", "inside") == ""


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_a_restart_or_reload_keeps_the_way_out_and_other_rules(host, foreign_table, verb):
    host.check_output("systemctl %s bulwark-nat", verb)
    holds(host)
    assert foreign_table in host.check_output("nft list tables")


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_the_distributions_own_unit_may_empty_all_rules(host, verb):
    host.check_output("systemctl start nftables && systemctl restart bulwark-nat")
    try:
        host.check_output("systemctl %s nftables", verb)
        # Waits for what that has set going; where it has not, the unit counts as started and nothing happens.
        host.check_output("systemctl start bulwark-nat")
        holds(host)
    finally:
        host.run("systemctl stop nftables; systemctl start bulwark-nat")


def test_stopping_takes_away_its_own_table_only_even_when_that_is_gone(host, foreign_table):
    host.check_output("nft delete table ip bulwark_nat")
    host.check_output("systemctl stop bulwark-nat")
    try:
        tables = host.check_output("nft list tables")
        assert foreign_table in tables
        assert "bulwark_nat" not in tables
    finally:
        host.check_output("systemctl start bulwark-nat")


def test_many_restarts_in_a_row_leave_it_running(host):
    for _ in range(8):
        host.check_output("systemctl restart bulwark-nat")
    holds(host)


def test_it_is_there_after_a_reboot(host):
    assert host.service("bulwark-nat").is_enabled
    before = host.check_output("systemctl show -P Before bulwark-nat").split()
    assert "network-pre.target" in before
    assert host.file("/etc/sysctl.d/60-bulwark-nat.conf").contains("^net.ipv4.ip_forward = 1$")
