# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of the module ask for, checked as far as that needs no API."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from typing import Any

from ..infrastructure.declared import DeclarationError, Labels, check_environment, check_labels
from . import pem
from .settings import Settings, flat

#: Least and most, by the vendor's document.
_RANGES = {
    "listen_port": (1, 65535),
    "destination_port": (1, 65535),
    "health_check.port": (1, 65535),
    "health_check.interval": (3, 60),
    "health_check.timeout": (1, 60),
    "health_check.retries": (1, 5),
    "http.cookie_lifetime": (30, 86400),
    "http.timeout_idle": (30, 300),  # as the vendor's library says
}
#: What a text must look like, and how to say that.
_TEXTS = {
    "health_check.http.domain": (r"[^\s%\\]{0,128}", "at most 128 characters without spaces, percent and backslash"),
    "health_check.http.path": (r"/[^ ]{0,255}", "at most 256 characters that begin with a slash, a space written %20"),
    "health_check.http.response": (r"[^\x00-\x1f\x7f]{0,256}", "at most 256 characters in one line"),
    "http.cookie_name": (r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", "1 to 100 characters that a cookie's name can have"),
}
MAX_STATUS_CODES = 20


@dataclass(frozen=True)
class Certificate:
    """One that is there, by ``name``, or one by its content."""

    name: str | None
    chain: pem.Chain | None
    private_key: str = field(repr=False)
    hostnames: tuple[str, ...]


@dataclass(frozen=True)
class Service:
    """``given`` are its settings as far as they are, without certificates; these are None where they are omitted."""

    given: Settings
    certificates: tuple[Certificate, ...] | None

    @property
    def port(self) -> int:
        return int(self.given["listen_port"])


@dataclass(frozen=True, order=True)
class Target:
    kind: str  # server, label_selector or ip
    value: str  # the server's name, the selector, the address
    private: bool


@dataclass(frozen=True)
class LoadBalancer:
    """What is None was omitted and is left alone."""

    environment: str
    name: str
    type: str | None = None
    location: str | None = None
    network_zone: str | None = None
    algorithm: str | None = None
    network: tuple[str, str] | None = None  # name, address
    public: bool | None = None
    services: tuple[Service, ...] | None = None
    targets: tuple[Target, ...] | None = None
    labels: Labels = None
    protected: bool | None = None


def parse(params: Mapping[str, Any]) -> LoadBalancer:
    """The load balancer in the module's options; raises :class:`DeclarationError` for the first mistake found."""
    name, labels = params["name"], params["labels"]
    if not re.fullmatch(r"\S(.{0,126}\S)?", name):
        raise DeclarationError(f"name: {name!r} is not 1 to 128 characters without spaces at its ends.")
    check_environment(params["environment_name"])
    if labels is not None:
        labels = {key: str(value) for key, value in labels.items()}
        check_labels("labels", name, labels)
    network = params["network"]
    return LoadBalancer(
        environment=params["environment_name"],
        name=name,
        type=params["type"],
        location=params["location"],
        network_zone=params["network_zone"],
        algorithm=params["algorithm"],
        network=network and (network["name"], _address(network["address"])),
        public=params["public_interface"],
        services=None if params["services"] is None else _services(params["services"]),
        targets=None if params["targets"] is None else _targets(params["targets"]),
        labels=labels,
        protected=params["delete_protection"],
    )


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise DeclarationError(f"network: {text!r} is no IPv4 address.") from None


def _services(options: Sequence[Mapping[str, Any]]) -> tuple[Service, ...]:
    services = tuple(_service(option) for option in options)
    for port, times in Counter(service.port for service in services).items():
        if times > 1:
            raise DeclarationError(f"services: the listen_port {port} is declared {times} times; each is one service.")
    return services


def _service(option: Mapping[str, Any]) -> Service:
    http = option["http"] or {}
    certificates = http.get("certificates")
    given = flat({**option, "http": {key: value for key, value in http.items() if key != "certificates"}})
    where = f"services: {given['listen_port']}"
    for key, (least, most) in _RANGES.items():
        if key in given and not least <= given[key] <= most:
            raise DeclarationError(f"{where}: {key} is {given[key]}, it can be from {least} to {most}.")
    for key, (pattern, meaning) in _TEXTS.items():
        if key in given and not re.fullmatch(pattern, given[key]):
            raise DeclarationError(f"{where}: {key} is {given[key]!r}, it must be {meaning}.")
    codes = given.get("health_check.http.status_codes", ("2??",))
    if not 1 <= len(codes) <= MAX_STATUS_CODES or not all(re.fullmatch(r"[0-9?*]{1,3}", code) for code in codes):
        raise DeclarationError(
            f"{where}: health_check.http.status_codes are 1 to {MAX_STATUS_CODES}, such as 200 or 2??, with ? for any "
            f"digit and * for several; given is {', '.join(codes) or 'none'}."
        )
    if certificates is None:
        return Service(given, None)
    return Service(given, tuple(_certificate(where, certificate) for certificate in certificates))


def _certificate(where: str, option: Mapping[str, Any]) -> Certificate:
    try:
        chain = None if option["name"] else pem.parse(option["certificate"] or "")
    except pem.CertificateError as error:
        raise DeclarationError(f"{where}: {error}") from None
    return Certificate(option["name"], chain, option["private_key"] or "", tuple(option["hostnames"] or ()))


def _targets(options: Sequence[Mapping[str, Any]]) -> tuple[Target, ...]:
    targets = tuple(_target(option) for option in options)
    for (kind, value), times in Counter(map(_subject, targets)).items():
        if times > 1:
            raise DeclarationError(f"targets: the {kind} {value} is declared {times} times.")
    return targets


def _subject(target: Target) -> tuple[str, str]:
    return target.kind, requirements(target.value) if target.kind == "label_selector" else target.value


def requirements(selector: str) -> str:
    """One way to write the same label selector: without spaces that mean nothing, in order, ``=`` for ``==``.

    https://docs.hetzner.cloud/reference/cloud#label-selector
    """
    text = re.sub(r"\s*(==|!=|=|,|\(|\))\s*", r"\1", " ".join(selector.split())).replace("==", "=")
    return ",".join(sorted(re.split(r",(?![^(]*\))", text)))


def _target(option: Mapping[str, Any]) -> Target:
    kind = next(kind for kind in ("server", "label_selector", "ip") if option[kind] is not None)
    value = option[kind].strip()
    if not value:
        raise DeclarationError(f"targets: one has an empty {kind}.")
    if kind != "ip":
        return Target(kind, value, option["use_private_ip"])
    try:
        return Target(kind, str(ip_address(value)), False)
    except ValueError:
        raise DeclarationError(f"targets: {value!r} is no IP address.") from None
