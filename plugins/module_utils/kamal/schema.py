# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kamal takes in config/deploy.yml: keys and types, as its own documentation and validator have them.

Source: lib/kamal/configuration/docs/*.yml and lib/kamal/configuration/validator*.rb of Kamal 2,
https://github.com/basecamp/kamal; also https://kamal-deploy.org/docs/configuration/overview/. Kamal refuses keys it
does not know, and values of another type than those of its documentation.

The table has every key at the top, and below those every key of the sections that are written here or let through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """What a value may be: any of ``types``. ``keys`` are a mapping's (None: any), ``items`` is each of a list."""

    types: tuple[type, ...]
    keys: Mapping[str, Shape] | None = None
    items: Shape | None = None
    required: tuple[str, ...] = field(default=())


#: Kamal takes numbers and truth values for text as well.
TEXT = Shape((str, int, float, bool))
WORD = Shape((str,))
NUMBER = Shape((int,))
TRUTH = Shape((bool,))
MAPPING = Shape((dict,))
TEXTS = Shape((list,), items=TEXT)
WORDS = Shape((list,), items=WORD)

HOSTS = Shape((list,), items=Shape((str, dict)))
ENV = Shape((dict,))  # names beside each other, or clear, secret and tags
CLEAR_AND_SECRET = Shape((dict,), {"clear": MAPPING, "secret": WORDS, "tags": MAPPING})

HEALTHCHECK = Shape((dict,), {"interval": NUMBER, "path": TEXT, "timeout": NUMBER})
PROXY = Shape(
    (dict, bool),
    {
        "host": WORD,
        "hosts": WORDS,
        "app_port": NUMBER,
        "ssl": Shape((bool, dict), {"certificate_pem": WORD, "private_key_pem": WORD}),
        "ssl_redirect": TRUTH,
        "forward_headers": TRUTH,
        "response_timeout": NUMBER,
        "path_prefix": TEXT,
        "strip_path_prefix": TRUTH,
        "healthcheck": HEALTHCHECK,
        "buffering": Shape(
            (dict,),
            {
                "requests": TRUTH,
                "responses": TRUTH,
                "max_request_body": NUMBER,
                "max_response_body": NUMBER,
                "memory": NUMBER,
            },
        ),
        "logging": Shape((dict,), {"request_headers": TEXTS, "response_headers": TEXTS}),
    },
)
LOGGING = Shape((dict,), {"driver": TEXT, "options": MAPPING})
ROLE = Shape(
    (list, dict),
    {
        "hosts": HOSTS,
        "cmd": TEXT,
        "options": MAPPING,
        "logging": LOGGING,
        "proxy": PROXY,
        "labels": MAPPING,
        "env": ENV,
        "asset_path": TEXT,
    },
    items=Shape((str, dict)),
)
REGISTRY = Shape(
    (dict,),
    {"server": TEXT, "username": Shape((str, list), items=WORD), "password": Shape((str, list), items=WORD)},
)
BUILDER = Shape(
    (dict,),
    {
        "arch": Shape((str, list), items=WORD),
        "remote": TEXT,
        "local": TRUTH,
        "cache": Shape((dict,), {"type": TEXT, "options": TEXT, "image": TEXT}),
        "context": TEXT,
        "dockerfile": TEXT,
        "target": TEXT,
        "args": MAPPING,
        "additional_contexts": MAPPING,
        "secrets": TEXTS,
        "ssh": TEXT,
        "driver": TEXT,
        "provenance": TEXT,
        "sbom": TEXT,
    },
    required=("arch",),
)
SSH = Shape(
    (dict,),
    {
        "user": TEXT,
        "port": TEXT,
        "proxy": TEXT,
        "proxy_command": TEXT,
        "log_level": TEXT,
        "keys_only": TRUTH,
        "keys": TEXTS,
        "key_data": TEXTS,
        "config": Shape((bool, str, list), items=WORD),
    },
)
BOOT = Shape((dict,), {"limit": TEXT, "wait": NUMBER})

DEPLOY = Shape(
    (dict,),
    {
        "service": TEXT,
        "image": TEXT,
        "labels": MAPPING,
        "volumes": TEXTS,
        "registry": REGISTRY,
        "servers": Shape((list, dict)),
        "env": ENV,
        "asset_path": TEXT,
        "hooks_path": TEXT,
        "hooks_output": Shape((str, dict)),
        "secrets_path": TEXT,
        "error_pages_path": TEXT,
        "require_destination": TRUTH,
        "primary_role": TEXT,
        "allow_empty_roles": TRUTH,
        "retain_containers": NUMBER,
        "minimum_version": TEXT,
        "readiness_delay": NUMBER,
        "deploy_timeout": NUMBER,
        "drain_timeout": NUMBER,
        "run_directory": TEXT,
        "ssh": SSH,
        "builder": BUILDER,
        "accessories": MAPPING,
        "proxy": PROXY,
        "sshkit": MAPPING,
        "boot": BOOT,
        "logging": LOGGING,
        "output": MAPPING,
        "aliases": MAPPING,
    },
    required=("service", "image", "servers", "registry", "builder"),
)


def mistakes(document: object) -> list[str]:
    """Every place where ``document`` is not what Kamal takes, as sentences; none: Kamal takes it."""
    found = list(_mistakes("", document, DEPLOY))
    if not isinstance(document, Mapping):
        return found
    servers = document.get("servers")
    for role, value in servers.items() if isinstance(servers, Mapping) else ():
        found += _mistakes(f"servers.{role}", value, ROLE)
    env = document.get("env")
    if isinstance(env, Mapping) and env.keys() & {"clear", "secret", "tags"}:
        found += _mistakes("env", env, CLEAR_AND_SECRET)
    proxy = document.get("proxy")
    if isinstance(proxy, Mapping) and proxy.keys() >= {"host", "hosts"}:
        found.append("proxy has host and hosts: Kamal takes one of them.")
    return found


def _mistakes(path: str, value: object, shape: Shape) -> Iterator[str]:
    # A truth value is a number to Python, and none to Kamal.
    if not isinstance(value, shape.types) or (isinstance(value, bool) and bool not in shape.types):
        yield f"{path or 'The document'} must be {' or '.join(kind.__name__ for kind in shape.types)}, not {value!r}."
        return
    if isinstance(value, Mapping):
        for name in shape.required:
            if value.get(name) in (None, "", [], {}):
                yield f"{_below(path, name)} is missing."
        for key, inner in value.items() if shape.keys is not None else ():
            known = (shape.keys or {}).get(key)
            if known is None:
                # Only at the top Kamal leaves what begins with x- to people.
                if path or not str(key).startswith("x-"):
                    yield f"{_below(path, str(key))} is no key that Kamal knows."
            else:
                yield from _mistakes(_below(path, str(key)), inner, known)
    if isinstance(value, list) and shape.items:
        for number, inner in enumerate(value):
            yield from _mistakes(f"{path}[{number}]", inner, shape.items)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
