"""The embedded internet: a namespace that routes between public addresses, and the people who live on it.

Every public interface is a cable of its own with one address behind it, as the real cloud has it: the other end is
the gateway 172.31.1.1, reached on-link, and no two servers share a segment. The rules that guard the internet's
manners stand in one table: nobody sends from an address that is not his, nothing private is carried, and the cloud
firewalls (``lab.net.firewall``) decide what reaches a server.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lab import settings
from lab.cloudflare import dns
from lab.cloudflare.state import Store, saved
from lab.command import run
from lab.net import dnsmasq, firewall, namespaces, uplink

NAME = uplink.INTERNET.namespace
ADMIN = f"{settings.PREFIX}-admin"
USER = f"{settings.PREFIX}-user"

_RESOLVER = "internet"
_FORWARDER = "machine"
GATEWAY_IPV6 = "fe80::1"  # as the vendor's public interfaces have it, on-link
_NSSWITCH = Path("/etc/nsswitch.conf")
#: Addresses of names that come and go.
_NAMES = dnsmasq.names_file(_RESOLVER)


def resident_link(namespace: str) -> str:
    """The internet's end of the cable to a namespace that lives on it."""
    return f"pub_{namespace.removeprefix(settings.PREFIX + '-')}"


def up() -> None:
    """Make the internet, its resolvers, the administrator and a user. Repeating it changes nothing."""
    namespaces.create(
        NAME,
        [
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv6.conf.all.forwarding", "1"),
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.default.rp_filter", "0"),
            ("net.ipv4.conf.all.send_redirects", "0"),
            ("net.ipv4.conf.default.send_redirects", "0"),
        ],
    )
    uplink.connect(uplink.INTERNET)
    services = (settings.WHATISMYIP_ADDRESS, settings.REGISTRY_ADDRESS, settings.OBJECT_STORAGE_ADDRESS)
    own = [settings.PUBLIC_GATEWAY, *settings.RESOLVERS, *services, settings.EDGE_ADDRESS]
    namespaces.configure(
        NAME,
        [
            *(f"address replace {address}/32 dev lo" for address in own),
            f"address replace {settings.EDGE_IPV6}/128 dev lo nodad",
            # What has no cable does not exist: it must not wander off through the uplink.
            f"route replace unreachable {settings.INTERNET_RANGE}",
            f"route replace unreachable {settings.SERVER_IPV6_RANGE}",
            *(f"route replace unreachable {foreign}" for foreign in firewall.NOT_CARRIED),
        ],
    )
    run("ip", "netns", "exec", NAME, "nft", "-f", "-", feed=firewall.base_rules(uplink.INTERNET.address))
    resolve()
    _use_resolvers(NAME)
    _settle(ADMIN, settings.ADMIN_ADDRESS, settings.ADMIN_IPV6)
    _settle(USER, settings.USER_ADDRESS, settings.USER_IPV6)


def resolve(zones: Store | None = None) -> None:
    """One dnsmasq answers the embedded internet and asks another, which asks the machine's own resolvers.

    Called again when names of the embedded Cloudflare's zones change; ``zones`` None: as they were saved last.
    """
    known = zones or saved()
    changed = dnsmasq.write_names(_NAMES, dns.hosts(known))
    # The second listens to the embedded internet only, on the machine's end of its uplink.
    dnsmasq.ensure(_FORWARDER, [f"listen-address={uplink.INTERNET.machine_address}", "except-interface=lo"])
    dnsmasq.ensure(
        _RESOLVER,
        [
            *(f"listen-address={address}" for address in settings.RESOLVERS),
            "no-resolv",
            f"server={uplink.INTERNET.machine_address}",
            *(f"address=/{name}/{settings.WHATISMYIP_ADDRESS}" for name in settings.WHATISMYIP_NAMES),
            *(f"address=/{name}/{settings.REGISTRY_ADDRESS}" for name in settings.REGISTRY_NAMES),
            f"address=/{settings.OBJECT_STORAGE_NAME}/{settings.OBJECT_STORAGE_ADDRESS}",
            # It has no IPv6 address; without this, dnsmasq asks the machine's resolvers for one.
            f"local=/{settings.OBJECT_STORAGE_NAME}/",
            f"addn-hosts={_NAMES}",
            *dns.configuration(known),
        ],
        namespace=NAME,
    )
    if changed:
        dnsmasq.reload(_RESOLVER)


def _settle(namespace: str, address: str, ipv6: str) -> None:
    """Give somebody a home on the internet."""
    namespaces.create(namespace)
    link = resident_link(namespace)
    firewall.apply(NAME, firewall.guard(link, [address, ipv6], rules=None))
    if not namespaces.has_link(NAME, link):
        run("ip", "-n", NAME, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    admit(link, address, f"{ipv6}/128")
    namespaces.configure(
        namespace,
        [
            f"address replace {address}/32 dev eth0",
            f"address replace {ipv6}/128 dev eth0 nodad",
            "link set eth0 up",
            f"route replace {settings.PUBLIC_GATEWAY} dev eth0",
            f"route replace default via {settings.PUBLIC_GATEWAY} dev eth0",
            f"route replace default via {GATEWAY_IPV6} dev eth0",
        ],
    )
    _use_resolvers(namespace)


def _use_resolvers(namespace: str) -> None:
    """Have programs in a namespace ask the embedded internet's resolvers."""
    # `ip netns exec` puts these in the place of the machine's own files.
    etc = _etc(namespace)
    etc.mkdir(parents=True, exist_ok=True)
    (etc / "resolv.conf").write_text("".join(f"nameserver {resolver}\n" for resolver in settings.RESOLVERS))
    if _NSSWITCH.exists():
        # The machine's resolver must not be asked past that file, through its socket.
        lines = _NSSWITCH.read_text().splitlines()
        kept = [line for line in lines if not line.startswith("hosts:")]
        (etc / _NSSWITCH.name).write_text("\n".join([*kept, "hosts: files dns"]) + "\n")


def _etc(namespace: str) -> Path:
    return Path("/etc/netns") / namespace


def admit(link: str, ipv4: str | None, ipv6: str | None) -> None:
    """Bring up the internet's end of a public interface and route its address and its IPv6 network to it."""
    lines = [f"link set {link} up"]
    if ipv4:
        lines.append(f"route replace {ipv4}/32 dev {link} src {settings.PUBLIC_GATEWAY}")
    if ipv6:
        lines.append(f"route replace {ipv6} dev {link}")
        lines.append(f"address replace {GATEWAY_IPV6}/64 dev {link} nodad")
    namespaces.configure(NAME, lines)


def down() -> None:
    """Remove the internet and everybody who lives on it."""
    dnsmasq.stop(_RESOLVER)
    dnsmasq.stop(_FORWARDER)
    for namespace in (USER, ADMIN, NAME):
        namespaces.delete(namespace)
        shutil.rmtree(_etc(namespace), ignore_errors=True)
