"""What the cloud's own network does to packets: firewalls, routes, and what never leaves.

Everything happens to two servers of our own beside the environment's, reached from the embedded internet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import hcloud
import pytest
from hcloud.actions import BoundAction
from hcloud.firewalls import BoundFirewall, FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.locations import Location
from hcloud.networks import NetworkRoute, NetworkSubnet
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer

from lab.net import firewall as cloud_firewall
from lab.net import internet, uplink
from tests.launcher import launcher, on, succeed

PORTS = (7999, 8000, 8005, 8010, 8011)
ANYWHERE = ["0.0.0.0/0", "::/0"]
USER, ADMIN = "198.51.100.20/32", "198.51.100.10/32"
#: Reserved for documentation (RFC 5737, TEST-NET-3), and outside of the lab.
ELSEWHERE = "203.0.113.77"

_LISTEN = """
import selectors, socket, sys
selector = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        key.fileobj.accept()[0].close()
"""
_PROBE = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(port):
    try:
        socket.create_connection((sys.argv[1], port), timeout=2).close()
    except OSError:
        return None
    return port
ports = list(map(int, sys.argv[2:]))
with ThreadPoolExecutor(len(ports)) as pool:
    print(*filter(None, pool.map(opens, ports)))
"""


@dataclass
class Trial:
    """Our client, and two public servers: one that listens, and one that is somebody else's as far as it knows."""

    client: hcloud.Client
    target: BoundServer
    peer: BoundServer

    @property
    def ipv4(self) -> str:
        return str(self.target.public_net.ipv4.ip)

    @property
    def ipv6(self) -> str:
        return str(self.target.public_net.ipv6.ip).replace("/64", "1")


def wait(actions: Sequence[BoundAction | None]) -> None:
    for action in actions:
        if action is not None:
            action.wait_until_finished()


def eventually(holds: Callable[[], bool], what: str) -> None:
    for _ in range(100):
        if holds():
            return
        time.sleep(0.2)
    pytest.fail(what)


def pings(host: str, address: str, *options: str) -> bool:
    return launcher("exec", host, "ping", "-c", "1", "-W", "2", *options, address).code == 0


def opened(person: str, address: str) -> list[int]:
    """The ports of PORTS that somebody on the embedded internet can connect to."""
    words = ["ip", "netns", "exec", person, sys.executable, "-c", _PROBE, address, *map(str, PORTS)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [int(port) for port in done.stdout.split()]


def remove_everything(client: hcloud.Client) -> None:
    ours = [server for server in client.servers.get_all() if server.name.startswith("trial-")]
    wait([server.delete() for server in ours])
    for firewall in client.firewalls.get_all():
        if firewall.name.startswith("trial-"):
            wait(firewall.remove_from_resources(firewall.applied_to) if firewall.applied_to else [])
            firewall.delete()
    for network in client.networks.get_all():
        if network.name.startswith("trial-"):
            network.delete()


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    token, endpoint = succeed("shell", feed="echo $HCLOUD_TOKEN; echo $HCLOUD_ENDPOINT").splitlines()
    client = hcloud.Client(token, api_endpoint=endpoint, poll_interval=0.2)
    remove_everything(client)
    servers = []
    for name in ("trial-target", "trial-peer"):
        image = client.images.get_by_name_and_architecture("debian-13", "arm")
        assert image is not None
        response = client.servers.create(
            name=name, server_type=ServerType(name="cax11"), image=image, location=Location(name="fsn1")
        )
        wait([response.action, *response.next_actions])
        servers.append(client.servers.get_by_id(response.server.id))
    found = Trial(client, *servers)
    eventually(lambda: pings("trial-peer", found.ipv4) and pings("trial-peer", found.ipv6), "the servers did not boot")
    on("trial-target", "systemd-run", "--quiet", "python3", "-c", _LISTEN, *map(str, PORTS))
    eventually(lambda: opened(internet.USER, found.ipv4) == list(PORTS), "nothing listens, or something is in the way")
    yield found
    remove_everything(client)


@pytest.fixture
def guarded(trial: Trial) -> Iterator[BoundFirewall]:
    """A firewall in force on the target because of a label: ports 8000 to 8010 for the user, over IPv6 for all."""
    selector = FirewallResource("label_selector", label_selector=FirewallResourceLabelSelector("trial=guarded"))
    response = trial.client.firewalls.create(
        "trial-firewall",
        rules=[
            FirewallRule("in", "tcp", [USER, "::/0"], port="8000-8010"),
            FirewallRule("in", "icmp", ANYWHERE),
        ],
        resources=[selector],
    )
    wait(response.actions or [])
    label(trial, {"trial": "guarded"})
    yield response.firewall
    label(trial, {})
    wait(response.firewall.remove_from_resources([selector]))
    response.firewall.delete()


def label(trial: Trial, labels: dict[str, str]) -> None:
    """Labels take effect by actions that their answer does not name."""
    trial.target.update(labels=labels)
    eventually(
        lambda: all(action.status != "running" for action in trial.target.get_actions()), "the firewall is not applied"
    )


def test_a_firewall_lets_through_what_its_rules_say(trial: Trial, guarded: BoundFirewall) -> None:
    assert opened(internet.USER, trial.ipv4) == [8000, 8005, 8010]
    assert opened(internet.ADMIN, trial.ipv4) == []
    assert opened(internet.ADMIN, trial.ipv6) == [8000, 8005, 8010]
    assert pings("trial-peer", trial.ipv4)
    assert pings("trial-peer", trial.ipv6)


def test_a_firewall_is_changed_while_it_is_in_force(trial: Trial, guarded: BoundFirewall) -> None:
    wait(guarded.set_rules([FirewallRule("in", "tcp", [ADMIN], port="8011")]))
    assert opened(internet.USER, trial.ipv4) == []
    assert opened(internet.ADMIN, trial.ipv4) == [8011]
    assert not pings("trial-peer", trial.ipv4)
    assert not pings("trial-peer", trial.ipv6)
    # What the server asked for itself still comes back.
    assert pings("trial-target", str(trial.peer.public_net.ipv4.ip))


def test_rules_for_what_goes_out_close_the_rest(trial: Trial, guarded: BoundFirewall) -> None:
    assert pings("trial-target", str(trial.peer.public_net.ipv4.ip))
    wait(guarded.set_rules([FirewallRule("out", "tcp", [], destination_ips=ANYWHERE, port="80")]))
    assert on("trial-target", "curl", "-s", "-m", "5", "http://198.51.100.80/") == trial.ipv4
    assert not pings("trial-target", str(trial.peer.public_net.ipv4.ip))


def test_without_the_label_the_firewall_is_gone(trial: Trial, guarded: BoundFirewall) -> None:
    assert opened(internet.ADMIN, trial.ipv4) == []
    label(trial, {})
    assert opened(internet.ADMIN, trial.ipv4) == list(PORTS)


def counting(host: str, *rules: str) -> None:
    """Count packets that arrive at a server, before anything else looks at them."""
    lines = [f"add rule inet trial seen {rule} counter" for rule in rules]
    start = ["add table inet trial", "delete table inet trial", "add table inet trial"]
    chain = "add chain inet trial seen { type filter hook prerouting priority raw; }"
    on(host, "nft", "; ".join([*start, chain, *lines]))


def counters(words: Sequence[str]) -> list[int]:
    """The packets counted by the rules of a chain, in their order."""
    listed: dict[str, Any] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    rules = [item["rule"] for item in listed["nftables"] if "rule" in item]
    return [part["counter"]["packets"] for rule in rules for part in rule["expr"] if "counter" in part]


def seen(host: str) -> list[int]:
    return counters(["./bulwark", "exec", host, "nft", "-j", "list", "chain", "inet", "trial", "seen"])


def test_nobody_sends_from_an_address_that_is_not_his(trial: Trial) -> None:
    stolen, own = ADMIN.removesuffix("/32"), str(trial.peer.public_net.ipv4.ip)
    counting("trial-target", f"ip saddr {stolen} icmp type echo-request", f"ip saddr {own} icmp type echo-request")
    on("trial-peer", "ip", "address", "replace", ADMIN, "dev", "lo")
    assert not pings("trial-peer", trial.ipv4, "-I", stolen)
    assert pings("trial-peer", trial.ipv4, "-I", own)
    assert seen("trial-target") == [0, 1]
    on("trial-peer", "ip", "address", "delete", ADMIN, "dev", "lo")


def test_a_network_route_is_followed_and_never_handed_back(trial: Trial) -> None:
    """The peer is the gateway of a network of ours, the target a member."""
    network = trial.client.networks.create(
        "trial-network", "10.200.0.0/16", [NetworkSubnet("10.200.0.0/24", type="cloud", network_zone="eu-central")]
    )
    wait([trial.peer.attach_to_network(network, ip="10.200.0.2")])
    wait([trial.target.attach_to_network(network, ip="10.200.0.3")])
    eventually(lambda: pings("trial-target", "10.200.0.2"), "the members do not reach each other")
    for host in ("trial-target", "trial-peer"):
        on(host, "ip", "route", "replace", ELSEWHERE, "via", "10.200.0.1", "dev", "enp7s0", "onlink")
    route = NetworkRoute("0.0.0.0/0", "10.200.0.2")
    counting("trial-peer", f'iifname "enp7s0" ip daddr {ELSEWHERE}')
    assert not pings("trial-target", ELSEWHERE)
    assert seen("trial-peer") == [0], "there is no route yet"
    wait([network.add_route(route)])
    assert not pings("trial-target", ELSEWHERE)
    assert seen("trial-peer") == [1]
    assert not pings("trial-peer", ELSEWHERE)
    assert seen("trial-peer") == [1], "what the gateway sends came back to it"
    wait([network.delete_route(route)])
    assert not pings("trial-target", ELSEWHERE)
    assert seen("trial-peer") == [1]
    for host in ("trial-target", "trial-peer"):
        on(host, "ip", "route", "delete", ELSEWHERE)
    wait([trial.target.detach_from_network(network), trial.peer.detach_from_network(network)])
    assert "enp7s0" not in on("trial-target", "ip", "-o", "link")
    network.delete()


@pytest.fixture
def watched() -> Iterator[Callable[[], list[int]]]:
    """Counts what passed the uplink's rules towards the machine's own network: web, and anything else.

    What is meant for ELSEWHERE is taken out then, so that the test itself sends nothing away.
    """
    table = "inet bulwark_trial_watch"
    carried = f'iifname "{uplink.INTERNET.link}"'
    rules = f"""
table {table}
delete table {table}
table {table} {{
  chain seen {{
    type filter hook forward priority filter - 5;
    {carried} ip daddr {ELSEWHERE} tcp dport {{ 80, 443 }} counter drop
    {carried} ip daddr {ELSEWHERE} counter drop
    {carried} ip daddr {{ {", ".join(cloud_firewall.NOT_CARRIED)} }} counter drop
  }}
}}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    yield lambda: counters(["nft", "-j", "list", "chain", *table.split(), "seen"])
    subprocess.run(["nft", "delete", "table", *table.split()], check=True)


def attempt(host: str, *targets: str) -> None:
    """Send towards targets such as tcp/203.0.113.77/22, all at the same time; whether anything answers is not asked."""
    tries = [f"timeout 2 bash -c 'echo > /dev/{target}' &" for target in targets]
    launcher("exec", host, "bash", "-c", "\n".join([*tries, "wait"]))


@pytest.mark.usefixtures("trial")
def test_only_web_traffic_leaves_by_the_uplink(watched: Callable[[], list[int]]) -> None:
    others = [f"tcp/{ELSEWHERE}/{port}" for port in (22, 25, 53, 8080)]
    attempt("trial-peer", *others, *(f"udp/{ELSEWHERE}/{port}" for port in (53, 123, 443)))
    assert not pings("trial-peer", ELSEWHERE)
    assert watched() == [0, 0, 0]
    attempt("trial-peer", f"tcp/{ELSEWHERE}/443")
    web, other, private = watched()
    assert web > 0
    assert (other, private) == (0, 0)


@pytest.mark.usefixtures("trial")
def test_private_addresses_are_not_carried(watched: Callable[[], list[int]]) -> None:
    """The last one would be the metadata service of the cloud that this machine itself may be in."""
    addresses = ("10.1.2.3", "172.20.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254")
    attempt("trial-peer", *(f"tcp/{address}/80" for address in addresses))
    assert watched() == [0, 0, 0]
    attempt("trial-peer", f"tcp/{ELSEWHERE}/80")
    assert watched()[0] > 0, "nothing at all was counted"


def test_the_machine_itself_is_told_that_it_has_no_way_in(trial: Trial) -> None:
    """A program on the machine that means a server of the lab gets an error, and its packet does not leave."""
    probe = subprocess.run(["timeout", "10", "bash", "-c", f"exec 3<>/dev/tcp/{trial.ipv4}/8000"], check=False)
    assert probe.returncode == 1, "refused at once, not left to wait"
