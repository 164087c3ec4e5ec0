"""The one place that holds the state, and the queries that follow from it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

from lab.state.labels import Selector
from lab.state.load_balancers import Certificate, LoadBalancer, Target
from lab.state.resources import (
    Action,
    AddressType,
    Conditions,
    Firewall,
    Network,
    PlacementGroup,
    PrimaryIp,
    Ref,
    Server,
    SshKey,
    Volume,
)

#: Commands that leave their resources free for other actions.
UNLOCKING_COMMANDS = frozenset({"apply_firewall", "remove_firewall", "set_firewall_rules"})

#: What a project can have a limited number of.
LIMITED_KINDS = (
    *("certificates", "firewalls", "load_balancers", "networks", "placement_groups", "primary_ips", "servers"),
    *("ssh_keys", "volumes"),
)


@dataclass
class Store:
    """All resources of the project, by ID.

    IDs come from one series for all kinds, so that one kind's ID never passes for another's.
    """

    last_id: int = 1_000_000
    last_mac: int = 0
    last_ipv6: int = 0
    actions: dict[int, Action] = field(default_factory=dict)
    ssh_keys: dict[int, SshKey] = field(default_factory=dict)
    networks: dict[int, Network] = field(default_factory=dict)
    servers: dict[int, Server] = field(default_factory=dict)
    primary_ips: dict[int, PrimaryIp] = field(default_factory=dict)
    firewalls: dict[int, Firewall] = field(default_factory=dict)
    volumes: dict[int, Volume] = field(default_factory=dict)
    placement_groups: dict[int, PlacementGroup] = field(default_factory=dict)
    certificates: dict[int, Certificate] = field(default_factory=dict)
    load_balancers: dict[int, LoadBalancer] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)

    def time(self) -> float:
        """The cloud's time, in seconds since 1970."""
        return time.time() + self.conditions.clock_ahead

    def now(self) -> str:
        """This second, as resources hold points in time."""
        return datetime.fromtimestamp(self.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def replace(self, other: Store) -> None:
        """Become what ``other`` is. IDs given out before are not given out again: none may ever mean two things."""
        last_id = max(self.last_id, other.last_id)
        for item in fields(self):
            setattr(self, item.name, getattr(other, item.name))
        self.last_id = last_id

    def new_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def new_mac(self, vendor_prefix: str) -> str:
        """``86`` begins the addresses of private interfaces, ``96`` those of public ones."""
        self.last_mac += 1
        low = self.last_mac.to_bytes(3, "big")
        return ":".join([vendor_prefix, "00", "00", *(f"{byte:02x}" for byte in low)])

    def is_locked(self, ref: Ref) -> bool:
        """Whether an action is running that lets no other begin on this resource."""
        return any(
            action.status == "running" and ref in action.resources and action.command not in UNLOCKING_COMMANDS
            for action in self.actions.values()
        )

    def primary_ip_of(self, server_id: int, address_type: AddressType) -> PrimaryIp | None:
        return next(
            (ip for ip in self.primary_ips.values() if ip.server_id == server_id and ip.type == address_type), None
        )

    def is_public(self, server_id: int) -> bool:
        """Whether the server has an interface to the internet."""
        return any(ip.server_id == server_id for ip in self.primary_ips.values())

    def volumes_of(self, server_id: int) -> list[Volume]:
        return [volume for volume in self.volumes.values() if volume.server_id == server_id]

    def members_of(self, network_id: int) -> list[Server]:
        return [
            server
            for server in self.servers.values()
            if any(attachment.network_id == network_id for attachment in server.attachments)
        ]

    def servers_in_group(self, group_id: int) -> list[Server]:
        return [server for server in self.servers.values() if server.placement_group_id == group_id]

    def selected_by(self, selector: str) -> list[Server]:
        """Servers with a public interface whose labels match: those a firewall can be applied to by labels."""
        parsed = Selector.parse(selector)
        return [
            server for server in self.servers.values() if parsed.matches(server.labels) and self.is_public(server.id)
        ]

    def firewall_covers(self) -> set[tuple[int, int]]:
        """Pairs of firewall and server ID: every server a firewall is in force on, named directly or by its labels."""
        pairs = {
            (firewall.id, server_id)
            for firewall in self.firewalls.values()
            for server_id in firewall.server_ids
            if self.is_public(server_id)
        }
        for firewall in self.firewalls.values():
            for selector in firewall.selectors:
                pairs |= {(firewall.id, server.id) for server in self.selected_by(selector)}
        return pairs

    def firewalls_on(self, server_id: int) -> list[Firewall]:
        """Firewalls in force on the server, oldest first."""
        return [self.firewalls[firewall] for firewall, server in sorted(self.firewall_covers()) if server == server_id]

    def load_balancers_in(self, network_id: int) -> list[LoadBalancer]:
        return [item for item in self.load_balancers.values() if item.network_id == network_id]

    def load_balancers_with(self, certificate_id: int) -> list[LoadBalancer]:
        return [item for item in self.load_balancers.values() if certificate_id in item.certificate_ids]

    def load_balancers_before(self, server: Server) -> list[LoadBalancer]:
        """Those that the server is a target of, by itself or by its labels."""
        return [
            item
            for item in self.load_balancers.values()
            if any(target.server_id == server.id or self._selects(item, target, server) for target in item.targets)
        ]

    def target_servers(self, load_balancer: LoadBalancer, target: Target) -> list[Server]:
        """The server it names, or those its label selector matches that the load balancer has a way to."""
        if target.server_id is not None:
            return [self.servers[target.server_id]]
        return [server for server in self.servers.values() if self._selects(load_balancer, target, server)]

    def _selects(self, load_balancer: LoadBalancer, target: Target, server: Server) -> bool:
        return (
            target.selector is not None
            and Selector.parse(target.selector).matches(server.labels)
            and self.target_address(load_balancer, target, server) is not None
        )

    def target_address(self, load_balancer: LoadBalancer, target: Target, server: Server) -> str | None:
        """Where the load balancer reaches the server; None when it has no such address."""
        if not target.use_private_ip:
            primary_ip = self.primary_ip_of(server.id, "ipv4")
            return primary_ip.ip if primary_ip else None
        return next(
            (item.ip for item in server.attachments if item.network_id == load_balancer.network_id and item.connected),
            None,
        )

    def target_addresses(self, load_balancer: LoadBalancer) -> list[str]:
        """Every address it sends traffic to, each once."""
        found: dict[str, None] = {}
        for target in load_balancer.targets:
            if target.ip is not None:
                found[target.ip] = None
            for server in self.target_servers(load_balancer, target):
                address = self.target_address(load_balancer, target, server)
                if address is not None:
                    found[address] = None
        return list(found)
