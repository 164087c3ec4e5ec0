"""The driver that makes servers real."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.types.daemon import CancellableStream
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from lab import settings
from lab.command import CommandError
from lab.drivers.base import (
    DriverError,
    Exit,
    ExitListener,
    Inventory,
    LoadBalancer,
    LoadBalancerStatus,
    Machine,
    Network,
    Volume,
)
from lab.drivers.docker import cables, load_balancers, seed, volumes
from lab.image import build
from lab.net import firewall, haproxy, internet, router

#: Carried by every container of the lab.
LABEL = f"{settings.PREFIX}.machine"

# Longer than systemd waits for what does not stop (90 s; source: systemd-system.conf(5), DefaultTimeoutStopSec=).
_SHUTDOWN_SECONDS = 150
_PRESS_SECONDS = 2
_AGAIN_SECONDS = 1
_PLUGGED = "run/plugged"

# The kernel ends a container's first process with SIGHUP when it asks for a reboot, with SIGINT for a power-off.
# Source: reboot(2), "Behavior inside PID namespaces".
_REBOOT_CODE = 128 + 1


def container_name(machine_id: int) -> str:
    return f"{settings.PREFIX}-{machine_id}"


@contextmanager
def _as_driver_error(what: str) -> Iterator[None]:
    try:
        yield
    except (CommandError, haproxy.RefusedError, DockerException, RequestException, OSError) as error:
        raise DriverError(f"{what}: {error}") from error


class DockerDriver:
    """Machines are containers without a network of Docker's; everything they are cabled to is ``lab.net``'s."""

    def __init__(self) -> None:
        # Eight servers at once each hold a connection while they start or stop.
        self._docker = docker.from_env(timeout=120, max_pool_size=32)
        self._networks: dict[int, Network] = {}
        #: Held around everything that concerns routers: machines of one network start at the same time.
        self._routers = threading.Lock()
        self._listener: ExitListener | None = None
        #: Machines that are meant to run: the end of one of these is news.
        self._running: set[int] = set()
        self._closing = threading.Event()
        self._events = self._subscribe()
        self._watcher = threading.Thread(target=self._watch, name="container-events", daemon=True)
        self._watcher.start()

    def boots(self, image: str) -> bool:
        return image == build.OS_IMAGE

    def on_exit(self, listener: ExitListener) -> None:
        self._listener = listener

    def inventory(self) -> Inventory:
        with _as_driver_error("looking at what there is"):
            found = self._docker.api.containers(all=True, filters={"label": LABEL})
            machines = {int(container["Labels"][LABEL]): container["State"] == "running" for container in found}
            return Inventory(machines, router.present(), volumes.present(), load_balancers.present())

    def create_machine(self, machine: Machine) -> None:
        with _as_driver_error(f"creating {machine.name}"):
            # A container an interrupted call left behind has never booted: nothing is lost with it.
            with suppress(NotFound):
                self._docker.api.remove_container(container_name(machine.machine_id), force=True, v=True)
            self._docker.api.create_container(
                build.TAG,
                ["/usr/local/sbin/boot", "--wait"],
                name=container_name(machine.machine_id),
                hostname=machine.name,
                labels={LABEL: str(machine.machine_id)},
                environment={"container": "docker"},
                volumes=["/var/lib/docker"],
                host_config=_host_config(self._docker),
            )
            self._docker.api.put_archive(container_name(machine.machine_id), "/", seed.archive(machine))

    def start_machine(self, machine: Machine) -> None:
        with _as_driver_error(f"starting {machine.name}"):
            self._docker.api.start(container_name(machine.machine_id))
            pid = self._pid(machine.machine_id)
            if pid is None:
                raise DriverError(f"starting {machine.name}: its container ended at once; see `docker logs`")
            self._running.add(machine.machine_id)
            self._plug(machine, pid)
            Path(f"/proc/{pid}/root/{_PLUGGED}").touch()

    def shutdown_machine(self, machine: Machine) -> None:
        with _as_driver_error(f"shutting down {machine.name}"):
            self._running.discard(machine.machine_id)
            for _ in range(_SHUTDOWN_SECONDS // _PRESS_SECONDS):
                # SIGRTMIN+3 asks systemd to power off; source: systemd(1), "Signals". One that has only just begun to
                # boot does not hear it, so it is asked again.
                if not self._signal(machine.machine_id, "SIGRTMIN+3"):
                    return
                with suppress(RequestException):
                    self._docker.api.wait(container_name(machine.machine_id), timeout=_PRESS_SECONDS)
                    return
            self._running.add(machine.machine_id)
            raise DriverError(f"{machine.name} did not shut down within {_SHUTDOWN_SECONDS} s")

    def stop_machine(self, machine: Machine) -> None:
        with _as_driver_error(f"stopping {machine.name}"):
            self._running.discard(machine.machine_id)
            if self._signal(machine.machine_id, "SIGKILL"):
                self._docker.api.wait(container_name(machine.machine_id), timeout=_SHUTDOWN_SECONDS)

    def delete_machine(self, machine_id: int) -> None:
        with _as_driver_error(f"deleting server {machine_id}"):
            self._running.discard(machine_id)
            try:
                self._docker.api.remove_container(container_name(machine_id), force=True, v=True)
            except NotFound:
                return
            firewall.apply(internet.NAME, firewall.forget(cables.public_link(machine_id)))

    def plug(self, machine: Machine) -> None:
        with _as_driver_error(f"plugging {machine.name}"):
            pid = self._pid(machine.machine_id)
            if pid is not None:
                self._running.add(machine.machine_id)  # also one that an earlier process started
                self._plug(machine, pid)

    def _plug(self, machine: Machine, pid: int) -> None:
        cables.plug(machine, pid, self._sync)
        volumes.plug(Path(f"/proc/{pid}/root/dev"), [volume.volume_id for volume in machine.volumes])

    def sync_network(self, network: Network) -> None:
        with _as_driver_error(f"making network {network.network_id}"):
            self._networks[network.network_id] = network
            self._sync(network.network_id)

    def _sync(self, network_id: int) -> None:
        """Make the router what its network was last described as."""
        with self._routers:
            if network_id not in self._networks:
                raise DriverError(f"network {network_id} is being deleted")
            router.sync(self._networks[network_id])

    def delete_network(self, network_id: int) -> None:
        with _as_driver_error(f"deleting network {network_id}"), self._routers:
            self._networks.pop(network_id, None)
            router.delete(network_id)

    def create_volume(self, volume: Volume) -> None:
        with _as_driver_error(f"making volume {volume.volume_id}"):
            volumes.create(volume)

    def resize_volume(self, volume: Volume) -> None:
        with _as_driver_error(f"growing volume {volume.volume_id}"):
            volumes.resize(volume)

    def delete_volume(self, volume_id: int) -> None:
        with _as_driver_error(f"deleting volume {volume_id}"):
            volumes.delete(volume_id)

    def sync_load_balancer(self, load_balancer: LoadBalancer) -> None:
        with _as_driver_error(f"making load balancer {load_balancer.load_balancer_id}"):
            load_balancers.sync(load_balancer, self._range(load_balancer), self._sync)

    def _range(self, described: LoadBalancer) -> str:
        """The range of the network a load balancer is in, if it is in one."""
        if described.private is None:
            return ""
        if described.private.network_id not in self._networks:
            raise DriverError(f"network {described.private.network_id} is being deleted")
        return self._networks[described.private.network_id].ip_range

    def delete_load_balancer(self, load_balancer_id: int) -> None:
        with _as_driver_error(f"deleting load balancer {load_balancer_id}"):
            load_balancers.delete(load_balancer_id)

    def load_balancer_status(self, load_balancer_id: int) -> LoadBalancerStatus:
        with _as_driver_error(f"looking at load balancer {load_balancer_id}"):
            return load_balancers.status(load_balancer_id)

    def close(self) -> None:
        self._closing.set()
        self._events.close()
        self._docker.close()

    def _find(self, machine_id: int) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._docker.api.inspect_container(container_name(machine_id))
        except NotFound:
            return None
        return found

    def _pid(self, machine_id: int) -> int | None:
        found = self._find(machine_id)
        return int(found["State"]["Pid"]) or None if found else None

    def _signal(self, machine_id: int, signal: str) -> bool:
        """Whether there was a running container to send it to."""
        try:
            self._docker.api.kill(container_name(machine_id), signal)
        except NotFound:
            return False
        except APIError as error:
            if error.status_code == 409:  # not running
                return False
            raise
        return True

    def _subscribe(self) -> CancellableStream:
        """The ends of machines from now on, as they come."""
        return self._docker.events(decode=True, filters={"label": LABEL, "event": "die"}, since=int(time.time()))

    def _watch(self) -> None:
        """Tell the listener of machines that stopped without having been told to."""
        while not self._closing.is_set():
            with suppress(DockerException, RequestException, HTTPError, OSError):
                for event in self._events:
                    attributes = event["Actor"]["Attributes"]
                    rebooted = attributes.get("exitCode") == str(_REBOOT_CODE)
                    self._ended(int(attributes[LABEL]), Exit.REBOOTED if rebooted else Exit.POWERED_OFF)
            # The engine has ended, and when it is back most likely every machine has ended with it.
            while not self._closing.wait(_AGAIN_SECONDS):
                with suppress(DockerException, RequestException):
                    self._events = self._subscribe()
                    break
            for machine_id in [] if self._closing.is_set() else sorted(self._running):
                self._ended(machine_id, Exit.POWERED_OFF)

    def _ended(self, machine_id: int, reason: Exit) -> None:
        # A machine that runs has been started again since; this is old news of a stop that was asked for.
        with suppress(DockerException, RequestException):
            if self._pid(machine_id) is not None:
                return
        if machine_id in self._running:
            self._running.discard(machine_id)
            if self._listener is not None:
                self._listener(machine_id, reason)


def _host_config(client: docker.DockerClient) -> dict[str, Any]:
    """What a container needs to boot an operating system, and no more.

    Not --privileged: that asks for every capability the kernel knows, which machines without CAP_SYS_RESOURCE refuse,
    and shows the machine's devices. The clock is the machine's, so it cannot be set from a server.
    """
    config: dict[str, Any] = client.api.create_host_config(
        network_mode="none",
        cap_add=["ALL"],
        cap_drop=["SYS_RESOURCE", "SYS_TIME"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        tmpfs={"/run": "exec", "/run/lock": "", "/tmp": "exec"},  # noqa: S108 because these are the server's own
        device_cgroup_rules=["b 7:* rwm"],
        cgroupns="private",
        userns_mode="host",  # where the engine gives containers other users' IDs, theirs could not mount anything
    )
    # The command line's systempaths=unconfined.
    config["MaskedPaths"] = []
    config["ReadonlyPaths"] = []
    return config


Say = Callable[[str], None]


def remove_containers(say: Say) -> None:
    """Remove every container of the lab, whoever made it."""
    client = docker.from_env(timeout=120)
    found = client.api.containers(all=True, filters={"label": LABEL})
    if found:
        say(f"removing {len(found)} servers")
    for container in found:
        client.api.remove_container(container["Id"], force=True, v=True)
    client.close()
