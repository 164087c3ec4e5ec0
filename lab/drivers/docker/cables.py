"""Plugging interfaces: veth pairs between a namespace and the internet or a private network's router.

``home`` is the namespace of whoever is plugged, by its name or by the ID of a process in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab import settings
from lab.command import run
from lab.drivers.base import Machine, PublicNic
from lab.net import firewall, internet, router

#: Private interfaces are named as the vendor's newer server types name them, in the order they are attached.
_FIRST_SLOT = int(settings.PRIVATE_INTERFACE.removeprefix("enp").removesuffix("s0"))


def public_link(machine_id: int) -> str:
    """The internet's end of a server's public cable."""
    return f"pub{machine_id}"


def _interfaces(pid: int) -> dict[str, str]:
    """Names of a machine's Ethernet interfaces by hardware address."""
    rows: list[dict[str, Any]] = json.loads(run("nsenter", "-t", str(pid), "-n", "ip", "-j", "link", "show"))
    return {row["address"]: row["ifname"] for row in rows if row["ifname"].startswith(("eth", "enp"))}


def _unplug(pid: int, interface: str) -> None:
    run("nsenter", "-t", str(pid), "-n", "ip", "link", "delete", interface, check=False)


def lay(namespace: str, link: str, home: str, interface: str, mac: str, mtu: int) -> None:
    """Lay a cable from a namespace, where its end is called ``link``, to an interface at ``home``."""
    run("ip", "-n", namespace, "link", "delete", link, check=False)
    run(
        *("ip", "-n", namespace, "link", "add", link, "mtu", str(mtu), "type", "veth"),
        *("peer", "name", interface, "mtu", str(mtu), "address", mac, "netns", home),
    )


def plug(machine: Machine, pid: int, sync: Callable[[int], None]) -> None:
    """Give a running machine exactly its interfaces, and its public one its firewall.

    ``sync`` makes a network's router take note of a cable that was laid.
    """
    present = _interfaces(pid)
    wanted = {nic.mac for nic in machine.private} | ({machine.public.mac} if machine.public else set())
    for mac, interface in present.items():
        if mac not in wanted:
            _unplug(pid, interface)
    if machine.public is None:
        firewall.apply(internet.NAME, firewall.forget(public_link(machine.machine_id)))
    else:
        plug_public(machine.machine_id, machine.public, str(pid), machine.public.mac in present)
    taken = set(present.values())
    for nic in machine.private:
        if nic.mac not in present:
            slots = (f"enp{slot}s0" for slot in range(_FIRST_SLOT, _FIRST_SLOT + 16))
            interface = next(name for name in slots if name not in taken)
            taken.add(interface)
            cable = router.link(machine.machine_id)
            lay(router.name(nic.network_id), cable, str(pid), interface, nic.mac, settings.PRIVATE_MTU)
        sync(nic.network_id)


def plug_public(machine_id: int, nic: PublicNic, home: str, present: bool) -> None:
    """Have a public interface with its cloud firewall; ``present``: its cable has been laid."""
    link = public_link(machine_id)
    addresses = [address for address in (nic.ipv4, nic.ipv6) if address]
    # The firewall stands before the cable does, so that there is no first moment without it.
    firewall.apply(internet.NAME, firewall.guard(link, addresses, nic.firewall))
    if not present:
        lay(internet.NAME, link, home, settings.PUBLIC_INTERFACE, nic.mac, settings.PUBLIC_MTU)
    internet.admit(link, nic.ipv4, nic.ipv6)
