"""What HAProxy is told to play a load balancer, and how its answers are read. Everything here is pure.

File names are relative to a load balancer's own folder, in which HAProxy runs. What the vendor does not say, and how it
is played here, stands in docs/embedded-cloud.md.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lab.drivers.base import Certificate, Health, HealthCheck, LoadBalancer, Service

CERTIFICATES = "certificates"
#: Where HAProxy reads at its start what an earlier process knew of the targets; see ``known_targets``.
KNOWN_TARGETS = "known"

_PROGRAM = "targets.lua"
_NOBODY = 65534
_CONNECT_SECONDS = 5
#: Connections that outlive a change are left to the process that has them. It ends at the latest after so much time,
#: or so many further changes.
_OLD_PROCESS = ("1h", 50)
_REDIRECT = "redirect"
#: HAProxy does not start without a listener. This one nobody reaches: it is a socket of its own folder.
_NOTHING = ("frontend nothing", "  mode tcp", "  timeout client 1s", "  bind unix@nothing mode 600")
_DEFAULT_HTTPS = 443

# What may stand in a health check, by the vendor's API description; a line break would add to the request.
_DOMAIN = re.compile(r"[!-~]+")
_PATH = re.compile(r"[!-~]+")
_STATUS_CODES = re.compile(r"[0-9?*]+")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$&'*+.^_`|~-]+")  # a token of RFC 9110, but no % either

# Of `show servers state`; source: HAProxy's management guide, and enum healthcheck_status for the unchecked.
_RUNNING, _STOPPED = "2", "0"
_UNCHECKED = ("1", "0")  # status and result of a check
_STATE_FIELDS = (
    "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight "
    "srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state "
    "bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr "
    "srv_agent_addr srv_agent_port"
)


class RefusedError(Exception):
    """A description that cannot be told to HAProxy; the message says what is wrong with it."""


@dataclass(frozen=True)
class Configuration:
    """``digest`` names text and files, and is what a running HAProxy answers as its description."""

    text: str
    files: Mapping[str, str]  # by name; certificates contain private keys
    digest: str


def section(service: Service) -> str:
    """The name of what HAProxy makes of a service."""
    return f"service_{service.listen_port}"


def render(load_balancer: LoadBalancer) -> Configuration:
    """Raises RefusedError for values that no load balancer can have, so that nothing but values gets into the text."""
    program = _program(load_balancer)
    certificates = {
        _certificate_file(certificate): _pem(certificate)
        for service in load_balancer.services
        for certificate in service.certificates
    }
    lines = [*_global(load_balancer), *_redirect(load_balancer)]
    for service in load_balancer.services:
        lines += _listen(service, load_balancer)
    if not load_balancer.services:
        lines += _NOTHING
    text = "\n".join(lines) + "\n"
    digest = hashlib.sha256((text + program).encode()).hexdigest()
    return Configuration(f"global\n  description {digest}\n{text}", {_PROGRAM: program, **certificates}, digest)


def _global(load_balancer: LoadBalancer) -> Iterator[str]:
    """The rest of the global section, and what holds for every other one."""
    yield from (
        f"  uid {_NOBODY}",
        f"  gid {_NOBODY}",
        "  nbthread 1",
        f"  maxconn {load_balancer.max_connections}",
        # Where the machine has fewer file descriptors for us, fewer connections are better than none.
        "  no strict-limits",
        f"  hard-stop-after {_OLD_PROCESS[0]}",
        f"  mworker-max-reloads {_OLD_PROCESS[1]}",
        # New targets are asked at once, however long the interval is.
        "  max-spread-checks 100",
        f"  server-state-file {KNOWN_TARGETS}",
        f"  lua-load {_PROGRAM}",
        "  ssl-default-bind-options ssl-min-ver TLSv1.2",
        "  tune.ssl.default-dh-param 2048",
        "defaults",
        "  load-server-state-from-file global",
        # What a target refuses is answered 503 at once; it is for the health checks to see that it is not asked again.
        "  retries 0",
        # After a change, a connection that a client keeps open is closed with the next answer, not under its hands.
        "  option idle-close-on-response",
    )


def _program(load_balancer: LoadBalancer) -> str:
    entries = "".join(
        f"  {section(service)} = {check.interval * (check.retries - 1) + check.timeout},\n"
        for service in load_balancer.services
        for check in [service.health_check]
    )
    return f"local promised = {{\n{entries}}}\n\n{Path(__file__).with_name(_PROGRAM).read_text()}"


def _redirect(load_balancer: LoadBalancer) -> Iterator[str]:
    """Port 80, for the one service that wants it to lead there."""
    wanted = [service for service in load_balancer.services if service.redirect_http]
    if len(wanted) > 1:
        raise RefusedError("only one service can have port 80 redirected to it")
    for service in wanted:
        port = "" if service.listen_port == _DEFAULT_HTTPS else f":{service.listen_port}"
        yield from (
            f"frontend {_REDIRECT}",
            "  mode http",
            f"  timeout client {service.timeout_idle}s",
            *_binds(80, ""),
            "  http-request deny deny_status 400 unless { req.hdr(host) -m found }",
            f"""  http-request redirect code 301 location 'https://%[req.hdr(host),regsub(":[0-9]+$","")]{port}%[pathq]'""",
        )


def _binds(port: int, options: str) -> tuple[str, ...]:
    return f"  bind *:{port}{options}", f"  bind :::{port} v6only{options}"


def _listen(service: Service, load_balancer: LoadBalancer) -> Iterator[str]:
    yield f"listen {section(service)}"
    yield f"  mode {'tcp' if service.protocol == 'tcp' else 'http'}"
    yield from _binds(service.listen_port, _tls(service))
    yield f"  balance {'leastconn' if load_balancer.algorithm == 'least_connections' else 'roundrobin'}"
    # A connection that a target does not accept has failed no later than a check has.
    yield f"  timeout connect {min(_CONNECT_SECONDS, service.health_check.timeout)}s"
    for side in ("client", "server", "tunnel"):
        yield f"  timeout {side} {service.timeout_idle}s"
    yield f"  timeout check {service.health_check.timeout}s"
    if service.protocol != "tcp":
        yield from _http(service)
    yield from _check(service.health_check)
    for target in load_balancer.targets:
        yield f"  server {_server(target, service)}"


def _tls(service: Service) -> str:
    if service.protocol != "https":
        return ""
    if not service.certificates:
        raise RefusedError(f"service {service.listen_port} is of protocol https and has no certificate")
    files = "".join(f" crt {_certificate_file(certificate)}" for certificate in service.certificates)
    return f" ssl{files} alpn h2,http/1.1"


def _certificate_file(certificate: Certificate) -> str:
    return f"{CERTIFICATES}/{hashlib.sha256(_pem(certificate).encode()).hexdigest()}.pem"


def _pem(certificate: Certificate) -> str:
    return f"{certificate.certificate.rstrip()}\n{certificate.private_key.rstrip()}\n"


def _http(service: Service) -> Iterator[str]:
    yield f"  timeout http-request {service.timeout_idle}s"
    yield f"  timeout http-keep-alive {service.timeout_idle}s"
    # One connection to a target for each request. Of one that is kept open, a target that ends may close its end while
    # the next request is under way to it, which then fails.
    yield "  option http-server-close"
    yield "  option forwardfor"
    yield f"  http-request set-header X-Forwarded-Proto {service.protocol}"
    yield f"  http-request set-header X-Forwarded-Port {service.listen_port}"
    if service.cookie is not None:
        name, lifetime = service.cookie
        _require(_COOKIE_NAME, name, "the name of a cookie")
        yield f"  cookie {_quoted(name)} insert indirect nocache maxlife {lifetime}s"


def _check(check: HealthCheck) -> Iterator[str]:
    if check.protocol != "http":
        return
    _require(_PATH, check.path, "the path of a health check")
    host = "ver HTTP/1.0"
    if check.domain is not None:
        _require(_DOMAIN, check.domain, "the domain of a health check")
        if "%" in check.domain or "\\" in check.domain:
            raise RefusedError("the domain of a health check may not contain percent or backslash signs")
        host = f"ver HTTP/1.1 hdr Host {_quoted(check.domain)}"
    yield "  option httpchk"
    yield f"  http-check send meth GET uri {_quoted(check.path)} {host}"
    for pattern in check.status_codes:
        _require(_STATUS_CODES, pattern, "a status code of a health check")
    patterns = "|".join(pattern.replace("?", ".").replace("*", ".*") for pattern in check.status_codes)
    yield f"  http-check expect rstatus '^({patterns})$'"
    if check.response:
        yield f"  http-check expect string {_quoted(check.response)}"


def _server(target: str, service: Service) -> str:
    try:
        address = ip_address(target)
    except ValueError:
        raise RefusedError(f"{target!r} is not the address of a target") from None
    check = service.health_check
    host = f"[{address}]" if address.version == 6 else str(address)
    words = [target, f"{host}:{service.destination_port}"]
    if service.cookie is not None:
        words += ["cookie", _cookie_value(target)]
    if service.proxyprotocol:
        words.append("send-proxy")
    words += ["check", "port", str(check.port), "inter", f"{check.interval}s"]
    words += ["fall", str(check.retries), "rise", str(check.retries)]
    if service.proxyprotocol and check.port == service.destination_port:
        words.append("check-send-proxy")
    if check.protocol == "http" and check.tls:
        words += ["check-ssl", "verify", "none"]
        words += ["check-sni", _quoted(check.domain)] if check.domain else []
    return " ".join(words)


def _cookie_value(target: str) -> str:
    """As long as the vendor's, and as little of an address."""
    return hashlib.sha256(target.encode()).hexdigest()[:32]


def _require(pattern: re.Pattern[str], value: str, what: str) -> None:
    if not pattern.fullmatch(value):
        raise RefusedError(f"{value!r} cannot be {what}")


def _quoted(value: str) -> str:
    """A word of HAProxy's configuration in which nothing has a meaning; section 2.2 of its configuration manual."""
    if "\0" in value:
        raise RefusedError(f"{value!r} contains a zero character")
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/"
    return '"' + "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in value.encode()) + '"'


@dataclass(frozen=True)
class Worker:
    pid: int
    old: bool  # ends what it has begun, and accepts nothing new


def workers(shown: str) -> list[Worker]:
    """Read `show proc` of the master: the worker that accepts connections first, then those of before."""
    found = []
    kind = ""
    for line in shown.splitlines():
        if line.startswith("# "):
            kind = line.strip("# ")
        elif line.strip() and kind in ("workers", "old workers"):
            found.append(Worker(int(line.split()[0]), kind == "old workers"))
    return found


def failures(shown: str) -> int:
    """Of `show proc`: how many reloads have failed since one succeeded."""
    found = re.search(r"\[failed: (\d+)\]", shown)
    return int(found[1]) if found else 0


def servers(shown: str) -> dict[tuple[str, str], dict[str, str]]:
    """Read `show servers state`: rows by section and target."""
    lines = [line for line in shown.splitlines() if line.strip()]
    names = next((line[1:].split() for line in lines if line.startswith("#")), [])
    rows = [dict(zip(names, line.split(), strict=False)) for line in lines if len(line.split()) > 1 and line[0] != "#"]
    return {(row["be_name"], row["srv_name"]): row for row in rows}


def known_targets(load_balancer: LoadBalancer, before: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """What a new process is to know of its targets, from ``servers`` of the one before.

    Those that are new are down and not asked yet. Ports are those of the description, since they may have changed.
    """
    lines = ["1", f"# {_STATE_FIELDS}"]
    for number, service in enumerate(load_balancer.services, start=1):
        for position, target in enumerate(load_balancer.targets, start=1):
            row = before.get((section(service), target), {})
            up = _RUNNING if row.get("srv_op_state") == _RUNNING else _STOPPED
            status = row.get("srv_check_status", _UNCHECKED[0])
            result = row.get("srv_check_result", _UNCHECKED[1])
            lines.append(
                f"{number} {section(service)} {position} {target} {target} {up} 0 1 1 0 {status} {result} 0 6 0 0 0 - "
                f"{service.destination_port} - 0 {service.health_check.port} - - 0"
            )
    return "\n".join(lines) + "\n"


def statistics(shown: str) -> list[dict[str, str]]:
    """Read `show stat`: a row for each frontend (svname FRONTEND) and each target of a service."""
    return list(csv.DictReader(shown.removeprefix("# ").splitlines()))


def traffic(rows: list[dict[str, str]]) -> list[int]:
    """From ``statistics``: connections, requests, bytes in and bytes out of all frontends."""
    return [
        sum(int(row[name] or 0) for row in rows if row["svname"] == "FRONTEND")
        for name in ("conn_tot", "req_tot", "bin", "bout")
    ]


def information(shown: str) -> dict[str, str]:
    """Read `show info`."""
    return {name: value.strip() for name, _, value in (line.partition(": ") for line in shown.splitlines())}


def alerts(said: str) -> str:
    """What went wrong, out of everything HAProxy said when it refused a configuration."""
    lines = [line.partition(" : ")[2] for line in said.splitlines() if line.startswith("[ALERT]")]
    return "HAProxy refuses this: " + ("; ".join(line.strip() for line in lines) or said.strip())


def cut(load_balancer: LoadBalancer) -> str:
    """The command to end connections to targets that are not described."""
    return f"cut all but {','.join(load_balancer.targets) or '-'}"


def healths(rows: list[dict[str, str]]) -> dict[tuple[str, int], Health]:
    """From ``statistics``: health by target and listen port."""
    return {
        (row["svname"], int(row["pxname"].rpartition("_")[2])): _health(row)
        for row in rows
        if row["svname"] not in ("FRONTEND", "BACKEND")
    }


def _health(row: Mapping[str, str]) -> Health:
    if row["check_status"].removeprefix("* ") in ("", "INI", "UNK"):
        return Health.UNKNOWN
    return Health.HEALTHY if row["status"].startswith("UP") else Health.UNHEALTHY
