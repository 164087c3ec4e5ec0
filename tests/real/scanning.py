"""An independent judge: nmap, run by the machine inside a network namespace, and what its answers mean.

Its packets go out and come in beside the scanning server's own packet filter and connection tracking (--send-eth), so
tens of thousands of them neither fill that table nor depend on the rules of the server they are sent from.
"""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Complete on a firewalled host at this speed, and no faster: 20 of 20 open ports found.
SPEED = ("-T4", "--min-rate", "20000", "--max-retries", "1")
#: For few ports, where every packet counts.
CAREFUL = ("-T3", "--max-retries", "3", "--min-rate", "500")
#: An answer of any kind proves that a packet got through: also the refusal of a port at which nothing listens.
REACHED = frozenset({"open", "closed", "unfiltered"})


@dataclass(frozen=True)
class Place:
    """Where a scan starts: its name, and what leads a command into its network namespace."""

    name: str
    words: tuple[str, ...]


def namespace(name: str) -> Place:
    return Place(name, ("ip", "netns", "exec", name))


def process(name: str, pid: int) -> Place:
    return Place(name, ("nsenter", "--target", str(pid), "--net"))


def reached(
    place: Place, addresses: Iterable[str], *options: str, ports: str, speed: Sequence[str] = SPEED
) -> dict[str, set[int]]:
    """By address the ports whose packets get through, from one scan that mixes all of them.

    Never two at a time from hosts that are scanned as well: nmap takes the other's SYN for the answer to its own.
    """
    addresses = list(addresses)
    assert shutil.which("nmap"), "nmap is not installed"
    words = [*place.words, "nmap", "-Pn", "-n", "--send-eth", "--reason", "-oX", "-", *speed, *options, "-p", ports]
    if "-sU" not in options:
        words.append("-sS")
    if all(":" in address for address in addresses):
        words.append("-6")
    done = subprocess.run([*words, *addresses], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{place.name}: {done.stderr}"
    found = parse(done.stdout)
    assert set(found) == {address.partition("%")[0] for address in addresses}, f"{place.name}: {done.stderr}"
    return found


def parse(report: str) -> dict[str, set[int]]:
    """From nmap's XML: states that many ports share stand in a list of ranges, all others port by port."""
    found: dict[str, set[int]] = {}
    for host in ElementTree.fromstring(report).iter("host"):  # noqa: S314 because nmap wrote it a moment ago
        address = next(entry.attrib["addr"] for entry in host.iter("address") if entry.attrib["addrtype"] != "mac")
        ports = {
            int(port.attrib["portid"])
            for port in host.iter("port")
            for state in port.iter("state")
            if state.attrib["state"] in REACHED
        }
        for extra in host.iter("extraports"):
            if extra.attrib["state"] in REACHED:
                for reason in extra.iter("extrareasons"):
                    ports |= _numbers(reason.attrib["ports"])
        found[address.partition("%")[0]] = ports
    return found


def _numbers(text: str) -> set[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def complete(
    place: Place, expected: dict[str, set[int]], *options: str, ports: str, speed: Sequence[str] = SPEED
) -> dict[str, set[int]]:
    """As ``reached``, for the addresses in ``expected``; looked at again, once, when a port is missed that must answer.

    A scan that misses one proves nothing about those it found silent, so a second miss is an error.
    """
    for _ in range(2):
        found = reached(place, expected, *options, ports=ports, speed=speed)
        missed = {address: sorted(wanted - found[address]) for address, wanted in expected.items()}
        if not any(missed.values()):
            break
    number = sum(map(len, expected.values()))
    lost = sum(map(len, missed.values()))
    assert number, f"{place.name}: nothing is known to answer, so silence would prove nothing"
    assert not lost, f"{place.name}: {number - lost} of {number} ports found that must answer, not {missed}"
    return found
