# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends single packets and tells which were answered. Runs on servers, as root: standard library only.

A TCP port is asked by a bare SYN. When it is answered, the kernel, which knows of no such connection, takes it back
with a RST. So services never see a connection: nothing in their logs, and no sshd that locks out an address for too
many connections without a login (PerSourcePenalties in sshd_config(5)).
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import secrets
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification import packets
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.reachability import Attempt, Outcome
from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.scan import ScanInvalid

#: Not sent: this host's own rules forbid it, or it has no way there.
_NOT_SENT = frozenset({errno.EPERM, errno.EACCES, errno.ENETUNREACH, errno.EHOSTUNREACH})
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_PACKET_LIMIT = 2048


class RawWire:
    """Raw sockets of both address families. A number identifies what was sent and stands in the packet itself."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        #: Upper half of every TCP sequence number and identifier of every echo: what else arrives is not for us.
        self._cookie = secrets.randbelow(0xFFFE) + 1
        self._tcp: dict[bool, socket.socket] = {}
        self._icmp: dict[bool, socket.socket] = {}
        self._udp: dict[bool, socket.socket] = {}
        self._lanes: dict[tuple[bool, int], int] = {}
        self._sources: dict[str, str] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._unsent: list[tuple[int, Outcome]] = []

    def __enter__(self) -> RawWire:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def send(self, number: int, attempt: Attempt, lane: int) -> None:
        """Send one packet. ``lane`` chooses the source port of TCP; a number sent again keeps its own.

        Raises PermissionError without root, ScanInvalid when the kernel does not take it for another reason than a rule
        or a missing route.
        """
        ipv6 = ":" in attempt.address
        self._open(ipv6)
        try:
            if attempt.protocol == "tcp":
                source = self._source(attempt.address)
                sequence = self._cookie << 16 | number
                segment = packets.syn(source, attempt.address, self._lane(ipv6, lane), attempt.port, sequence)
                self._tcp[ipv6].sendto(segment, (attempt.address, 0))
            elif attempt.protocol == "udp":
                self._asked[attempt.address, attempt.port] = number
                payload = packets.UDP_PAYLOADS.get(attempt.port, packets.UDP_PAYLOAD)
                self._udp[ipv6].sendto(payload, (attempt.address, attempt.port))
            else:
                request = packets.echo_request(self._cookie, number, ipv6)
                self._icmp[ipv6].sendto(request, (attempt.address, 0))
        except OSError as error:
            if error.errno not in _NOT_SENT:
                said = error.strerror or str(error)
                raise ScanInvalid(
                    f"{attempt.address} {attempt.protocol}/{attempt.port} was not tried: {said}"
                ) from error
            self._unsent.append((number, Outcome.NOT_SENT))

    def receive(self, seconds: float) -> Iterator[tuple[int, Outcome]]:
        """Every answer that comes within this time, with the number of what it answers."""
        yield from self._unsent
        self._unsent.clear()
        readers = {
            **{handle: (self._read_tcp, ipv6) for ipv6, handle in self._tcp.items()},
            **{handle: (self._read_icmp, ipv6) for ipv6, handle in self._icmp.items()},
            **{handle: (self._read_udp, ipv6) for ipv6, handle in self._udp.items()},
        }
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select(list(readers), [], [], left)
            for handle in ready:
                read, ipv6 = readers[handle]
                try:
                    data, sender = handle.recvfrom(_PACKET_LIMIT)
                except OSError:
                    continue  # nothing there after all, such as a packet with a wrong checksum
                answer = read(data, str(sender[0]).partition("%")[0], int(sender[1]), ipv6)
                if answer is not None:
                    yield answer

    def _read_tcp(self, data: bytes, sender: str, port: int, ipv6: bool) -> tuple[int, Outcome] | None:
        found = packets.parse_tcp(data if ipv6 else packets.without_ipv4_header(data))
        if found is None:
            return None
        _, acknowledged, flags = found
        sequence = acknowledged - 1 & 0xFFFFFFFF
        if sequence >> 16 != self._cookie or not flags & packets.ACK:
            return None
        return sequence & 0xFFFF, Outcome.REFUSED if flags & packets.RST else Outcome.ANSWERED

    def _read_icmp(self, data: bytes, sender: str, port: int, ipv6: bool) -> tuple[int, Outcome] | None:
        message = data if ipv6 else packets.without_ipv4_header(data)
        echo = packets.parse_echo_reply(message, ipv6)
        if echo is not None:
            return (echo[1], Outcome.ANSWERED) if echo[0] == self._cookie else None
        error = packets.parse_error(message, ipv6)
        if error is None:
            return None
        outcome = Outcome.REFUSED if error.port_unreachable else Outcome.TURNED_AWAY
        if error.protocol == socket.IPPROTO_TCP:
            return (error.sequence & 0xFFFF, outcome) if error.sequence >> 16 == self._cookie else None
        if error.protocol == socket.IPPROTO_UDP:
            ours = error.source_port == self._udp[ipv6].getsockname()[1]
            number = self._asked.get((error.address, error.port)) if ours else None
            return None if number is None else (number, outcome)
        # An echo request: identifier and number stand where TCP has the sequence number.
        return (error.sequence & 0xFFFF, Outcome.TURNED_AWAY) if error.sequence >> 16 == self._cookie else None

    def _read_udp(self, data: bytes, sender: str, port: int, ipv6: bool) -> tuple[int, Outcome] | None:
        number = self._asked.get((sender, port))
        return None if number is None else (number, Outcome.ANSWERED)

    def _open(self, ipv6: bool) -> None:
        if ipv6 in self._tcp:
            return
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        icmp = socket.IPPROTO_ICMPV6 if ipv6 else socket.IPPROTO_ICMP
        tcp = self._keep(socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP))
        if ipv6:
            tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 16)
        _only_acknowledging(tcp, self._cookie, ipv6)
        self._icmp[ipv6] = self._keep(socket.socket(family, socket.SOCK_RAW, icmp))
        self._udp[ipv6] = self._keep(socket.socket(family, socket.SOCK_DGRAM))
        self._udp[ipv6].bind(("", 0))
        self._tcp[ipv6] = tcp
        for handle in (tcp, self._icmp[ipv6], self._udp[ipv6]):
            handle.setblocking(False)

    def _keep(self, handle: socket.socket) -> socket.socket:
        return self._stack.enter_context(handle)

    def _lane(self, ipv6: bool, lane: int) -> int:
        """A source port. A socket is bound to it and never listens, so nobody else gets it and the kernel sends RST."""
        if (ipv6, lane) not in self._lanes:
            holder = self._keep(socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM))
            holder.bind(("", 0))
            self._lanes[ipv6, lane] = int(holder.getsockname()[1])
        return self._lanes[ipv6, lane]

    def _source(self, address: str) -> str:
        """This host's address on the way to another."""
        if address not in self._sources:
            version = ipaddress.ip_address(address.partition("%")[0]).version
            with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 9))
                self._sources[address] = str(probe.getsockname()[0])
        return self._sources[address]


def _only_acknowledging(handle: socket.socket, cookie: int, ipv6: bool) -> None:
    """Have the kernel hand over only segments that acknowledge ours: a raw socket would see all of a busy server's.

    A program for the classic packet filter (linux/filter.h), as (code, jump if true, jump if false, value).
    """
    load = [(0x20, 0, 0, 8)] if ipv6 else [(0xB1, 0, 0, 0), (0x40, 0, 0, 8)]  # the acknowledged number
    compare = [(0x74, 0, 0, 16), (0x15, 0, 1, cookie), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    lines = load + compare
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = struct.pack("@HP", len(lines), ctypes.addressof(code))
    handle.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
