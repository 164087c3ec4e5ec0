# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person decides of a deployment: the variable ``kamal``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..topology.reading import Section, TopologyError

#: Keys of config/deploy.yml that go there as they are.
PASSED_ON = (
    "labels",
    "asset_path",
    "hooks_path",
    "hooks_output",
    "error_pages_path",
    "retain_containers",
    "minimum_version",
    "readiness_delay",
    "deploy_timeout",
    "drain_timeout",
    "accessories",
    "sshkit",
    "boot",
    "logging",
    "output",
    "aliases",
)
KEYS = (
    "service",
    "image",
    "registry",
    "app_port",
    "hosts",
    "healthcheck",
    "proxy",
    "jobs_command",
    "env",
    "secrets",
    "volumes",
    "builder",
    *PASSED_ON,
)
#: Of the proxy; all else about it follows from the load balancer.
PROXY_KEYS = ("response_timeout", "buffering", "logging")
BUILDER_KEYS = (
    "remote",
    "local",
    "cache",
    "context",
    "dockerfile",
    "target",
    "args",
    "additional_contexts",
    "secrets",
    "ssh",
    "driver",
    "provenance",
    "sbom",
)

REGISTRY_PASSWORD = "KAMAL_REGISTRY_PASSWORD"  # noqa: S105 because it is the name of a secret, Kamal's own
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class KamalError(TopologyError):
    """There is no deployment like this; the message is a sentence for a person."""


@dataclass(frozen=True)
class Options:
    """``healthcheck`` is None for what is not said; times are in seconds."""

    service: str
    image: str
    registry: Mapping[str, Any]
    app_port: int
    hosts: tuple[str, ...]
    interval: int | None
    timeout: int | None
    proxy: Mapping[str, Any]
    jobs_command: str
    env: Mapping[str, Any]
    secrets: tuple[str, ...]
    volumes: tuple[str, ...]
    builder: Mapping[str, Any]
    passed_on: Mapping[str, Any]


def read(data: object) -> Options:
    """The variable ``kamal``, checked. Raises TopologyError."""
    if not data:
        raise KamalError(
            "The variable kamal is missing: give it at least service, image and registry.username, see docs/kamal.md."
        )
    top = Section(data, "kamal", KEYS)
    _refuse_erb("kamal", data)
    check = top.section("healthcheck", ("interval", "timeout"))
    service = top.text("service")
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", service):
        raise KamalError(
            f"kamal.service: {service!r} cannot begin a container's name: use letters, digits, hyphens and underscores."
        )
    proxy = Section(top.get("proxy", {}), "kamal.proxy", PROXY_KEYS)
    builder = Section(top.get("builder", {}), "kamal.builder", BUILDER_KEYS)
    secrets = tuple(top.texts("secrets"))
    for entry in secrets:
        _check_names("kamal.secrets", entry.split(":", 1))
    env = top.get("env", {})
    if not isinstance(env, Mapping):
        raise KamalError("kamal.env must be a mapping of names to values.")
    _check_names("kamal.env", env)
    for name, value in env.items():
        if not isinstance(value, str | int | float | bool):
            raise KamalError(f"kamal.env.{name} must be one value; what is secret belongs into kamal.secrets.")
    both = sorted({entry.split(":", 1)[0] for entry in secrets} & env.keys())
    if both:
        raise KamalError(f"{both[0]} is in kamal.env and in kamal.secrets: keep one of them.")
    return Options(
        service=service,
        image=top.text("image"),
        registry=_registry(top),
        app_port=top.whole("app_port", 80, 1, 65535),
        hosts=tuple(top.texts("hosts")),
        interval=check.whole("interval", 1, 1, 60) if "interval" in check else None,
        timeout=check.whole("timeout", 1, 1, 60) if "timeout" in check else None,
        proxy={key: proxy.get(key, None) for key in PROXY_KEYS if key in proxy},
        jobs_command=top.text("jobs_command", "bin/jobs"),
        env=env,
        secrets=secrets,
        volumes=tuple(top.texts("volumes")),
        builder={key: builder.get(key, None) for key in BUILDER_KEYS if key in builder},
        passed_on={key: top.get(key, None) for key in PASSED_ON if key in top},
    )


def _registry(top: Section) -> dict[str, Any]:
    section = top.section("registry", ("server", "username", "password"))
    registry: dict[str, Any] = {"server": section.text("server")} if "server" in section else {}
    if str(registry.get("server", "")).split(":")[0] == "localhost" and "username" not in section:
        return registry  # Kamal's own, which it runs itself
    password = section.text("password", REGISTRY_PASSWORD)
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", password):
        # The value is not repeated: it may be the password.
        raise KamalError(
            "kamal.registry.password is the name of a secret in .kamal/secrets, such as KAMAL_REGISTRY_PASSWORD, "
            "never the password itself."
        )
    return {**registry, "username": section.text("username"), "password": [password]}


def _check_names(path: str, names: Iterable[object]) -> None:
    for name in names:
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise KamalError(f"{path}: {name!r} is no name of a variable: use letters, digits and underscores.")


def _refuse_erb(path: str, value: object) -> None:
    """Kamal reads the file as a template of Ruby code first, so what is only text here would be carried out there."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_erb(path, key)
            _refuse_erb(f"{path}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_erb(path, inner)
    elif isinstance(value, str) and ("<%" in value or not value.isprintable()):
        raise KamalError(
            f"{path} holds '<%' or a sign that cannot be printed, which Kamal would read as code: take it out."
        )
