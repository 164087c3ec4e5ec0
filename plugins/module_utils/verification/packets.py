# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets as bytes: what is sent, and what came back. Pure functions. Runs on servers: standard library only.

Layouts: IPv4 RFC 791, IPv6 RFC 8200, TCP RFC 9293, UDP RFC 768, ICMP RFC 792 and RFC 1812, ICMPv6 RFC 4443.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

SYN, RST, ACK = 0x02, 0x04, 0x10

ECHO_REQUEST, ECHO_REPLY, UNREACHABLE, PORT_UNREACHABLE = 8, 0, 3, 3
ECHO_REQUEST_V6, ECHO_REPLY_V6, UNREACHABLE_V6, PORT_UNREACHABLE_V6 = 128, 129, 1, 4

#: What makes a listening service answer: a query for the root's name servers (RFC 1035), a client's request for the
#: time (RFC 5905). To all others something that is no valid message of any protocol we know of.
UDP_PAYLOADS = {
    53: struct.pack("!HHHHHH", 0x6277, 0x0100, 1, 0, 0, 0) + b"\x00" + struct.pack("!HH", 2, 1),
    123: b"\x23" + bytes(47),
}
UDP_PAYLOAD = b"bulwark\n"


class Error(NamedTuple):
    """An ICMP error: whether it says that nothing listens at the port, and the packet of ours that it is about."""

    port_unreachable: bool
    protocol: int
    address: str
    source_port: int
    port: int
    sequence: int


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(source: str, address: str, source_port: int, port: int, sequence: int) -> bytes:
    """The TCP segment that asks for a connection. For IPv6 the kernel fills in the checksum."""
    head = struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, SYN, 1024, 0, 0)
    if ":" in address:
        return head
    pseudo = socket.inet_aton(source) + socket.inet_aton(address) + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20)
    return head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]


def echo_request(identifier: int, number: int, ipv6: bool) -> bytes:
    """An echo request. For IPv6 the kernel fills in the checksum."""
    kind = ECHO_REQUEST_V6 if ipv6 else ECHO_REQUEST
    head = struct.pack("!BBHHH", kind, 0, 0, identifier, number)
    return head if ipv6 else head[:2] + struct.pack("!H", checksum(head)) + head[4:]


def without_ipv4_header(packet: bytes) -> bytes:
    """What an IPv4 packet carries, as raw sockets of IPv6 hand it out from the start."""
    return packet[(packet[0] & 0xF) * 4 :] if packet else b""


def parse_tcp(segment: bytes) -> tuple[int, int, int] | None:
    """Source port, acknowledged number and flags of a TCP segment; None if it is none."""
    if len(segment) < 20:
        return None
    source_port, _, _, acknowledged, _, flags = struct.unpack("!HHIIBB", segment[:14])
    return source_port, acknowledged, flags


def parse_echo_reply(message: bytes, ipv6: bool) -> tuple[int, int] | None:
    """Identifier and number of an echo reply; None if the message is none."""
    if len(message) < 8 or message[0] != (ECHO_REPLY_V6 if ipv6 else ECHO_REPLY):
        return None
    identifier, number = struct.unpack("!HH", message[4:8])
    return identifier, number


def parse_error(message: bytes, ipv6: bool) -> Error | None:
    """What an ICMP "destination unreachable" is about; None if the message is none, or quotes too little."""
    kind, port_code = (UNREACHABLE_V6, PORT_UNREACHABLE_V6) if ipv6 else (UNREACHABLE, PORT_UNREACHABLE)
    if len(message) < 8 or message[0] != kind:
        return None
    quoted = message[8:]
    if ipv6:
        if len(quoted) < 48:
            return None
        protocol, address, start = quoted[6], socket.inet_ntop(socket.AF_INET6, quoted[24:40]), quoted[40:48]
    else:
        if len(quoted) < 28:
            return None
        protocol, address = quoted[9], socket.inet_ntoa(quoted[16:20])
        start = without_ipv4_header(quoted)[:8]
        if len(start) < 8:
            return None
    source_port, port, sequence = struct.unpack("!HHI", start)
    return Error(message[1] == port_code, protocol, address, source_port, port, sequence)
