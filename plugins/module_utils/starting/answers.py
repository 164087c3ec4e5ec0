# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the few things that cannot be guessed to a topology, and to its text as a person keeps it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from ..topology.expand import edge, infrastructure
from ..topology.reading import Section, TopologyError
from ..topology.schema import VERSION

#: Answers that become part of the topology. Empty ones count as not given.
KEYS = (
    "admin_addresses",
    "admin_name",
    "admin_key",
    "location",
    "image",
    "servers",
    "one_server",
    "edge_zone",
    "edge_hostnames",
    "edge_zone_owned",
    "object_storage_endpoint",
    "object_storage_region",
    "object_storage_uploads_bucket",
    "object_storage_backups_bucket",
)
#: Answers that are secret, and go into the vault alone.
SECRET_KEYS = ("object_storage_access_key", "object_storage_secret_key")

#: The environment of the embedded cloud, which makes its own secrets.
LAB = "lab"

_YES, _NO = ("y", "yes", "true"), ("n", "no", "false")


def topology(environment: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The topology for ``answers``; raises :class:`TopologyError` for the first mistake, before anything is asked of
    an API.
    """
    if environment == LAB:
        raise TopologyError("The environment lab is the embedded cloud's, which ./bulwark up makes: take another name.")
    given = {key: value for key, value in answers.items() if value not in (None, "", [])}
    _refuse_templates(given)
    section = Section(given, "answers", (*KEYS, *SECRET_KEYS))
    addresses = _list(section, "admin_addresses")
    if not addresses:
        raise TopologyError(
            "answers.admin_addresses is missing: name the addresses that you come from, such as 198.51.100.7; nobody "
            "else reaches the bastion."
        )
    key = section.text("admin_key") if "admin_key" in section else ""
    if not key:
        raise TopologyError("answers.admin_key is missing: give the content of your public key, such as ~/.ssh/….pub.")
    made: dict[str, Any] = {
        "version": VERSION,
        "environment": environment,
        "admin_addresses": [_network(address) for address in addresses],
        "admin_keys": {section.text("admin_name", _name(key)): key.strip()},
    }
    made |= {name: given[name] for name in ("location", "image", "servers") if name in given}
    if "one_server" in section and (only := _one_server(section)) is not None:
        made["one_server"] = only
    if "edge_zone" in section:
        made["edge"] = _edge(section)
    elif left := [key for key in given if key.startswith("edge_hostnames")]:
        raise TopologyError(f"answers.{left[0]} is given without answers.edge_zone, the zone they are in.")
    storage = {
        key.removeprefix("object_storage_"): section.text(key)
        for key in KEYS
        if key.startswith("object_storage_") and key in section
    }
    if storage:
        made["object_storage"] = storage
    # Whoever reads it later finds no mistake that could have been told now.
    infrastructure(made)
    edge(made, "", ())
    return made


def _one_server(section: Section) -> Mapping[str, Any] | None:
    """What is said of the only server; nothing where it is to be the whole architecture."""
    value = section.get("one_server", False)
    if isinstance(value, Mapping):
        return value
    return {} if _truth("one_server", value) else None


def _truth(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value.lower() not in _YES + _NO:
        raise TopologyError(f"answers.{key} must be yes or no, not {value!r}.")
    return value.lower() in _YES


def _edge(section: Section) -> dict[str, Any]:
    made: dict[str, Any] = {"zone": section.text("edge_zone")}
    if hostnames := _list(section, "edge_hostnames"):
        made["hostnames"] = hostnames
    made["zone_owned"] = _truth("edge_zone_owned", section.get("edge_zone_owned", False))
    return made


def _list(section: Section, key: str) -> list[str]:
    """A list, or a text in which commas or spaces separate."""
    value = section.get(key, [])
    if isinstance(value, str):
        return [word for word in re.split(r"[,\s]+", value) if word]
    return section.texts(key)


def _network(text: str) -> str:
    """An address alone is a network of one; what is neither is for the topology's own check to refuse."""
    try:
        return str(ip_network(text))
    except ValueError:
        return text


def _name(key: str) -> str:
    """Who the key's comment says it is of."""
    comment = " ".join(key.split()[2:])
    return re.sub(r"[^A-Za-z0-9._-]+", "-", comment.partition("@")[0]).strip("-._") or "admin"


def _refuse_templates(value: object, path: str = "answers") -> None:
    """Files of an inventory are templates; an answer is data."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_templates(str(key), path)
            _refuse_templates(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            _refuse_templates(inner, path)
    elif isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value):
        raise TopologyError(f"{path} holds a template: give the value itself.")


def render_topology(declared: Mapping[str, Any]) -> str:
    """The file topology.yml. Scalars are written as JSON, which is YAML that needs no thought about quotes."""
    lines = [
        "---",
        "# The whole environment. What is not said here has a default: `ansible-doc -t filter "
        "bulwark.hetzner.infrastructure`.",
        "topology:",
    ]
    lines += _rendered(declared, 1)
    return "\n".join(lines) + "\n"


_COMMENTS = {
    "admin_addresses": "SSH is answered to these networks only, and by the one server that the internet reaches.",
    "admin_keys": "Who may log in, by the content of a .pub file. Servers know these keys from their first boot on.",
    "one_server": "One public server is everything: docs/staging.md.",
    "edge": "The names by which users come in, in a zone at Cloudflare.",
    "object_storage": "Where the application's uploads and the database's backups go. The keys are in the vault.",
}


def _rendered(mapping: Mapping[str, Any], depth: int) -> Iterable[str]:
    indent = "  " * depth
    for key, value in mapping.items():
        if depth == 1 and key in _COMMENTS:
            yield f"\n{indent}# {_COMMENTS[key]}"
        name = key if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key) else json.dumps(key)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}:"
            yield from _rendered(value, depth + 1)
        else:
            yield f"{indent}{name}: {json.dumps(value, ensure_ascii=False)}"


def render_group() -> str:
    """The file of a group whose servers run the application: who may use Docker there, as in docs/kamal.md."""
    return (
        "---\n"
        "# Kamal logs in as the deploy user and uses Docker there. He may become root on these servers in any case.\n"
        "docker_users: [\"{{ topology.user | default('deployer') }}\"]\n"
    )


def render_servers(environment: str, host_authority: str) -> str:
    """The file servers.yml, with the public half of the environment's host authority."""
    return (
        "---\n"
        f'# The servers of the environment "{environment}". The token comes from the variable HCLOUD_TOKEN.\n'
        "plugin: bulwark.hetzner.servers\n"
        f"environments: [{json.dumps(environment)}]\n"
        "# Who vouches for the servers' host keys: the public half of bulwark_host_authority_key, see docs/ssh.md.\n"
        f"host_authorities: [{json.dumps(host_authority)}]\n"
    )
