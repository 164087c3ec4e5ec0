"""The edge served for tests: on loopback, in front of origins that behave as a test tells them."""

from __future__ import annotations

import asyncio
import atexit
import ipaddress
import random
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.cloudflare import state
from lab.cloudflare.authority import Authority
from lab.cloudflare.edge.app import Edge
from lab.cloudflare.edge.connections import Connections, Limits
from lab.cloudflare.edge.known import Watch
from lab.cloudflare.edge.server import UserTls, listen, serve
from lab.cloudflare.state import Certificate, Record, StateFile, Store, Zone
from lab.containers import certificates

ZONE = "bulwark.example"
LOOPBACK = "127.0.0.1"


_given: set[int] = set()


def free_port() -> int:
    """One on loopback that nobody has, of those that the system gives to nobody who does not ask for them."""
    while True:
        port = random.randrange(20000, 30000)  # noqa: S311 because nothing depends on it
        if port in _given:
            continue
        with suppress(OSError), socket.create_server((LOOPBACK, port)), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind((LOOPBACK, port))
            _given.add(port)
            return port


def signing_request(key: Any = None, name: str = "whoever") -> tuple[str, str]:
    """A certificate signing request and its key, in PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def _pem(key: Any) -> str:
    text: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return text.decode()


def self_signed(*names: str, days: int = 30) -> tuple[str, str]:
    """A certificate that nobody vouches for, and its key; negative days: it has expired."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


@cache
def _authorities() -> Path:
    """Both authorities and the users' certificate, made once: that takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="bulwark-authorities-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Authority(folder / "cloudflare")
    certificates.issue((ZONE, f"*.{ZONE}"), folder / "public")
    return folder


class EdgeOnLoopback:
    """A running edge. What it knows is changed by ``change``, as the API's process would."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.folder = folder
        self.file = StateFile(folder / "state.json")
        self.store: Store = state.fresh()
        self.file.save(self.store)
        shutil.copytree(_authorities(), folder, dirs_exist_ok=True)
        self.authority = Authority(folder / "cloudflare")
        self.public = certificates.authority(folder / "public")[0]
        user_files = certificates.issue((ZONE, f"*.{ZONE}"), folder / "public")
        self.origin_http, self.origin_https = free_port(), free_port()
        plain, secure = listen(LOOPBACK, 0), listen(LOOPBACK, 0)
        self.http, self.https = plain.getsockname()[1], secure.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

        async def run() -> None:
            watch = Watch(self.file)
            trusted = (self.public, *self.authority.certificates)
            self.connections = Connections(trusted, (), limits)
            edge = Edge(watch, self.connections, self.origin_http, self.origin_https)
            try:
                await serve(edge, UserTls(watch, *user_files), [plain], [secure], self._stop)
            finally:
                await self.connections.close()

        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(run()), daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    @property
    def zone(self) -> Zone:
        [zone] = self.store.zones.values()
        return zone

    def change(self, **settings: Any) -> None:
        """Settings of the zone, and whatever else was changed in the store."""
        self.zone.settings = replace(self.zone.settings, **settings)
        self.file.save(self.store)

    def record(self, name: str = ZONE, content: str = LOOPBACK, kind: Any = "A", proxied: bool = True) -> None:
        record = Record(state.new_id(), name, kind, content, proxied=proxied)
        self.zone.records[record.id] = record
        self.file.save(self.store)

    def origin_certificate(self, *names: str, key: Any = None) -> tuple[str, str, Certificate]:
        """One of the authority's, with its key, and what the state says of it."""
        csr, pem = signing_request(key)
        signed = self.authority.sign(x509.load_pem_x509_csr(csr.encode()), names, 7)
        text = signed.public_bytes(serialization.Encoding.PEM).decode()
        found = Certificate(str(signed.serial_number), self.zone.id, csr, text, names, "origin-ecc", 7, "soon")
        self.store.certificates[found.id] = found
        self.file.save(self.store)
        return text, pem, found

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    # As a user

    def connect(self, name: str = ZONE, secure: bool = True, **versions: Any) -> socket.socket:
        """A connection to the edge; secure ones trust the public authority and nobody else."""
        plain = socket.create_connection((LOOPBACK, self.https if secure else self.http), timeout=30)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not secure:
            return plain
        context = ssl.create_default_context(cafile=str(self.public))
        if versions:
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        for attribute, value in versions.items():
            setattr(context, attribute, value)
        if _is_address(name):
            context.check_hostname = False
            return context.wrap_socket(plain)
        return context.wrap_socket(plain, server_hostname=name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@contextmanager
def edge_on_loopback(folder: Path, limits: Limits | None = None) -> Iterator[EdgeOnLoopback]:
    edge = EdgeOnLoopback(folder, limits)
    try:
        yield edge
    finally:
        edge.close()
