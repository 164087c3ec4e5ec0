# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that declare resources; documented in the fragment ``hcloud_resources``."""

from __future__ import annotations

from typing import Any

LABELS = {"type": "dict"}
NAME = {"type": "str", "required": True}
TEXTS = {"type": "list", "elements": "str"}


def _resources(**options: dict[str, Any]) -> dict[str, Any]:
    return {"type": "list", "elements": "dict", "options": {"name": NAME, **options, "labels": LABELS}, "no_log": False}


ROUTES = {"type": "list", "elements": "dict", "options": {"destination": NAME, "gateway": NAME}}
RULES = {
    "type": "list",
    "elements": "dict",
    "options": {
        "direction": {"type": "str", "choices": ["in", "out"], "required": True},
        "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp", "esp", "gre"], "required": True},
        "port": {"type": "str"},
        "source_ips": TEXTS,
        "destination_ips": TEXTS,
        "description": {"type": "str"},
    },
}

#: By the option's name.
RESOURCES: dict[str, dict[str, Any]] = {
    "ssh_keys": _resources(public_key={"type": "str", "required": True, "no_log": False}),
    "networks": _resources(ip_range=NAME, location=NAME, subnets=TEXTS, routes=ROUTES),
    "firewalls": _resources(rules=RULES),
    "placement_groups": _resources(type={"type": "str", "choices": ["spread"], "default": "spread"}),
    "primary_ips": _resources(
        type={"type": "str", "choices": ["ipv4", "ipv6"], "default": "ipv4"},
        location=NAME,
        auto_delete={"type": "bool", "default": False},
    ),
    "servers": _resources(
        type=NAME,
        image=NAME,
        location=NAME,
        ssh_keys={**TEXTS, "default": [], "no_log": False},
        user_data={"type": "str", "default": ""},
        networks={"type": "list", "elements": "dict", "default": [], "options": {"name": NAME, "address": NAME}},
        public_ipv4={"type": "str"},
        public_ipv6={"type": "bool", "default": False},
        firewalls=TEXTS,
        placement_group={"type": "str"},
    ),
    "volumes": _resources(
        size={"type": "int", "required": True},
        format={"type": "str", "choices": ["xfs", "ext4"]},
        location=NAME,
        server={"type": "str"},
    ),
}
