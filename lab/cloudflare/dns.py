"""The zone's names, as lines for the resolvers of the embedded internet.

Addresses stand in a file that dnsmasq reads again when it is told to. What it knows from its configuration only is
rendered apart: when that changes, dnsmasq starts again, which takes a moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab import settings
from lab.cloudflare.state import Record, Store

_TXT = 16
_MOST_IN_STRING = 255


def hosts(store: Store) -> str:
    """Addresses of names, a line each, as in /etc/hosts."""
    lines = {f"{address} {record.name}" for record in _all(store) for address in _addresses(record)}
    return "".join(f"{line}\n" for line in sorted(lines) if "*" not in line)


def configuration(store: Store) -> list[str]:
    """Whose names are answered here and nowhere else, wildcards, and records that are no addresses."""
    lines = [f"local=/{zone.name}/" for zone in store.zones.values()]
    aliases = _aliases(store)
    lines += [f"cname={name},{goal}" for name, goal in aliases.items() if not _goes_round(name, aliases)]
    # The first A record of a wildcard only: dnsmasq knows one address for each.
    for record in _all(store):
        if record.name.startswith("*."):
            lines += [f"address=/{record.name}/{address}" for address in _addresses(record)]
        elif record.type == "MX":
            lines.append(f"mx-host={record.name},{record.content},{record.priority}")
        elif record.type == "TXT":
            lines.append(f"dns-rr={record.name},{_TXT},{_text(record.content)}")
    return sorted(set(lines))


def _aliases(store: Store) -> dict[str, str]:
    return {
        record.name: record.content
        for record in _all(store)
        if record.type == "CNAME" and not record.proxied and not record.name.startswith("*.")
    }


def _goes_round(name: str, aliases: Mapping[str, str]) -> bool:
    """Whether aliases end where one has been before. With such a one, dnsmasq would not start."""
    seen: set[str] = set()
    while name in aliases and name not in seen:
        seen.add(name)
        name = aliases[name]
    return name in seen


def _all(store: Store) -> Iterable[Record]:
    return (record for zone in store.zones.values() for record in zone.records.values())


def _addresses(record: Record) -> tuple[str, ...]:
    """Where a name leads; a proxied one to the edge, whatever it is behind that."""
    if record.proxied:
        return settings.EDGE_ADDRESS, settings.EDGE_IPV6
    return (record.content,) if record.type in ("A", "AAAA") else ()


def _text(content: str) -> str:
    """A TXT record's data in hexadecimal digits: strings of at most 255 bytes, each after its length.

    Content in quotes is the strings one by one, as in a zone file; without, it is one text.
    """
    raw = _unquoted(content).encode()
    pieces = [raw[at : at + _MOST_IN_STRING] for at in range(0, len(raw), _MOST_IN_STRING)] or [b""]
    return "".join(f"{len(piece):02x}{piece.hex()}" for piece in pieces)


def _unquoted(content: str) -> str:
    if len(content) < 2 or not (content.startswith('"') and content.endswith('"')):
        return content
    joined = content[1:-1].replace('" "', "")
    return joined.replace('\\"', '"').replace("\\\\", "\\")
