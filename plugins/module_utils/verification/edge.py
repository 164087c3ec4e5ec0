# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the way users come in: by name over HTTPS, through the edge and the load balancer, to every server.

They are made from where the administrator stands, which is somewhere on the internet, and by the names alone: who
answers is not told beforehand.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.bulwark.hetzner.plugins.module_utils.verification.checks import REASON_LIMIT, Check
from cryptography import x509

HTTPS, REDIRECT, HSTS = "HTTPS", "HTTP redirected", "HSTS"
TARGETS, SPREAD, CERTIFICATE, PAST = "targets", "load spread", "origin certificate", "past the edge"

#: What a target is called that never had the application.
NOT_DEPLOYED = "not deployed yet"
#: By which a server says who it is, as proxies and applications commonly do.
SERVER_HEADER = "x-served-by"
#: Requests for each server, from which the spread is judged. With round robin none is missed; a choice at random
#: would miss one of two servers once in 2,048 times.
REQUESTS_PER_SERVER = 6
REDIRECTS = frozenset({301, 302, 307, 308})


@dataclass(frozen=True)
class Answer:
    """What came back for one request: ``status`` is None where there was no answer, and ``reason`` says why."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    address: str = ""
    reason: str = ""

    @property
    def good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    def told(self) -> str:
        return str(self.status) if self.status is not None else f"no answer ({self.reason})"


@dataclass(frozen=True)
class Target:
    """An application server as the load balancer sees it."""

    name: str
    health: str  # healthy, unhealthy or unknown

    @property
    def healthy(self) -> bool:
        return self.health == "healthy"


@dataclass(frozen=True)
class Seen:
    """What the checks came to; ``summary`` are sentences for people."""

    checks: list[Check]
    summary: list[str]


def ask(scheme: str, host: str, path: str, timeout: float) -> Answer:
    """One request, with certificates verified as a browser does it (SSL_CERT_FILE is heeded), no redirect followed."""
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    connection = kind(host, timeout=timeout)
    try:
        connection.request("GET", path, headers={"User-Agent": "bulwark-verify", "Connection": "close"})
        address = str(connection.sock.getpeername()[0]) if connection.sock else ""
        response = connection.getresponse()
        response.read(65536)
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, address)
    except (OSError, http.client.HTTPException) as error:
        return Answer(reason=" ".join(f"{error or type(error).__name__}".split())[:REASON_LIMIT])
    finally:
        connection.close()


def shown_certificate(address: str, host: str, timeout: float) -> x509.Certificate | str:
    """The certificate that is shown at an address to who asks for ``host``; a reason where none is."""
    try:
        with _straight(address, host, timeout) as wrapped:
            shown = wrapped.getpeercert(binary_form=True)
    except OSError as error:
        return " ".join(str(error).split())[:REASON_LIMIT]
    return x509.load_der_x509_certificate(shown) if shown else "no certificate is shown"


def ask_past_the_edge(address: str, host: str, timeout: float) -> Answer:
    """What the load balancer's own address answers to who asks it for the host's first page."""
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        connection.sock = _straight(address, host, timeout)
        connection.request("GET", "/", headers={"User-Agent": "bulwark-verify", "Connection": "close"})
        return Answer(connection.getresponse().status, {}, address)
    except (OSError, http.client.HTTPException) as error:
        return Answer(reason=" ".join(f"{error or type(error).__name__}".split())[:REASON_LIMIT])
    finally:
        connection.close()


def _straight(address: str, host: str, timeout: float) -> ssl.SSLSocket:
    """TLS with an address. Its certificate is not verified: only Cloudflare trusts who signs an origin's."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = socket.create_connection((address, 443), timeout=timeout)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def judge_https(host: str, path: str, answer: Answer) -> Check:
    by = f" from {answer.address}" if answer.address else ""
    return _check(host, HTTPS, answer.good, f"https://{host}{path}: {answer.told()}{by}")


def judge_redirect(host: str, answer: Answer) -> Check:
    goal = answer.headers.get("location", "")
    ok = answer.status in REDIRECTS and re.match(rf"https://{re.escape(host)}(:443)?(/|$)", goal) is not None
    detail = f"http://{host}/: {answer.told()}" + (f" to {goal}" if goal else "")
    return _check(host, REDIRECT, ok, detail if ok else f"{detail}; should lead to https://{host}/")


def judge_hsts(host: str, answer: Answer, least: int) -> Check:
    """``least`` is in seconds."""
    header = answer.headers.get("strict-transport-security", "")
    found = re.search(r"(?:^|;)\s*max-age\s*=\s*\"?(\d+)", header, re.IGNORECASE)
    ok = found is not None and int(found[1]) >= least
    return _check(host, HSTS, ok, (header or "no such header") + ("" if ok else f"; max-age should be {least}"))


def judge_targets(name: str, targets: Sequence[Target], undeployed: Collection[str] = ()) -> Check:
    """All application servers can take traffic, but those that never had the application; one can in any case."""
    waiting = [target.name for target in targets if not target.healthy and target.name in undeployed]
    sick = [target for target in targets if not target.healthy and target.name not in waiting]
    listed = ", ".join(
        f"{target.name} {NOT_DEPLOYED if target.name in waiting else target.health}" for target in targets
    )
    ok = not sick and any(target.healthy for target in targets)
    return _check(name, TARGETS, ok, listed or "there is none")


def judge_spread(name: str, targets: Sequence[Target], answers: Sequence[Answer]) -> Check | None:
    """Every server that is healthy has answered; None where the servers do not say who they are."""
    if any(answer.good and SERVER_HEADER not in answer.headers for answer in answers):
        return None
    count = Counter(answer.headers[SERVER_HEADER] for answer in answers if answer.good)
    failed = sum(not answer.good for answer in answers)
    missing = sorted({target.name for target in targets if target.healthy} - count.keys())
    detail = ", ".join(f"{server} {number}" for server, number in sorted(count.items()))
    detail = f"{detail or 'nobody'} of {len(answers)} requests"
    if failed:
        detail += f"; {failed} failed"
    if missing:
        detail += f"; none reached {', '.join(missing)}"
    return _check(name, SPREAD, not missing and not failed and bool(count), detail)


def judge_certificate(
    name: str, shown: x509.Certificate | str, hosts: Sequence[str], days: int, now: datetime | None = None
) -> Check:
    """The load balancer's certificate covers every name and is good for ``days`` more."""
    if isinstance(shown, str):
        return _check(name, CERTIFICATE, False, f"not seen: {shown}")
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        covered = set(names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        covered = set()
    missing = [host for host in hosts if not {host, f"*.{host.partition('.')[2]}"} & covered]
    ends = shown.not_valid_after_utc
    soon = ends < (now or datetime.now(UTC)) + timedelta(days=days)
    detail = f"for {', '.join(sorted(covered)) or 'no name'}, good until {ends:%Y-%m-%d}"
    if missing:
        detail += f"; does not cover {', '.join(missing)}"
    return _check(name, CERTIFICATE, not missing and not soon, detail)


def judge_past_the_edge(name: str, answer: Answer) -> Check:
    """Who comes to the load balancer's own address is refused by the application."""
    ok = answer.status is not None and 400 <= answer.status < 500
    detail = f"https://{answer.address}/ without the edge: {answer.told()}"
    return _check(name, PAST, ok, detail if ok else f"{detail}; the application should refuse it")


def path_sentence(host: str, path: str, answer: Answer, balancer: str, address: str) -> str:
    """The way that one request took, as far as those on it said who they are."""
    edge = answer.headers.get("server", "")
    hops = [f"edge {answer.address}" + (f" ({edge})" if edge else ""), f"load balancer {balancer} {address}"]
    if server := answer.headers.get(SERVER_HEADER):
        hops.append(f"server {server}")
    return f"Path of https://{host}{path}: {' > '.join(hops)}: {answer.told()}"


def public_address(load_balancer: Mapping[str, Any]) -> str:
    """From the API's description of a load balancer; empty where its public interface is closed."""
    public = load_balancer["public_net"]
    return str((public["ipv4"] or {}).get("ip") or "") if public["enabled"] else ""


def targets_of(load_balancer: Mapping[str, Any], names: Mapping[int, str]) -> list[Target]:
    """From the API's description of a load balancer; ``names`` are the servers' by their ids.

    A target is as healthy as the worst of its services.
    """
    found = []
    for target in load_balancer["targets"]:
        members = target["targets"] if target["type"] == "label_selector" else [target]
        for member in members or []:
            server = (member.get("server") or {}).get("id")
            name = names.get(server, str(server)) if server else str((member.get("ip") or {}).get("ip"))
            states = {status["status"] for status in member.get("health_status") or []}
            worst = next((state for state in ("unhealthy", "unknown") if state in states), "healthy")
            found.append(Target(name, worst if states else "unknown"))
    return sorted(found, key=lambda target: target.name)


@dataclass(frozen=True)
class Subject:
    """What is looked at. ``hosts`` are names without wildcards."""

    hosts: Sequence[str]
    path: str
    hsts_max_age: int  # seconds; 0: not looked at
    balancer: str
    address: str  # the load balancer's public one
    certificate_days: int
    timeout: float
    application_needed: bool
    edge_only: bool  # whether the application refuses what did not come through the edge
    undeployed: Collection[str] = ()  # servers that never had the application


def examine(subject: Subject, targets: Sequence[Target]) -> Seen:
    """All checks. Where no server answers yet, and none has to, those that take an application are left out."""
    checks: list[Check] = []
    answers = {host: ask("https", host, subject.path, subject.timeout) for host in subject.hosts}
    for host, answer in answers.items():
        checks.append(judge_redirect(host, ask("http", host, "/", subject.timeout)))
        if subject.hsts_max_age:
            checks.append(judge_hsts(host, answer, subject.hsts_max_age))
    shown = shown_certificate(subject.address, subject.hosts[0], subject.timeout)
    checks.append(judge_certificate(subject.balancer, shown, subject.hosts, subject.certificate_days))
    if not any(target.healthy for target in targets) and not subject.application_needed:
        told = ", ".join(f"https://{host}{subject.path} {answer.told()}" for host, answer in answers.items())
        return Seen(checks, [f"No application answers yet ({told}): deploy it, then run verify.yml."])
    checks += [judge_https(host, subject.path, answer) for host, answer in answers.items()]
    checks.append(judge_targets(subject.balancer, targets, subject.undeployed))
    host = subject.hosts[0]
    requests = max(2, len(targets)) * REQUESTS_PER_SERVER
    spread = judge_spread(
        subject.balancer, targets, [ask("https", host, subject.path, subject.timeout) for _ in range(requests)]
    )
    summary = [path_sentence(host, subject.path, answers[host], subject.balancer, subject.address)]
    waiting = [target.name for target in targets if not target.healthy and target.name in subject.undeployed]
    if waiting:
        summary.append(
            f"The application is not deployed yet on {', '.join(waiting)}, which takes no traffic until then."
        )
    past = ask_past_the_edge(subject.address, host, subject.timeout)
    if subject.edge_only:
        checks.append(judge_past_the_edge(subject.balancer, past))
    elif past.status is not None:
        summary.append(
            f"Whoever knows the load balancer's own address, {subject.address}, gets an answer past the edge "
            f"({past.status}); docs/cloudflare.md says what can be done about it."
        )
    if spread is None:
        summary.append(f"How the load is spread cannot be told: answers lack the header {SERVER_HEADER}.")
    else:
        checks.append(spread)
    return Seen(checks, summary)


def _check(host: str, check: str, ok: bool, detail: str) -> Check:
    return {"check": check, "host": host, "ok": ok, "detail": detail}
