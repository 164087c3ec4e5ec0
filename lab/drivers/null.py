"""A driver that makes nothing: it keeps in mind what it was told, for tests of the book-keeping."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.drivers.base import (
    DriverError,
    Exit,
    ExitListener,
    Health,
    Inventory,
    LoadBalancer,
    LoadBalancerStatus,
    Machine,
    Network,
    Traffic,
    Volume,
)


@dataclass
class NullDriver:
    """What would be real, by ID, as last described.

    ``failures`` maps a method's name to the error it is to end in, until it is taken out again. ``health`` is what all
    load balancers see of targets, by address and listen port, unknown where nothing is said; ``traffic`` is by load
    balancer.
    """

    machines: dict[int, Machine] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    networks: dict[int, Network] = field(default_factory=dict)
    volumes: dict[int, Volume] = field(default_factory=dict)
    load_balancers: dict[int, LoadBalancer] = field(default_factory=dict)
    health: dict[tuple[str, int], Health] = field(default_factory=dict)
    traffic: dict[int, Traffic] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)
    failures: dict[str, DriverError] = field(default_factory=dict)
    closed: bool = False
    _listeners: list[ExitListener] = field(default_factory=list)
    _busy: set[tuple[str, int]] = field(default_factory=set)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def boots(self, image: str) -> bool:
        return image != "rocky-10"  # one that is refused, as real drivers refuse most

    def on_exit(self, listener: ExitListener) -> None:
        self._listeners.append(listener)

    def inventory(self) -> Inventory:
        machines = {machine_id: machine_id in self.running for machine_id in self.machines}
        return Inventory(machines, frozenset(self.networks), frozenset(self.volumes), frozenset(self.load_balancers))

    def create_machine(self, machine: Machine) -> None:
        with self._told("create_machine", "machine", machine.machine_id):
            self.machines[machine.machine_id] = machine

    def start_machine(self, machine: Machine) -> None:
        with self._told("start_machine", "machine", machine.machine_id):
            self._require(machine.machine_id)
            self._check_cables(machine)
            self.machines[machine.machine_id] = machine
            self.running.add(machine.machine_id)

    def shutdown_machine(self, machine: Machine) -> None:
        with self._told("shutdown_machine", "machine", machine.machine_id):
            self.running.discard(machine.machine_id)

    def stop_machine(self, machine: Machine) -> None:
        with self._told("stop_machine", "machine", machine.machine_id):
            self.running.discard(machine.machine_id)

    def delete_machine(self, machine_id: int) -> None:
        with self._told("delete_machine", "machine", machine_id):
            self.running.discard(machine_id)
            self.machines.pop(machine_id, None)

    def plug(self, machine: Machine) -> None:
        with self._told("plug", "machine", machine.machine_id):
            if machine.machine_id not in self.running:
                raise DriverError(f"machine {machine.machine_id} is not running")
            self._check_cables(machine)
            self.machines[machine.machine_id] = machine

    def sync_network(self, network: Network) -> None:
        with self._told("sync_network", "network", network.network_id):
            self.networks[network.network_id] = network

    def delete_network(self, network_id: int) -> None:
        with self._told("delete_network", "network", network_id):
            self.networks.pop(network_id, None)

    def create_volume(self, volume: Volume) -> None:
        with self._told("create_volume", "volume", volume.volume_id):
            self.volumes[volume.volume_id] = volume

    def resize_volume(self, volume: Volume) -> None:
        with self._told("resize_volume", "volume", volume.volume_id):
            self.volumes[volume.volume_id] = volume

    def delete_volume(self, volume_id: int) -> None:
        with self._told("delete_volume", "volume", volume_id):
            self.volumes.pop(volume_id, None)

    def sync_load_balancer(self, load_balancer: LoadBalancer) -> None:
        with self._told("sync_load_balancer", "load balancer", load_balancer.load_balancer_id):
            if load_balancer.private is not None and load_balancer.private.network_id not in self.networks:
                raise DriverError(f"network {load_balancer.private.network_id} was never created")
            self.load_balancers[load_balancer.load_balancer_id] = load_balancer

    def delete_load_balancer(self, load_balancer_id: int) -> None:
        with self._told("delete_load_balancer", "load balancer", load_balancer_id):
            self.load_balancers.pop(load_balancer_id, None)

    def load_balancer_status(self, load_balancer_id: int) -> LoadBalancerStatus:
        with self._busy_with("load_balancer_status", "load balancer", load_balancer_id):
            if load_balancer_id not in self.load_balancers:
                raise DriverError(f"load balancer {load_balancer_id} was never created")
            described = self.load_balancers[load_balancer_id]
            seen = {
                (address, service.listen_port): self.health.get((address, service.listen_port), Health.UNKNOWN)
                for address in described.targets
                for service in described.services
            }
            return LoadBalancerStatus(seen, self.traffic.get(load_balancer_id, Traffic(0, 0, 0, 0, 0)))

    def close(self) -> None:
        self.closed = True

    def exit(self, machine_id: int, reason: Exit) -> None:
        """Play a machine that stops by itself."""
        self.running.discard(machine_id)
        for listener in self._listeners:
            listener(machine_id, reason)

    def _require(self, machine_id: int) -> None:
        if machine_id not in self.machines:
            raise DriverError(f"machine {machine_id} was never created")

    def _check_cables(self, machine: Machine) -> None:
        """A cable needs a router that knows it, and a volume must have been made."""
        for nic in machine.private:
            members = self.networks[nic.network_id].members if nic.network_id in self.networks else ()
            if not any(member.machine_id == machine.machine_id and member.nic == nic for member in members):
                raise DriverError(f"network {nic.network_id} does not know machine {machine.machine_id} as {nic.ipv4}")
        for attached in machine.volumes:
            if attached.volume_id not in self.volumes:
                raise DriverError(f"volume {attached.volume_id} was never created")

    @contextmanager
    def _told(self, method: str, kind: str, object_id: int) -> Iterator[None]:
        """A call that changes something, which is noted."""
        self.calls.append((method, object_id))
        with self._busy_with(method, kind, object_id):
            yield

    @contextmanager
    def _busy_with(self, method: str, kind: str, object_id: int) -> Iterator[None]:
        with self._mutex:
            if (kind, object_id) in self._busy:
                raise AssertionError(f"two calls at once for {kind} {object_id}")
            self._busy.add((kind, object_id))
        try:
            if method in self.failures:
                raise self.failures[method]
            yield
        finally:
            with self._mutex:
                self._busy.discard((kind, object_id))
