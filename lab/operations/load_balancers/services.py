"""A load balancer's services: what a request makes of them, and which are allowed. Knows nothing of time or drivers.

Ranges are the document's unless something else is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import NoReturn, TypeVar, get_args

from lab.catalog import LoadBalancerType
from lab.errors import CloudError, invalid_field
from lab.operations import common
from lab.state.load_balancers import (
    HTTP_PORT,
    HTTPS_PORT,
    CheckProtocol,
    HealthCheck,
    Protocol,
    Service,
    ServiceHttp,
)
from lab.state.store import Store

_LAST_PORT = 65535
_MOST_STATUS_CODES = 20
_STATUS_CODE = re.compile(r"[0-9?*]{1,3}")
_COOKIE_NAME = re.compile(r"[!#$&'*+.^_`|~0-9A-Za-z-]{1,100}")  # what RFC 6265 allows, but no percent sign
_DOMAIN = re.compile(r"[!-~]{0,128}")
_PATH = re.compile(r"/[!-~]{0,255}")
_RESPONSE = re.compile(r"[^\x00-\x1f\x7f]{0,256}")

_T = TypeVar("_T")


@dataclass(frozen=True)
class HealthCheckRequest:
    """Fields that were given; None: left alone, or the default. An empty ``domain`` is none."""

    protocol: str | None = None
    port: int | None = None
    interval: int | None = None
    timeout: int | None = None
    retries: int | None = None
    domain: str | None = None
    path: str | None = None
    response: str | None = None
    status_codes: tuple[str, ...] | None = None
    tls: bool | None = None


@dataclass(frozen=True)
class HttpRequest:
    cookie_name: str | None = None
    cookie_lifetime: int | None = None
    timeout_idle: int | None = None
    sticky_sessions: bool | None = None
    certificates: tuple[int, ...] | None = None
    redirect_http: bool | None = None


@dataclass(frozen=True)
class ServiceRequest:
    protocol: str | None = None
    listen_port: int | None = None
    destination_port: int | None = None
    proxyprotocol: bool | None = None
    health_check: HealthCheckRequest = HealthCheckRequest()
    http: HttpRequest = HttpRequest()


def new(store: Store, request: ServiceRequest) -> Service:
    """A service with the defaults for what the request leaves out."""
    protocol = _protocol(request.protocol)
    listen, destination = request.listen_port, request.destination_port
    if protocol != "tcp":
        listen = _or(listen, HTTPS_PORT if protocol == "https" else HTTP_PORT)
        destination = _or(destination, HTTP_PORT)
    destination = _required("destination_port", destination)
    return _checked(
        store,
        Service(
            protocol=protocol,
            listen_port=_required("listen_port", listen),
            destination_port=destination,
            proxyprotocol=bool(request.proxyprotocol),
            health_check=_merge(
                HealthCheck("tcp" if protocol == "tcp" else "http", destination), _given(request.health_check)
            ),
            http=None if protocol == "tcp" else _merge(ServiceHttp(), _given(request.http)),
        ),
    )


def updated(store: Store, service: Service, request: ServiceRequest) -> Service:
    """The service with what the request names replaced."""
    protocol = service.protocol if request.protocol is None else _protocol(request.protocol)
    before = service.http or ServiceHttp()
    if protocol == "http":
        before = replace(before, certificates=(), redirect_http=False)
    return _checked(
        store,
        Service(
            protocol=protocol,
            listen_port=service.listen_port,
            destination_port=_or(request.destination_port, service.destination_port),
            proxyprotocol=_or(request.proxyprotocol, service.proxyprotocol),
            health_check=_merge(service.health_check, _given(request.health_check)),
            http=None if protocol == "tcp" else _merge(before, _given(request.http)),
        ),
    )


def check_fitting(kind: LoadBalancerType, services: Iterable[Service], taken_status: int = 412) -> None:
    """Whether a load balancer of this type can have all of them.

    ``taken_status``: the HTTP status for a port that is taken, which the operations' own tables give.
    """
    listed = list(services)
    if len(listed) > kind.max_services:
        raise CloudError(
            "resource_limit_exceeded", f"load balancers of type {kind.name} have at most {kind.max_services} services"
        )
    certificates = {number for service in listed if service.http for number in service.http.certificates}
    if len(certificates) > kind.max_certificates:
        raise CloudError(
            "resource_limit_exceeded",
            f"load balancers of type {kind.name} have at most {kind.max_certificates} certificates",
        )
    taken: set[int] = set()
    for service in listed:
        for port in sorted(service.ports & taken):
            raise CloudError("source_port_already_used", f"source port {port} is already in use", status=taken_status)
        taken |= service.ports


def _protocol(text: str | None) -> Protocol:
    known: tuple[Protocol, ...] = get_args(Protocol)
    return next((item for item in known if item == text), None) or _refuse("protocol", f"must be one of {_list(known)}")


def _or(given: _T | None, otherwise: _T) -> _T:
    return otherwise if given is None else given


def _given(request: object) -> dict[str, object]:
    values = {item.name: getattr(request, item.name) for item in fields(request)}  # type: ignore[arg-type]  # because every request is a dataclass
    return {name: value for name, value in values.items() if value is not None}


def _merge(base: _T, given: Mapping[str, object]) -> _T:
    merged: _T = replace(base, **given)  # type: ignore[type-var]  # because every part of a service is one
    return merged


def _checked(store: Store, service: Service) -> Service:
    _port("listen_port", service.listen_port)
    _port("destination_port", service.destination_port)
    check = replace(service.health_check, domain=service.health_check.domain or None)
    _check_health_check(check)
    if service.http is not None:
        _check_http(store, service, service.http)
    return replace(service, health_check=check)


def _check_health_check(check: HealthCheck) -> None:
    at = "health_check"
    if check.protocol not in get_args(CheckProtocol):
        _refuse(f"{at}.protocol", f"must be one of {_list(get_args(CheckProtocol))}")
    _port(f"{at}.port", check.port)
    _between(f"{at}.interval", check.interval, 3, 60)
    _between(f"{at}.timeout", check.timeout, 1, 60)
    _between(f"{at}.retries", check.retries, 1, 5)
    domain = check.domain or ""
    if not _DOMAIN.fullmatch(domain) or "%" in domain or "\\" in domain:
        _refuse(f"{at}.http.domain", "must be at most 128 characters without spaces, percent signs and backslashes")
    if not _PATH.fullmatch(check.path):
        _refuse(f"{at}.http.path", "must begin with a slash and be at most 256 characters without spaces")
    if not _RESPONSE.fullmatch(check.response):
        _refuse(f"{at}.http.response", "must be at most 256 characters, none of them a control character")
    if not 1 <= len(check.status_codes) <= _MOST_STATUS_CODES or not all(
        map(_STATUS_CODE.fullmatch, check.status_codes)
    ):
        _refuse(
            f"{at}.http.status_codes", f"must be 1 to {_MOST_STATUS_CODES} codes of digits, with ? and * as wildcards"
        )


def _check_http(store: Store, service: Service, http: ServiceHttp) -> None:
    if not _COOKIE_NAME.fullmatch(http.cookie_name):
        _refuse("http.cookie_name", "must be a cookie's name of 1 to 100 characters")
    _between("http.cookie_lifetime", http.cookie_lifetime, 30, 86400)
    _between("http.timeout_idle", http.timeout_idle, 30, 300)  # source: the vendor's library
    if service.protocol == "http":
        if http.certificates:
            _refuse("http.certificates", "must be empty for protocol http")
        if http.redirect_http:
            _refuse("http.redirect_http", "is for protocol https")
        return
    if not http.certificates:
        _refuse("http.certificates", "is required for protocol https")
    if http.redirect_http and service.listen_port != HTTPS_PORT:
        _refuse("http.redirect_http", f"is for services that listen on port {HTTPS_PORT}")
    for number in common.unique(http.certificates, "http.certificates"):
        common.get("certificate", store.certificates, number)


def _required(field: str, value: int | None) -> int:
    return _refuse(field, "is required") if value is None else value


def _port(field: str, port: int) -> None:
    _between(field, port, 1, _LAST_PORT)


def _between(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        _refuse(field, f"must be from {least} to {most}")


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)


def _refuse(field: str, message: str) -> NoReturn:
    raise invalid_field(field, message)
