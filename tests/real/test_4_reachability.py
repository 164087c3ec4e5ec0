"""Zero trust, proven with packets: exactly the flows are open, for host processes and for what Docker publishes.

What should be open is written down here once more, from the architecture and not from the collection's table.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import docker
import hcloud
import pytest
from hcloud.locations import Location
from hcloud.networks import NetworkSubnet
from hcloud.server_types import ServerType

from lab import engine, lifecycle, settings
from lab.drivers.docker.driver import container_name
from lab.net import internet, router
from tests.launcher import launcher, on, succeed
from tests.real.scanning import CAREFUL, Place, complete, namespace, process, reached
from tests.real.test_1_first_run import BASTION, PRIVATE, status_of
from tests.real.test_3_cloud_network import counters, eventually, remove_everything, wait

HOSTS = (*PRIVATE, BASTION)
APPS, DATABASES, MONITOR = ("app-01", "app-02"), ("db-primary", "db-replica"), "monitor-01"
FEW = "1-1024,2375-2380,3000-3100,3306,5432,6379,7777,8080,9090-9100,9187,12345"
SETS = [pytest.param(FEW, id="few"), pytest.param("1-65535", id="all", marks=pytest.mark.full)]
#: Few ports, one of them that no flow is for, and no page.
WITH_7999 = json.dumps({"verify_ports": ["1-100", "7999"], "verify_page_path": ""})
STRAY, STRAY_PORT = "bulwark-stray", 7777


def expected(source: str, target: str) -> set[int]:
    """The TCP ports that one server may open on another."""
    ports: set[int] = set()
    if source == BASTION:
        ports |= {22}
        ports |= {9090, 3001, 9093} if target == MONITOR else set()
    if source == MONITOR:
        ports |= {9100}
        ports |= {80} if target in APPS else set()
    if target == MONITOR:
        ports |= {3100}
    if source in APPS and target == "jobs-01":
        ports |= {80}
    if target in DATABASES:
        ports |= {5432}  # for everybody there is: application, jobs, bastion, monitoring, the other database
    return ports


@dataclass(frozen=True)
class Machines:
    """Where each server is, and its private address."""

    places: dict[str, Place]
    addresses: dict[str, str]
    ids: dict[str, int]
    network: str

    def expected_from(self, source: str) -> dict[str, set[int]]:
        return {self.addresses[target]: expected(source, target) for target in HOSTS if target != source}


def place_of(name: str, server_id: int) -> Place:
    client = docker.DockerClient(base_url=engine.find())
    try:
        pid = int(client.api.inspect_container(container_name(server_id))["State"]["Pid"])
    finally:
        client.close()
    return process(name, pid)


@pytest.fixture
def machines() -> Machines:
    """As they are now: a test before may have made a server again."""
    servers = {server["name"]: server for server in lifecycle.api("/servers?per_page=50")["servers"]}
    attached = servers[BASTION]["private_net"][0]["network"]
    return Machines(
        {name: place_of(name, servers[name]["id"]) for name in HOSTS},
        {name: servers[name]["private_net"][0]["ip"] for name in HOSTS},
        {name: servers[name]["id"] for name in HOSTS},
        router.name(attached),
    )


def test_verify_finds_exactly_the_flows_open(tmp_path: Path) -> None:
    report, page = tmp_path / "report.json", tmp_path / "page.html"
    options = ("-e", f"verify_report_path={report}", "-e", f"verify_page_path={page}")
    said = succeed("run", "playbooks/verify.yml", *options)
    checks = [check for check in json.loads(report.read_text())["checks"] if check["check"] == "reachability"]
    assert {check["host"]: check["ok"] for check in checks} == dict.fromkeys(HOSTS, True)
    assert "unexpected openings: 0, wrongly closed: 0" in " ".join(said.split())
    assert "There are openings" not in page.read_text()


def test_verify_finds_an_opening_and_a_closed_flow(machines: Machines, tmp_path: Path) -> None:
    """The proof proves something: two rules by hand, under and above the host's own, and it names both."""
    report = tmp_path / "report.json"
    opened = f"ip saddr {machines.addresses['app-01']} tcp dport 7999 accept"
    closed = f"ip saddr {machines.addresses['jobs-01']} tcp dport 5432 drop"
    with chain_by_hand("db-primary", closed), rule_by_hand("db-primary", opened):
        answer = launcher("run", "playbooks/verify.yml", "-e", f"verify_report_path={report}", "-e", WITH_7999)
    assert answer.code != 0
    details = {check["host"]: check["detail"] for check in failed_reachability(report)}
    assert set(details) == {"app-01", "jobs-01"}
    assert "open and should be closed to db-primary: tcp 7999" in details["app-01"]
    assert "closed and should be open to db-primary: tcp 5432" in details["jobs-01"]


def failed_reachability(report: Path) -> list[dict[str, Any]]:
    checks = json.loads(report.read_text())["checks"]
    return [check for check in checks if check["check"] == "reachability" and not check["ok"]]


@contextmanager
def chain_by_hand(host: str, rule: str) -> Iterator[None]:
    """A rule that is asked before all others."""
    chain = "add chain inet bulwark_trial early { type filter hook prerouting priority raw; }"
    on(host, "nft", f"add table inet bulwark_trial; {chain}; add rule inet bulwark_trial early {rule}")
    try:
        yield
    finally:
        on(host, "nft", "delete", "table", "inet", "bulwark_trial")


@contextmanager
def rule_by_hand(host: str, rule: str) -> Iterator[None]:
    """A rule at the head of every chain that judges what comes in, of whichever table, and taken out again."""
    listed = json.loads(on(host, "bash", "-c", "nft -j list chains 2>/dev/null"))["nftables"]
    chains = [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in (entry["chain"] for entry in listed if "chain" in entry)
        if chain.get("hook") in ("prerouting", "input") and chain.get("type") == "filter"
        if chain["family"] in ("inet", "ip") and chain["table"] != "bulwark_trial"
    ]
    handles = []
    try:
        for chain in chains:
            said = on(host, "nft", "--echo", "--handle", f"insert rule {chain} {rule}")
            handles.append((chain, said.split("# handle ")[1].split()[0]))
        yield
    finally:
        for chain, handle in handles:
            on(host, "nft", f"delete rule {chain} handle {handle}")


@pytest.mark.parametrize("ports", SETS)
def test_every_host_to_every_host(machines: Machines, ports: str) -> None:
    """One after the other, each mixing the ports of all others, among which some must answer."""
    surplus = {}
    for name, place in machines.places.items():
        wanted = machines.expected_from(name)
        found = complete(place, wanted, ports=ports)
        print(f"{name}: {sum(map(len, wanted.values()))} of {sum(map(len, wanted.values()))} expected ports found")
        surplus |= {(name, address): found[address] - wanted[address] for address in wanted}
    assert {pair: ports for pair, ports in surplus.items() if ports} == {}


def test_no_host_answers_an_echo_or_udp(machines: Machines) -> None:
    """The resolver on the internet shows that UDP gets out and its answers back."""
    resolver = settings.RESOLVERS[0]
    for name, place in machines.places.items():
        others = [address for target, address in machines.addresses.items() if target != name]
        found = complete(
            place, {resolver: {53}} | {address: set() for address in others}, "-sU", ports="53,123,161", speed=CAREFUL
        )
        assert {address: ports for address, ports in found.items() if ports and address != resolver} == {}, name
        assert pings(place, *others) == [], name


def pings(place: Place, *addresses: str) -> list[str]:
    """Which of these answer an echo; all are asked at the same time."""
    assert shutil.which("ping"), "ping is not installed"
    started = {
        address: subprocess.Popen(
            [*place.words, "ping", "-n", "-c", "2", "-W", "1", address], stdout=subprocess.DEVNULL
        )
        for address in addresses
    }
    return [address for address, program in started.items() if program.wait() == 0]


def test_the_administrator_finds_ssh_and_the_echo_only() -> None:
    address, admin = status_of(BASTION)["public_ip"], namespace(internet.ADMIN)
    assert complete(admin, {address: {22}}, ports=FEW) == {address: {22}}
    assert pings(admin, address) == [address]


@pytest.mark.parametrize("ports", SETS)
def test_somebody_on_the_internet_finds_nothing(ports: str) -> None:
    """A service there answers at every port, refusing most; it shows that the scan sees answers."""
    address, user, service = status_of(BASTION)["public_ip"], namespace(internet.USER), settings.WHATISMYIP_ADDRESS
    found = complete(user, {address: set(), service: {80}}, ports=ports)
    assert found[address] == set()
    assert pings(user, address, service) == [service]


def test_somebody_on_the_internet_finds_nothing_over_ipv6() -> None:
    server = lifecycle.api(f"/servers?name={BASTION}")["servers"][0]
    public = server["public_net"]["ipv6"]
    if public is None:
        assert "inet6 2" not in on(BASTION, "ip", "-6", "address", "show", "scope", "global")
        return
    address = str(ip_network(public["ip"])[1])
    found = complete(namespace(internet.USER), {address: set(), settings.ADMIN_IPV6: {22}}, ports=FEW)
    assert found[address] == set()


def link_local(host: str) -> str:
    rows = json.loads(on(host, "ip", "-6", "-j", "address", "show", "dev", settings.PRIVATE_INTERFACE, "scope", "link"))
    return next(entry["local"] for row in rows for entry in row.get("addr_info", ()))


def neighbour_answers(network: str, cable: str, address: str) -> bool:
    """Whether the far end of a cable is there, as neighbour discovery says, which a firewall must let through."""
    known = subprocess.run(
        ["ip", "-n", network, "-6", "neighbour", "show", address, "dev", cable],
        capture_output=True,
        text=True,
        check=True,
    )
    return "lladdr" in known.stdout


@pytest.mark.parametrize("ports", SETS)
@pytest.mark.parametrize("host", [BASTION, "db-primary", "app-01"])
def test_nothing_answers_at_an_ipv6_link_local_address(machines: Machines, host: str, ports: str) -> None:
    cable, address = router.link(machines.ids[host]), link_local(host)
    place = namespace(machines.network)
    found = reached(place, [address], "-e", cable, ports=ports)
    assert found[address] == set()
    assert pings(place, f"{address}%{cable}") == []
    assert neighbour_answers(machines.network, cable, address), "the scan did not get there at all"


@contextmanager
def stray_container(host: str) -> Iterator[str]:
    """A container published by mistake on all addresses, which listens; its own address."""
    remove = f"docker rm -f {STRAY}; docker rmi {STRAY}; true"
    pack = f"tar -C / --one-file-system -c usr bin lib etc $(cd /; ls -d lib64) | docker import - {STRAY}"
    listen = f"python3 -m http.server {STRAY_PORT}"
    try:
        on(host, "bash", "-c", f"{remove}; {pack}")
        on(host, "bash", "-c", f"docker run --init -d --name {STRAY} -p {STRAY_PORT}:{STRAY_PORT} {STRAY} {listen}")
        eventually(lambda: opens(host, "127.0.0.1"), "the container does not listen, so nothing would be proven")
        network = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        yield on(host, "docker", "inspect", "--format", network, STRAY).splitlines()[-1]
    finally:
        on(host, "bash", "-c", remove)


def opens(host: str, address: str) -> bool:
    return launcher("exec", host, "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{STRAY_PORT}").code == 0


def test_a_container_published_by_mistake_is_closed(machines: Machines) -> None:
    """To every host and over IPv6, and its own address to whoever sends there directly, past Docker's rules."""
    host, ports = "db-primary", f"5432,{STRAY_PORT}"
    address, cable, way = machines.addresses[host], router.link(machines.ids[host]), namespace(machines.network)
    with stray_container(host) as inner:
        for name, place in machines.places.items():
            if name != host:
                assert complete(place, {address: {5432}}, ports=ports, speed=CAREFUL) == {address: {5432}}, name
        assert not reached(way, [link_local(host)], "-e", cable, ports=ports, speed=CAREFUL)[link_local(host)]
        assert opens(host, inner), "the container's own address does not answer its own host"
        with direct_route(machines.network, inner, address, cable), arriving(host, inner) as arrived:
            assert reached(way, [inner], ports=ports, speed=CAREFUL) == {inner: set()}
            assert arrived() > 0, "no packet got to the host, so nothing was proven"


@contextmanager
def direct_route(network: str, inner: str, via: str, cable: str) -> Iterator[None]:
    """Send what is for a container's own address to its host, as a neighbour may."""
    words = ("ip", "-n", network, "route")
    subprocess.run([*words, "replace", f"{inner}/32", "via", via, "dev", cable, "onlink"], check=True)
    try:
        yield
    finally:
        subprocess.run([*words, "delete", f"{inner}/32"], check=True)


@contextmanager
def arriving(host: str, address: str) -> Iterator[Callable[[], int]]:
    """Count the packets for an address that arrive at a host, before any rule looks at them."""
    words = ["./bulwark", "exec", host, "nft", "-j", "list", "chain", "inet", "bulwark_trial", "early"]
    with chain_by_hand(host, f'iifname "{settings.PRIVATE_INTERFACE}" ip daddr {address} counter'):
        yield lambda: sum(counters(words))


@pytest.fixture
def guide_server() -> Iterator[tuple[str, str, int]]:
    """A server set up as the guide does it, UFW and nothing else, beside a router: namespace, address, id."""
    token, endpoint = succeed("shell", feed="echo $HCLOUD_TOKEN; echo $HCLOUD_ENDPOINT").splitlines()
    client = hcloud.Client(token, api_endpoint=endpoint, poll_interval=0.2)
    remove_everything(client)
    image = client.images.get_by_name_and_architecture("debian-13", "arm")
    assert image is not None
    try:
        response = client.servers.create(
            name="trial-guide", server_type=ServerType("cax11"), image=image, location=Location("fsn1")
        )
        wait([response.action, *response.next_actions])
        subnet = NetworkSubnet("10.200.0.0/24", type="cloud", network_zone="eu-central")
        network = client.networks.create("trial-network", "10.200.0.0/16", [subnet])
        wait([response.server.attach_to_network(network, ip="10.200.0.3")])
        eventually(lambda: "10.200.0.3" in on("trial-guide", "hostname", "-I"), "the server has no private address")
        yield router.name(network.id), "10.200.0.3", response.server.id
    finally:
        remove_everything(client)


GUIDE = """set -e
export DEBIAN_FRONTEND=noninteractive
command -v dockerd && command -v ufw || {
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends ufw docker.io docker-cli
} >/dev/null 2>&1
ufw default deny incoming
ufw default allow outgoing
ufw allow 22/tcp
ufw --force enable
systemctl start docker
"""


def test_control_plain_ufw_lets_a_published_port_through(guide_server: tuple[str, str, int]) -> None:
    """The same scanner finds the opening where there is one; and what UFW does close is closed."""
    network, address, _ = guide_server
    on("trial-guide", "bash", "-c", GUIDE)
    on("trial-guide", "systemd-run", "--quiet", "python3", "-m", "http.server", "8080")
    eventually(
        lambda: launcher("exec", "trial-guide", "curl", "-s", "http://127.0.0.1:8080/").code == 0, "not listening"
    )
    with stray_container("trial-guide"):
        found = complete(namespace(network), {address: {22, STRAY_PORT}}, ports=FEW)
    assert found == {address: {22, STRAY_PORT}}
