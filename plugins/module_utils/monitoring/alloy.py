# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana Alloy's configuration: a server's journal and the output of its containers go to Loki.

https://grafana.com/docs/alloy/latest/reference/components/loki/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .declared import MonitoringError

#: How far back it reads what it has not read before: as far as Loki takes what comes late.
OLDEST = "168h"
#: While Loki is away it tries again this often, for a week. It reads no further then, and the journal keeps the rest.
PAUSE, TRIES = "30s", 20160
DOCKER = "unix:///run/docker.sock"

_Block = tuple[str, Mapping[str, Any], Sequence["_Block"]]


class Expression(str):
    """Something that is not a string in Alloy's language, such as a reference."""

    __slots__ = ()


def configuration(loki: str, labels: Mapping[str, str], containers: bool) -> str:
    """config.alloy. ``loki`` is address and port; ``labels`` are on every line; ``containers``: whether Docker is read.

    Raises MonitoringError for an address or a label that cannot be.
    """
    if not re.fullmatch(r"[A-Za-z0-9.-]+:[0-9]{1,5}", loki):
        raise MonitoringError(f'alloy_loki is "{loki}"; write address and port, like 10.0.0.8:3100.')
    for name, value in labels.items():
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or not value:
            raise MonitoringError(
                f'alloy_labels has "{name}" with the value "{value}"; write a plain name and a value.'
            )
    receiver = Expression("[loki.write.monitoring.receiver]")
    blocks: list[_Block] = [
        ("logging", {"level": "warn", "format": "logfmt"}, []),
        *_journal(receiver, labels),
        *(_containers(receiver, labels) if containers else []),
        _write(loki),
    ]
    return "\n\n".join(render(block) for block in blocks) + "\n"


def _journal(receiver: Expression, labels: Mapping[str, str]) -> list[_Block]:
    rules: list[_Block] = [
        _rename("__journal__systemd_unit", "unit"),
        _rename("__journal_priority_keyword", "level"),
        # What comes from no unit, such as the kernel, says who it is.
        (
            "rule",
            {
                "source_labels": Expression('["__journal__systemd_unit", "__journal_syslog_identifier"]'),
                "separator": ";",
                "regex": ";(.+)",
                "target_label": "unit",
            },
            [],
        ),
    ]
    source = {
        "max_age": OLDEST,
        "labels": {"job": "journal", **labels},
        "relabel_rules": Expression("loki.relabel.journal.rules"),
        "forward_to": receiver,
    }
    return [
        ('loki.relabel "journal"', {"forward_to": Expression("[]")}, rules),
        ('loki.source.journal "journal"', source, []),
    ]


def _containers(receiver: Expression, labels: Mapping[str, str]) -> list[_Block]:
    # Names of containers say what they are; who looks for a unit finds both.
    names: list[_Block] = [
        (
            "rule",
            {
                "source_labels": Expression('["__meta_docker_container_name"]'),
                "regex": "/(.*)",
                "target_label": label,
            },
            [],
        )
        for label in ("container", "unit")
    ]
    source = {
        "host": DOCKER,
        "targets": Expression("discovery.relabel.containers.output"),
        "labels": {"job": "containers", **labels},
        "forward_to": receiver,
    }
    return [
        ('discovery.docker "containers"', {"host": DOCKER, "refresh_interval": "10s"}, []),
        (
            'discovery.relabel "containers"',
            {"targets": Expression("discovery.docker.containers.targets")},
            names,
        ),
        ('loki.source.docker "containers"', source, []),
    ]


def _write(loki: str) -> _Block:
    endpoint = {
        "url": f"http://{loki}/loki/api/v1/push",
        "max_backoff_period": PAUSE,
        "max_backoff_retries": TRIES,
    }
    return ('loki.write "monitoring"', {}, [("endpoint", endpoint, [])])


def _rename(source: str, target: str) -> _Block:
    return ("rule", {"source_labels": Expression(json.dumps([source])), "target_label": target}, [])


def render(block: _Block, depth: int = 0) -> str:
    """A block in Alloy's language, whose strings are written as JSON's."""
    head, attributes, inner = block
    space = "  " * (depth + 1)
    width = max((len(name) for name in attributes), default=0)
    lines = [f"{space}{name:<{width}} = {_value(value)}" for name, value in attributes.items()]
    lines += [render(part, depth + 1) for part in inner]
    body = "\n".join(lines)
    return f"{'  ' * depth}{head} {{\n{body}\n{'  ' * depth}}}"


def _value(value: object) -> str:
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(key)} = {json.dumps(entry)}' for key, entry in value.items())}}}"
    return json.dumps(value)
