"""The way out of a private server, against a router that hands out addresses as the vendor does (see files/)."""

import pytest

EXPECTED = {
    "default via 10.0.0.1 dev enp7s0 proto static onlink",
    "10.0.0.0/16 via 10.0.0.1 dev enp7s0 proto static onlink",
    "10.0.0.1 dev enp7s0 proto static scope link",
}


def routes(host):
    return {" ".join(line.split()) for line in host.check_output("ip -4 route show").splitlines()}


def wait_for_address(host):
    host.check_output("/usr/lib/systemd/systemd-networkd-wait-online --interface=enp7s0 --ipv4 --timeout=30")


def test_the_route_table_is_the_declared_one_and_nothing_of_the_dhcp_answers(host):
    assert routes(host) == EXPECTED


def test_the_address_still_comes_by_dhcp(host):
    assert "10.0.0.3/32" in host.check_output("ip -4 address show dev enp7s0 dynamic")


def test_packets_reach_the_internet_by_the_router(host):
    host.check_output("ping -c 1 -W 2 192.0.2.80")
    host.check_output("ip route delete default")
    try:
        assert host.run("ping -c 1 -W 1 192.0.2.80").rc != 0, "there is another way, so the first answer proves nothing"
    finally:
        host.check_output("networkctl reconfigure enp7s0")
        wait_for_address(host)
    host.check_output("ping -c 1 -W 2 192.0.2.80")


def test_the_resolvers_are_asked_and_the_mtu_is_the_networks(host):
    assert host.check_output("resolvectl dns enp7s0").split(": ")[1] == "185.12.64.1 185.12.64.2"
    assert host.file("/sys/class/net/enp7s0/mtu").content_string.strip() == "1450"


def test_all_of_it_is_there_after_networkd_starts_anew(host):
    host.check_output("ip -4 address flush dev enp7s0")
    host.check_output("systemctl restart systemd-networkd")
    wait_for_address(host)
    assert routes(host) == EXPECTED


def test_the_file_is_bound_to_the_interface_and_comes_before_netplans(host):
    status = host.check_output("networkctl status enp7s0")
    assert "Network File: /etc/systemd/network/05-bulwark-private.network" in status
    assert host.file("/etc/systemd/network/05-bulwark-private.network").contains("^MACAddress=86:00:00:12:34:56$")
    assert host.service("systemd-networkd").is_enabled


@pytest.mark.parametrize("unit", ["hc-net-scan.service", "hc-net-ifup@.service"])
def test_no_other_dhcp_client_is_started(host, unit):
    assert host.run(f"systemctl is-enabled {unit}").stdout.strip() == "masked"
    assert host.check_output("systemctl list-units --no-legend --state=active 'hc-net-*'") == ""
