# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventory of the servers of a Hetzner Cloud project."""

from __future__ import annotations

DOCUMENTATION = r"""
name: servers
short_description: Servers of a Hetzner Cloud project, and the way to them
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Lists the servers of a project with groups by role and environment, and connects to those without a public address
    through the bastion of their environment.
  - >-
    Groups: C(bulwark_servers) holds every server, C(public_servers) and C(private_servers) part them by whether they
    have a public address, C(env_NAME) comes from the label C(env=NAME), and C(role_NAME) from each label
    C(role-NAME=true), with an underscore for every sign that a group's name cannot hold.
  - >-
    Host variable C(bulwark_server), the server as the API describes it: C(id) (int), C(name), C(status) (as the vendor
    names it, such as V(running) or V(off)), C(type), C(cores) (int), C(memory_gb) (float), C(architecture) (V(arm) or
    V(x86)), C(location), C(image) (null for a snapshot), C(created) (ISO 8601), C(env) (null without that label),
    C(roles) (list), C(labels) (dict), C(private_address) (IPv4 address or null), C(private_mac) (of the interface that
    holds it, or null), C(public_address) (IPv4 address, IPv6 address where there is no other, or null), and
    C(volumes), a list of C(id) (int), C(name), C(size_gb) (int) and C(device) (path on the server).
  - >-
    Host variable C(bulwark_network), the network of the private address, null without one: C(id) (int), C(name),
    C(ip_range) (CIDR), C(subnets) (list of CIDRs) and C(gateway) (address).
  - >-
    Host variable C(bulwark_bastion), the bastion of the server's environment and network, null where there is none:
    C(name), C(private_address), C(public_address). Of several it is the first by name.
  - >-
    Host variable C(bulwark_ssh), the way to the server for C(bulwark.hetzner.ssh_client_config) and
    M(bulwark.hetzner.verify_outside): C(name), C(environment), C(address), C(user), C(host_key_alias),
    C(known_hosts_file), C(private_key_file) (null for the SSH client's own keys), C(control_directory) and C(jump)
    (null, or the bastion described likewise, with C(control_name)). With O(host_authorities) also C(host_authorities)
    and C(first_contact) (bool, whether the server is new enough to be met for the first time). A server without any
    address has no such variable.
  - >-
    From it come C(ansible_host), C(ansible_user), C(ansible_ssh_common_args), C(ansible_control_path), and
    C(ansible_ssh_private_key_file) where O(private_key_file) is set.
notes:
  - >-
    Host keys are checked. The first contact with a server pins its key in O(known_hosts_file) under a name made of
    the server's id, so a server made anew is no stranger, and one that shows another key is refused. With
    O(host_authorities) servers are told by the certificates of their keys, also on a controller that remembers none.
  - >-
    Ansible takes an inventory that cannot be read for an empty one, and succeeds with nothing done. Set
    C(any_unparsed_is_failed=true) in the section C([inventory]) of C(ansible.cfg).
  - >-
    With a cache, what is too old is kept: while the API is away it is used all the same, and a warning says how old it
    is. Not so where a refresh was asked for, with C(--flush-cache) or C(meta: refresh_inventory).
  - >-
    A listing takes one request for each 50 servers, one for the networks, and one for each 50 volumes if a server has
    one.
requirements:
  - hcloud on the controller
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks a file as a configuration of this plugin.
    type: str
    required: true
    choices: [bulwark.hetzner.servers]
  api_token:
    description: API token of the project. Reading permission is enough.
    type: str
    env:
      - name: HCLOUD_TOKEN
  api_endpoint:
    description: URL of the API up to and including its version. Plain C(http) is accepted on loopback only.
    type: str
    default: https://api.hetzner.cloud/v1
    env:
      - name: HCLOUD_ENDPOINT
  environments:
    description: Values of the label C(env) whose servers are listed. Empty lists the servers of all environments.
    type: list
    elements: str
    default: []
  projects:
    description:
      - Several projects in one inventory, each with its own token. O(api_token) and O(environments) do not count then.
      - Each is a dictionary of C(name), which messages call it by, C(token_variable), the name of the environment
        variable that holds its token, and C(environments), as O(environments).
      - A server's name must not be there twice.
    type: list
    elements: dict
    default: []
  label_selector:
    description:
      - Label selector that every listed server must fit. By default these are the servers this collection has made, so
        that others in the same project are never touched. An empty string lists them as well.
      - See U(https://docs.hetzner.cloud/reference/cloud#label-selector) for the grammar.
    type: str
    default: managed-by=bulwark
  user:
    description: User to log in as, on the servers and on the bastion.
    type: str
    default: deployer
  private_key_file:
    description:
      - Private key to log in with, on the servers and on the bastion. Without it the SSH client's own keys and its
        agent are used.
      - C(ansible-playbook --private-key) does not reach the connection to the bastion; this does.
    type: path
    env:
      - name: ANSIBLE_PRIVATE_KEY_FILE
    ini:
      - section: defaults
        key: private_key_file
  known_hosts_file:
    description: File in which the host keys are kept. Its directory must exist.
    type: path
    default: ~/.ssh/known_hosts_bulwark
    env:
      - name: BULWARK_KNOWN_HOSTS
  host_authorities:
    description:
      - Public keys of the host authorities that vouch for the servers, each one line like C(ssh-ed25519 AAAA…). More
        than one while they change. All count for every server of the inventory, so environments with authorities of
        their own are best kept in inventories of their own.
      - Takes an SSH client of OpenSSH 8.5 or newer.
    type: list
    elements: str
    default: []
    env:
      - name: BULWARK_HOST_AUTHORITIES
  first_contact_hours:
    description:
      - With O(host_authorities), how old a server may be for its host key to be accepted without a certificate although
        O(known_hosts_file) does not hold it. An older one is refused then. V(0) never accepts one.
      - To be raised for one run where older servers have no certificate yet, or were given a new host key.
    type: int
    default: 24
    env:
      - name: BULWARK_FIRST_CONTACT_HOURS
  control_path_dir:
    description: Directory of the sockets by which tasks share one connection to the bastion. Made if it is missing.
    type: path
    default: ~/.ansible/cp
    env:
      - name: ANSIBLE_SSH_CONTROL_PATH_DIR
    ini:
      - section: ssh_connection
        key: control_path_dir
"""

EXAMPLES = r"""
# inventories/production/servers.yml
plugin: bulwark.hetzner.servers
environments: [production]

# Two projects in one inventory
# plugin: bulwark.hetzner.servers
# projects:
#   - name: shop
#     token_variable: HCLOUD_TOKEN_SHOP
#     environments: [production]
#   - name: trials
#     token_variable: HCLOUD_TOKEN_TRIALS

# With a cache on disk, and a group for each location
# plugin: bulwark.hetzner.servers
# environments: [production, staging]
# cache: true
# cache_plugin: ansible.builtin.jsonfile
# cache_connection: ~/.cache/bulwark-inventory
# cache_timeout: 300
# keyed_groups:
#   - key: bulwark_server.location
#     prefix: location
"""

import difflib
import hashlib
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable, get_cache_plugin
from ansible_collections.bulwark.hetzner.plugins.module_utils.hcloud_client import (
    APIException,
    ClientError,
    create_client,
    explain,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.hosts import (
    STANDING_GROUPS,
    Host,
    SshSettings,
    build_hosts,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.listing import (
    SNAPSHOT_VERSION,
    Snapshot,
    label_selector,
    read_snapshot,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.projects import Project, merged, projects_of
from ansible_collections.bulwark.hetzner.plugins.module_utils.inventory.records import InventoryError
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import REFUSED_FOR_NOW, unclear


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]  # because Ansible is untyped
    NAME = "bulwark.hetzner.servers"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith((".yml", ".yaml"))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._refuse_unknown_options(self._read_config_data(path))
        try:
            settings = SshSettings(
                user=self.get_option("user"),
                known_hosts_file=self.get_option("known_hosts_file"),
                private_key_file=self.get_option("private_key_file"),
                control_directory=self.get_option("control_path_dir"),
                host_authorities=tuple(self.get_option("host_authorities")),
                new_since=datetime.now(UTC) - timedelta(hours=self.get_option("first_contact_hours")),
            )
            # Without it the SSH client would give up, and Ansible makes it only where its own sockets go there.
            os.makedirs(settings.control_directory, mode=0o700, exist_ok=True)
            hosts = list(build_hosts(self._everything(path, cache), settings))
        except (ClientError, InventoryError, APIException, OSError) as error:
            raise AnsibleParserError(explain(error)) from error
        for group in STANDING_GROUPS:
            inventory.add_group(group)
        for host in hosts:
            self._add(host)
        self._tell_of_closed_vaults(Path(path).parent)

    def _tell_of_closed_vaults(self, folder: Path) -> None:
        """Ansible stops at one when a play begins, and says neither which it is nor what to do."""
        for file in sorted((folder / "group_vars").rglob("*")):
            try:
                if file.is_file() and file.read_bytes().startswith(b"$ANSIBLE_VAULT"):
                    self.loader.load_from_file(str(file))
            except AnsibleError:
                self.display.warning(
                    f"{file} is encrypted, and no password that was given opens it: name the file that holds its"
                    " password in ANSIBLE_VAULT_PASSWORD_FILE, or give --ask-vault-pass."
                )

    def _refuse_unknown_options(self, config: dict[str, Any]) -> None:
        """A misspelt ``environments`` would list, and change, every environment there is."""
        known = set(self.option_definitions)
        for option in config:
            if option not in known:
                nearest = difflib.get_close_matches(option, known, n=1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(sorted(known))}."
                raise AnsibleParserError(f"The inventory plugin {self.NAME} has no option {option}: {hint}")

    def load_cache_plugin(self) -> None:
        """A cache that keeps everything: whether it is too old, and counts all the same, is decided here."""
        options = {"_uri": self.get_option("cache_connection"), "_prefix": self.get_option("cache_prefix")}
        known = {name: value for name, value in options.items() if value is not None}
        self._cache = get_cache_plugin(self.get_option("cache_plugin"), _timeout=0, **known)

    def _everything(self, path: str, cache: bool) -> Snapshot:
        entries, selector = self.get_option("projects"), self.get_option("label_selector")
        if entries:
            projects = projects_of(entries, os.environ, selector)
        else:
            projects = [
                Project("", self.get_option("api_token"), label_selector(self.get_option("environments"), selector))
            ]
        return merged((project, self._snapshot(project, path, cache)) for project in projects)

    def _snapshot(self, project: Project, path: str, cache: bool) -> Snapshot:
        caching = self.get_option("cache")
        key = self._cache_key(project, path)
        cached: Snapshot | None = self._cache.get(key) if caching and cache else None
        if cached and time.time() - cached["taken"] <= (self.get_option("cache_timeout") or float("inf")):
            return cached
        try:
            client = create_client(project.token, self.get_option("api_endpoint"))
            snapshot = read_snapshot(client, project.selector)
        except (ClientError, APIException, OSError) as error:
            named = f"Project {project.name}: " if project.name else ""
            if cached is None or not (unclear(error) or getattr(error, "code", None) in REFUSED_FOR_NOW):
                raise InventoryError(named + explain(error)) from error
            minutes = round((time.time() - cached["taken"]) / 60)
            self.display.warning(f"{named}{explain(error)} The inventory of {minutes} minutes ago is used instead.")
            return cached
        if caching:
            self._cache[key] = snapshot
        return snapshot

    def _cache_key(self, project: Project, path: str) -> str:
        """The token takes part because it stands for the project; a hash of it tells nothing about it."""
        parts = (str(SNAPSHOT_VERSION), self.get_option("api_endpoint"), project.token or "", project.selector)
        return f"{self.get_cache_key(path)}_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"

    def _add(self, host: Host) -> None:
        self.inventory.add_host(host.name)
        for group in host.groups:
            self.inventory.add_child(self.inventory.add_group(group), host.name)
        entry = self.inventory.get_host(host.name)
        for name, value in host.variables.items():
            # Not by the inventory's own method: it copies every string to note where it came from, which takes longer
            # than all the rest. Either way the strings stay what they are, untrusted, and are never templates.
            entry.set_variable(name, value)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), host.variables, host.name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), host.variables, host.name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), host.variables, host.name, strict)
