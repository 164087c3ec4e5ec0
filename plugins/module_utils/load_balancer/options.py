# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module; documented in the fragment ``hcloud_load_balancer``."""

from __future__ import annotations

from typing import Any

TEXTS = {"type": "list", "elements": "str"}

_CERTIFICATE = {
    "type": "list",
    "elements": "dict",
    "no_log": False,
    "options": {
        "name": {"type": "str"},
        "certificate": {"type": "str", "no_log": True},  # since the key may be among it, which is refused
        "private_key": {"type": "str", "no_log": True},
        "hostnames": TEXTS,
    },
    "mutually_exclusive": [["name", "certificate"]],
    "required_one_of": [["name", "certificate"]],
    "required_together": [["certificate", "private_key"]],
}
_HTTP = {
    "type": "dict",
    "options": {
        "redirect_http": {"type": "bool"},
        "sticky_sessions": {"type": "bool"},
        "cookie_name": {"type": "str"},
        "cookie_lifetime": {"type": "int"},
        "timeout_idle": {"type": "int"},
        "certificates": _CERTIFICATE,
    },
}
_HEALTH_CHECK = {
    "type": "dict",
    "options": {
        "protocol": {"type": "str", "choices": ["tcp", "http"]},
        "port": {"type": "int"},
        "interval": {"type": "int"},
        "timeout": {"type": "int"},
        "retries": {"type": "int"},
        "http": {
            "type": "dict",
            "options": {
                "domain": {"type": "str"},
                "path": {"type": "str"},
                "response": {"type": "str"},
                "status_codes": TEXTS,
                "tls": {"type": "bool"},
            },
        },
    },
}
_SERVICES = {
    "type": "list",
    "elements": "dict",
    "options": {
        "protocol": {"type": "str", "choices": ["tcp", "http", "https"], "required": True},
        "listen_port": {"type": "int", "required": True},
        "destination_port": {"type": "int"},
        "proxyprotocol": {"type": "bool"},
        "http": _HTTP,
        "health_check": _HEALTH_CHECK,
    },
}
_TARGETS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "server": {"type": "str"},
        "label_selector": {"type": "str"},
        "ip": {"type": "str"},
        "use_private_ip": {"type": "bool", "default": True},
    },
    "mutually_exclusive": [["server", "label_selector", "ip"]],
    "required_one_of": [["server", "label_selector", "ip"]],
}

#: By the option's name.
OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "environment_name": {"type": "str", "required": True},
    "confirm": {"type": "str"},
    "allow": {**TEXTS, "default": []},
    "name": {"type": "str", "required": True},
    "type": {"type": "str"},
    "location": {"type": "str"},
    "network_zone": {"type": "str"},
    "algorithm": {"type": "str", "choices": ["round_robin", "least_connections"]},
    "network": {
        "type": "dict",
        "options": {"name": {"type": "str", "required": True}, "address": {"type": "str", "required": True}},
    },
    "public_interface": {"type": "bool"},
    "services": _SERVICES,
    "targets": _TARGETS,
    "labels": {"type": "dict"},
    "delete_protection": {"type": "bool"},
    "wait_healthy": {"type": "int", "default": 0},
    "timeout": {"type": "int", "default": 600},
    "lock_timeout": {"type": "int", "default": 120},
}
