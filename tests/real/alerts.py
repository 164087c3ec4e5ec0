"""The lab's Prometheus and Alertmanager, and faults by name, as tests and benchmarks use them."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.checkout import ROOT
from tests.launcher import launcher, on, status, succeed
from tests.monitoring.document import machine_alerts, rows, seconds
from tests.real import users
from tests.real.database import other, power, primary, sql, streaming, until
from tests.real.users import BALANCER, NAME, shell

MONITOR = "monitor-01"
PROMETHEUS = "http://10.0.0.8:9090"
ALERTMANAGER = "http://10.0.0.8:9093"
#: How long Alertmanager waits for what belongs together (group_wait).
WAIT_SECONDS = 30
#: A busy machine may take so many times as long as the document says before a wait is given up.
PATIENCE = 2.0
_WATCHER = (Path(__file__).parent / "watcher.py").read_text()
_ASKER = """
import json, sys, urllib.error, urllib.parse, urllib.request
answers = []
for query in json.load(sys.stdin):
    url = sys.argv[1] + "/api/v1/query?" + urllib.parse.urlencode({"query": query})
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            answers.append(json.load(answer))
    except urllib.error.HTTPError as refused:
        answers.append(json.load(refused))
print(json.dumps(answers))
"""


def ask(url: str) -> Any:
    """What Prometheus or Alertmanager answers."""
    return json.loads(on(MONITOR, "curl", "-sS", "-m", "20", url))


def evaluate(expressions: Sequence[str]) -> list[dict[str, Any]]:
    """What Prometheus answers to each."""
    said = succeed("exec", MONITOR, "python3", "-c", _ASKER, PROMETHEUS, feed=json.dumps(list(expressions)))
    found: list[dict[str, Any]] = json.loads(said)
    return found


def series(expression: str) -> dict[str, float]:
    """The value of each series, by its instance."""
    (answer,) = evaluate([expression])
    return {item["metric"].get("instance", ""): float(item["value"][1]) for item in answer["data"]["result"]}


# --- what fires -------------------------------------------------------------------------------------------------------


class Alert(NamedTuple):
    """An alert by its name and whom it is about: a server, a URL, or nobody in particular."""

    name: str
    instance: str

    @property
    def stated(self) -> tuple[int, int]:
        """Seconds within which it fires and resolves, as the document says."""
        _, _, fires, resolves = rows()[self.name]
        return seconds(fires), seconds(resolves)


WATCHDOG = Alert("Watchdog", "")


@dataclass
class Watch:
    """What has been seen of alerts since the watch began; points in time are seconds since 1970."""

    path: Path

    def _lines(self) -> list[dict[str, Any]]:
        # The last line may be half written.
        return [json.loads(line) for line in self.path.read_text().rpartition("\n")[0].splitlines()]

    def now(self) -> set[Alert]:
        """All that fire, but for what tells of the machine."""
        lines = self._lines()
        return _alerts(lines[-1]) if lines else set()

    def begun(self) -> bool:
        return bool(self._lines())

    def seen(self, after: float) -> set[Alert]:
        """All that fired then or since, but for what tells of the machine.

        Rules are evaluated one after the other, so what follows from another alert may fire a moment before it and
        last a moment longer. Alertmanager waits before it sends, and so do we: a short time beside one in which the
        alert was kept back does not count.
        """
        lines = self._lines()
        lines = lines[max((number for number, line in enumerate(lines) if line["at"] <= after), default=0) :]
        found = set()
        for alert in set().union(*map(_alerts, lines)):
            for shown, stretch in groupby(range(len(lines)), lambda number, a=alert: a in _alerts(lines[number])):
                numbers = list(stretch)
                first, last = numbers[0], numbers[-1]
                beside = lines[max(first - 1, 0)], lines[min(last + 1, len(lines) - 1)]
                moment = last + 1 < len(lines) and lines[last + 1]["at"] - lines[first]["at"] < WAIT_SECONDS
                if shown and not (moment and any(alert in _alerts(line, kept_back=True) for line in beside)):
                    found.add(alert)
        return found

    def fired(self, alert: Alert, after: float) -> float | None:
        """When, after a point, it began to fire, by Prometheus' own account."""
        since = [
            datetime.fromisoformat(item["since"]).timestamp()
            for line in self._lines()
            for item in line["alerts"]
            if Alert(item["name"], item["instance"]) == alert
        ]
        return min((point for point in since if point >= after), default=None)

    def gone(self, alert: Alert, after: float) -> float | None:
        """When it had gone, as seen once a second; None as long as it is there."""
        lines = self._lines()
        there = [number for number, line in enumerate(lines) if alert in _alerts(line)]
        if there and there[-1] == len(lines) - 1:
            return None
        return max(after, lines[there[-1] + 1]["at"]) if there else after


@cache
def _aside() -> set[str]:
    return machine_alerts()


def _alerts(line: dict[str, Any], *, kept_back: bool = False) -> set[Alert]:
    return {
        Alert(item["name"], item["instance"])
        for item in line["alerts"]
        if item["kept_back"] == kept_back and item["name"] not in _aside()
    }


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch alerts until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(Path(folder) / "seen")
        with watch.path.open("w") as out:
            words = ["./bulwark", "exec", MONITOR, "python3", "-c", _WATCHER, ALERTMANAGER]
            process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=out)
            try:
                until(watch.begun, "a first look at alerts")
                yield watch
            finally:
                process.communicate(timeout=60)


def calm(watch: Watch) -> None:
    """Wait until nothing fires but the sign that all is well: what went before may have left something to resolve."""
    try:
        until(lambda: watch.now() == {WATCHDOG}, "calm", 600)
    except AssertionError as never:
        raise AssertionError(f"without a fault these fire: {sorted(watch.now())}") from never


# --- faults -----------------------------------------------------------------------------------------------------------


class Fault:
    """Something that breaks. ``make`` and ``repair`` return when the cause was there, and when it was gone."""

    name: str

    @property
    def alerts(self) -> set[Alert]:
        """All that fire for it, and are not kept back."""
        raise NotImplementedError

    def make(self) -> float:
        raise NotImplementedError

    def repair(self) -> float:
        raise NotImplementedError


class ServerStopped(Fault):
    """A server loses its power. Its node_exporter answering again is the end of it."""

    def __init__(self, host: str, *besides: Alert) -> None:
        self.name = f"stop a server ({host})"
        self.host, self.besides = host, besides

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("HostDown", self.host), *self.besides}

    def make(self) -> float:
        power(self.host, "off")
        return time.time()

    def repair(self) -> float:
        power(self.host, "on")
        address = next(server["private_ip"] for server in status()["servers"] if server["name"] == self.host)
        answers = ("exec", MONITOR, "curl", "-sf", "-m", "5", "-o", "/dev/null", f"http://{address}:9100/")
        until(lambda: launcher(*answers).code == 0, f"{self.host} is back", 240)
        return time.time()


class ApplicationKilled(Fault):
    """The application's container on one server ends; what is in front of it goes on."""

    name = "kill an application"
    host = "app-02"

    def __init__(self) -> None:
        self.container = ""

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("ApplicationServerFailing", self.host)}

    def make(self) -> float:
        self.container = on(self.host, "docker", "ps", "--quiet", "--filter", "name=^application-web")
        assert len(self.container.split()) == 1
        on(self.host, "docker", "kill", self.container)
        return time.time()

    def repair(self) -> float:
        on(self.host, "docker", "start", self.container)
        up = ("exec", self.host, "curl", "-sf", "-m", "5", "-o", "/dev/null", f"http://{self.host}/up")
        until(lambda: launcher(*up).code == 0, f"{self.host} is well")
        return time.time()


class CertificateReplaced(Fault):
    """The load balancer shows another certificate than the edge playbook had made."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.uploaded = f"fault-{time.time_ns()}"

    @property
    def path(self) -> Path:
        return Path(self.folder.name)

    def show(self) -> float:
        shell(
            f"set -e; cd {self.path}; hcloud certificate create --name {self.uploaded} --cert-file cert --key-file key"
            f"; id=$(hcloud certificate describe {self.uploaded} -o format={{{{.ID}}}})"
            f"; hcloud load-balancer update-service {BALANCER} --listen-port 443 --http-certificates $id"
        )
        return time.time()

    def key(self) -> rsa.RSAPrivateKey:
        key = rsa.generate_private_key(65537, 2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.path / "key").write_bytes(key.private_bytes(*form))
        return key

    def repair(self) -> float:
        users.edge()
        repaired = time.time()
        shell(f"hcloud certificate delete {self.uploaded}")
        self.folder.cleanup()
        return repaired


class CertificateExpiring(CertificateReplaced):
    """One for 7 days, the shortest time that Cloudflare makes them for: the edge trusts it, so users notice nothing."""

    name = "a certificate about to expire"

    def __init__(self) -> None:
        super().__init__()
        self.issued = ""

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("CertificateExpiring", BALANCER)}

    def make(self) -> float:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self.key(), hashes.SHA256())
        wanted = {
            "csr": request.public_bytes(serialization.Encoding.PEM).decode(),
            "hostnames": [NAME, f"*.{NAME}"],
            "request_type": "origin-rsa",
            "requested_validity": 7,
        }
        (self.path / "wanted").write_text(json.dumps(wanted))
        answer = json.loads(_cloudflare("/certificates", f"--json @{self.path}/wanted"))
        assert answer["success"], answer["errors"]
        self.issued = answer["result"]["id"]
        (self.path / "cert").write_text(answer["result"]["certificate"])
        return self.show()

    def repair(self) -> float:
        repaired = super().repair()
        _cloudflare(f"/certificates/{self.issued}", "-X DELETE")
        return repaired


def _cloudflare(path: str, words: str) -> str:
    token = '-H "Authorization: Bearer $CLOUDFLARE_API_TOKEN"'
    return shell(f'curl -sS -m 20 {token} {words} "$CLOUDFLARE_API_ENDPOINT{path}"')


class CertificateExpired(CertificateReplaced):
    """One that expires as soon as it is shown. It is our own, so the edge refuses it from the beginning."""

    name = "expire a certificate"

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("CertificateExpired", BALANCER), Alert("PublicUrlFailing", f"https://{NAME}/up")}

    def make(self) -> float:
        key = self.key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(seconds=20))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        (self.path / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.show()
        until(lambda: datetime.now(UTC) > certificate.not_valid_after_utc, "the certificate has expired")
        return time.time()


class DiskFilled(Fault):
    """A file takes all but 2 % of the replica's volume. Its blocks are never written, so the machine loses nothing."""

    name = "fill a disk"

    def __init__(self) -> None:
        self.host = ""
        self.file = "/var/lib/postgresql/fault"

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("HostDiskFull", self.host)}

    def make(self) -> float:
        self.host = other(primary())
        folder = self.file.rpartition("/")[0]
        size, free = map(int, on(self.host, "df", "--block-size=1", "--output=size,avail", folder).split()[-2:])
        on(self.host, "fallocate", "--length", str(free - size // 50), self.file)
        return time.time()

    def repair(self) -> float:
        on(self.host, "rm", self.file)
        return time.time()


class ReplicationBroken(Fault):
    """No packet passes from the replica to its primary's database, as on a network that is broken there."""

    name = "break replication"

    def __init__(self) -> None:
        self.host = ""

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("PostgresReplicationStopped", self.host)}

    def make(self) -> float:
        leader = primary()
        self.host = other(leader)
        address = on(leader, "hostname", "--all-ip-addresses").split()[0]
        chains = "\n".join(
            f"chain {hook} {{ type filter hook {hook} priority -300; ip daddr {address} tcp dport 5432 drop; }}"
            for hook in ("output", "prerouting")
        )
        succeed("exec", self.host, "nft", "-f", "-", feed=f"table ip fault {{\n{chains}\n}}\n")
        return time.time()

    def repair(self) -> float:
        on(self.host, "nft", "delete", "table", "ip", "fault")
        until(lambda: streaming(other(self.host)), "streaming")
        return time.time()


class ArchivingStopped(Fault):
    """The object storage does not answer. What has been written since is to be archived."""

    name = "stop archiving"

    def __init__(self) -> None:
        self.host = ""

    @property
    def alerts(self) -> set[Alert]:
        return {Alert("PostgresArchivingStalled", self.host)}

    def make(self) -> float:
        self.host = primary()
        users.lab("/object_storage", "PUT", {"mode": "away"})
        begun = time.time()
        # A user's visit is a row; without any nothing would have to be archived.
        users.get(f"https://{NAME}/")
        sql(self.host, "SELECT pg_switch_wal()")
        return begun

    def repair(self) -> float:
        users.lab("/object_storage", "PUT", {"mode": "ok"})
        return time.time()


#: Faults that do not touch each other, to be made together; each by itself where it does.
ALONE: dict[str, Callable[[], list[Fault]]] = {
    "stop a server": lambda: [ServerStopped("app-01")],
    "kill an application": lambda: [ApplicationKilled()],
    "expire a certificate": lambda: [CertificateExpired()],
    "break replication": lambda: [ReplicationBroken()],
    "fill a disk and stop archiving": lambda: [DiskFilled(), ArchivingStopped()],
    "stop the primary's server": lambda: [ServerStopped(primary(), Alert("PostgresNoPrimary", ""))],
    "stop the bastion": lambda: [ServerStopped("bastion-server")],
}


# --- how long they take -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """How long an alert took to fire or to resolve, and how long it may, in seconds."""

    fault: str
    alert: Alert
    what: str
    seconds: float
    stated: int

    def __str__(self) -> str:
        ratio = self.seconds / self.stated
        who = f"{self.alert.name} of {self.alert.instance}"
        return f"{self.fault}: {who} {self.what} after {self.seconds:.0f} s of {self.stated} s = {ratio:.2f}"


def chaos(watch: Watch, *faults: Fault, at_once: Callable[[], None] = lambda: None) -> list[Measured]:
    """Make faults, wait until everything fires that must, call ``at_once``, repair, and wait until it has resolved.

    Waiting ends at twice the time of the document, after which something is wrong also on a busy machine; how the times
    compare is returned. Raises AssertionError for an alert that does not come, does not go, or was not expected.
    """
    calm(watch)
    begun = time.time()
    measured = []
    made: dict[Fault, float] = {}
    repaired: dict[Fault, float] = {}
    with ExitStack() as repairs:
        for fault in faults:
            repairs.callback(lambda f=fault: repaired.update({f: f.repair()}))
            made[fault] = fault.make()
        for fault, point in made.items():
            for alert in sorted(fault.alerts):
                until(
                    lambda a=alert, p=point: watch.fired(a, p) is not None,
                    f"{alert} within {PATIENCE:g} times its time",
                    max(1.0, point + PATIENCE * alert.stated[0] - time.time()),
                )
                fired = watch.fired(alert, point)
                assert fired is not None
                measured.append(Measured(fault.name, alert, "fires", fired - point, alert.stated[0]))
        at_once()
    for fault, point in repaired.items():
        for alert in sorted(fault.alerts):
            until(
                lambda a=alert, p=point: watch.gone(a, p) is not None,
                f"the end of {alert} within {PATIENCE:g} times its time",
                max(1.0, point + PATIENCE * alert.stated[1] - time.time()),
            )
            gone = watch.gone(alert, point)
            assert gone is not None
            measured.append(Measured(fault.name, alert, "resolves", gone - point, alert.stated[1]))
    calm(watch)
    expected = set().union(*(fault.alerts for fault in faults))
    assert watch.seen(begun) == {WATCHDOG} | expected
    return measured
