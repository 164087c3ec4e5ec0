"""The vendor's DHCP answer on one cable: a /32 and routes, but no router.

One of the routes, to the metadata service, leads nowhere.
Formats: RFC 2131 (messages), RFC 2132 (options), RFC 3442 (classless routes).
"""

import socket
import struct
from ipaddress import IPv4Address

ADDRESS, GATEWAY, SERVER = (IPv4Address(text).packed for text in ("10.0.0.3", "10.0.0.1", "10.0.0.1"))
NOWHERE = IPv4Address("10.0.0.250").packed
MAGIC = bytes((99, 130, 83, 99))
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5


def message_type(packet: bytes) -> int:
    options = packet[240:]
    while options and options[0] != 255:
        if options[0] == 0:  # padding has no length
            options = options[1:]
            continue
        if options[0] == 53:
            return options[2]
        options = options[2 + options[1] :]
    return 0


def answer(packet: bytes, kind: int) -> bytes:
    routes = (
        bytes((32, *GATEWAY, 0, 0, 0, 0)) + bytes((16, 10, 0, *GATEWAY)) + bytes((32, 169, 254, 169, 254, *NOWHERE))
    )
    options = {
        53: bytes((kind,)),
        54: SERVER,
        51: struct.pack("!I", 3600),
        1: b"\xff\xff\xff\xff",
        121: routes,
    }
    head = bytes((2, 1, 6, 0)) + packet[4:8] + bytes(8) + ADDRESS + bytes(8) + packet[28:44] + bytes(192)
    return head + MAGIC + b"".join(bytes((code, len(value))) + value for code, value in options.items()) + b"\xff"


def main() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"cable")
    server.bind(("", 67))
    while True:
        packet = server.recv(2048)
        kind = {DISCOVER: OFFER, REQUEST: ACK}.get(message_type(packet))
        if kind:
            server.sendto(answer(packet, kind), ("255.255.255.255", 68))


main()
