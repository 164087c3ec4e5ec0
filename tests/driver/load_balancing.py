"""A private network with targets, a user on the internet and a load balancer between them, without servers.

For tests in a world of their own (see test_docker_driver.py). Targets are small HTTP servers in namespaces of their
own, which behave as a test tells them.
"""

from __future__ import annotations

import http.client
import itertools
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from lab import settings
from lab.drivers.base import (
    Health,
    HealthCheck,
    LoadBalancer,
    Network,
    NetworkMember,
    PrivateNic,
    PublicNic,
    Service,
)
from lab.drivers.docker import cables, load_balancers
from lab.net import internet, namespaces, router

NETWORK = 7
IP_RANGE = "10.0.0.0/16"
LOAD_BALANCER = 1000
ADDRESS = "10.0.0.9"
PUBLIC = "198.51.100.150"
PUBLIC_IPV6 = "2001:db8:0:9::/64"

#: What ends a test that waits for something that never comes.
PATIENCE_SECONDS = 30

#: With more time for an answer than one ever takes, however busy the machine is: what fails, says so.
CHECK = HealthCheck("http", 80, interval=1, timeout=10, retries=2, domain="www.bulwark.example", path="/up")
SERVICE = Service("http", 80, 80, proxyprotocol=False, health_check=CHECK)


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


@dataclass
class Request:
    line: str
    headers: list[tuple[str, str]]
    proxy: str  # the line of the PROXY protocol before it, if any
    at: float = field(default_factory=time.monotonic)

    def header(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name]


class Target:
    """Answers each request with its own address, and remembers them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = f"10.0.0.{number}"
        self.namespace = f"{settings.PREFIX}-target-{number}"
        self.nic = PrivateNic(f"86:00:00:00:00:{number:02x}", NETWORK, self.address)
        self._listener: socket.socket | None = None
        self.begin()
        namespaces.create(self.namespace)

    def begin(self) -> None:
        """Be as at first, but for the listener."""
        self.status = 200  # of answers to health checks
        self.body = "all is well"
        self.silent = False  # keeps health checks waiting
        self.busy = False  # keeps users waiting
        # New ones: what is still under way belongs to the test before.
        self.asked: list[Request] = []
        self.checked: list[Request] = []
        self.tls: ssl.SSLContext | None = None

    def plug(self) -> None:
        interface, gateway = settings.PRIVATE_INTERFACE, router.gateway(IP_RANGE)
        cables.lay(
            *(router.name(NETWORK), router.link(self.number), self.namespace, interface),
            *(self.nic.mac, settings.PRIVATE_MTU),
        )
        namespaces.configure(
            self.namespace,
            [
                f"link set {interface} up",
                f"address replace {self.address}/32 dev {interface}",
                f"route replace {gateway} dev {interface}",
                f"route replace {IP_RANGE} via {gateway} dev {interface}",
            ],
        )

    def listen(self) -> None:
        if self._listener is None:
            self._listener = namespaces.inside(
                self.namespace, lambda: socket.create_server((self.address, 80), backlog=200)
            )
            threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def refuse(self) -> None:
        """As when the process has ended."""
        assert self._listener
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            self._answer(self.tls.wrap_socket(connection, server_side=True) if self.tls else connection)

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            proxy = ""
            line = lines.readline().decode()
            if line.startswith("PROXY"):
                proxy, line = line.strip(), lines.readline().decode()
            headers = []
            while text := lines.readline().decode().strip():
                name, _, value = text.partition(": ")
                headers.append((name, value))
            request = Request(line.strip(), headers, proxy)
            if line.startswith("GET /up"):
                # As it was before anybody could know of this request.
                status, body, silent = self.status, self.body, self.silent
                self.checked.append(request)
                while silent and self.silent:
                    time.sleep(0.01)
            elif line:
                self.asked.append(request)
                while self.busy:
                    time.sleep(0.01)
                status, body = 200, self.address
            else:
                return
            connection.sendall(
                f"HTTP/1.1 {status} It Is\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
            )


class World:
    """``described`` is the load balancer as it was last made."""

    def __init__(self) -> None:
        internet.up()
        self.targets = [Target(11), Target(12), Target(13)]
        self.begin()
        self.sync_network()
        for target in self.targets:
            target.plug()
            target.listen()
        self.sync_network()

    def begin(self) -> None:
        """Describe a load balancer that is not there, before targets that are as at first."""
        self.described = LoadBalancer(
            load_balancer_id=LOAD_BALANCER,
            algorithm="round_robin",
            max_connections=1000,
            public=PublicNic("96:00:00:00:00:09", PUBLIC, PUBLIC_IPV6, firewall=None),
            private=PrivateNic("86:00:00:00:00:09", NETWORK, ADDRESS),
            services=(SERVICE,),
            targets=tuple(target.address for target in self.targets[:2]),
        )

    def reset(self) -> None:
        load_balancers.delete(LOAD_BALANCER)
        for target in self.targets:
            target.begin()
            target.listen()
        self.begin()

    def sync_network(self, network_id: int = NETWORK) -> None:
        members = [NetworkMember(target.number, target.nic) for target in self.targets]
        if self.described.private:
            members.append(NetworkMember(LOAD_BALANCER, self.described.private))
        router.sync(Network(network_id, IP_RANGE, ("10.0.0.0/24",), (), tuple(members)))

    def make(self, **changes: object) -> None:
        """Change what is described, and make it so."""
        self.described = replace(self.described, **changes)  # type: ignore[arg-type]  # because callers name any field
        load_balancers.sync(self.described, IP_RANGE, self.sync_network)

    def health(self, listen_port: int = 80) -> list[Health]:
        """Of the described targets, in their order."""
        known = load_balancers.status(LOAD_BALANCER).health
        return [known[(address, listen_port)] for address in self.described.targets]

    def healthy(self, listen_port: int = 80) -> None:
        until(lambda: set(self.health(listen_port)) == {Health.HEALTHY}, "healthy targets")

    def close(self) -> None:
        load_balancers.delete(LOAD_BALANCER)
        router.delete(NETWORK)
        for target in self.targets:
            namespaces.delete(target.namespace)
        internet.down()


def connect(
    port: int = 80, address: str = PUBLIC, trusting: ssl.SSLContext | None = None, name: str = ""
) -> socket.socket:
    """A connection that a user on the internet makes."""
    plain = namespaces.inside(internet.USER, lambda: socket.create_connection((address, port), PATIENCE_SECONDS))
    return trusting.wrap_socket(plain, server_hostname=name) if trusting else plain


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    headers: http.client.HTTPMessage


def ask(connection: socket.socket, path: str = "/", **headers: str) -> Answer:
    """One request on a connection, which stays open if the load balancer keeps it."""
    words = {"Host": "www.bulwark.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in words.items() if value)
    connection.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return Answer(answer.status, answer.read().decode(), answer.headers)


def ask_once(path: str = "/", *, port: int = 80, address: str = PUBLIC, **headers: str) -> Answer:
    with connect(port, address) as connection:
        return ask(connection, path, **headers)


@dataclass
class Asked:
    answers: Counter[str] = field(default_factory=Counter)  # by the target's address
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0


@contextmanager
def asking(opener: Callable[[], socket.socket] = connect, every: float = 0.01) -> Iterator[Asked]:
    """Somebody who asks all the time, by turns on a new connection and on one that is kept, and forgives nothing.

    A kept connection is given up only when an answer has said that it will be closed.
    """
    asked, ended = Asked(), threading.Event()
    turn = itertools.count()

    def once(kept: list[socket.socket]) -> None:
        began = time.monotonic()
        try:
            fresh = next(turn) % 2 == 0 or not kept
            connection = opener() if fresh else kept.pop()
            answer = ask(connection)
            if answer.headers.get("Connection") == "close" or len(kept) > 4:
                connection.close()
            else:
                kept.insert(0, connection)
            if answer.status != 200:
                asked.failures.append(f"{time.monotonic():.3f} status {answer.status}")
            asked.answers[answer.body] += 1
        except (OSError, http.client.HTTPException) as error:
            asked.failures.append(
                f"{time.monotonic():.3f} {'new' if fresh else 'kept'} {type(error).__name__}: {error}"
            )
        asked.longest = max(asked.longest, time.monotonic() - began)

    def all_the_time() -> None:
        kept: list[socket.socket] = []
        while not ended.is_set():
            once(kept)
            ended.wait(every)
        for connection in kept:
            connection.close()

    askers = [threading.Thread(target=all_the_time) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        yield asked
    finally:
        ended.set()
        for asker in askers:
            asker.join()
