# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the resources that an environment may declare."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ssh_keys:
    description: SSH keys, which are put on servers when they are made.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the key.
        type: str
        required: true
      public_key:
        description: The key in OpenSSH format.
        type: str
        required: true
      labels: &labels
        description: All labels, beside those of the environment. Omitted, the labels it has are kept.
        type: dict
  networks:
    description: Private networks. The range of an existing one does not change.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the network.
        type: str
        required: true
      ip_range:
        description: Range (CIDR). Its first address is the gateway.
        type: str
        required: true
      location:
        description: A location in the network zone that the subnets belong to.
        type: str
        required: true
      subnets:
        description: All subnets (CIDR), of type C(cloud).
        type: list
        elements: str
      routes:
        description: All routes.
        type: list
        elements: dict
        suboptions:
          destination:
            description: Destination (CIDR).
            type: str
            required: true
          gateway:
            description: Private address of the server that forwards.
            type: str
            required: true
      labels: *labels
  firewalls:
    description: Cloud firewalls. They filter the public interfaces of the servers that name them.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the firewall.
        type: str
        required: true
      rules:
        description: All rules. Inbound, all else is dropped. Outbound, all else is dropped once there is a rule.
        type: list
        elements: dict
        suboptions:
          direction:
            description: Direction of the connection.
            type: str
            choices: [in, out]
            required: true
          protocol:
            description: Protocol.
            type: str
            choices: [tcp, udp, icmp, esp, gre]
            required: true
          port:
            description: Port, or range such as V(8000-8080). Only with V(tcp) and V(udp).
            type: str
          source_ips:
            description: Networks (CIDR) that may connect, for the direction V(in).
            type: list
            elements: str
          destination_ips:
            description: Networks (CIDR) that may be connected to, for the direction V(out).
            type: list
            elements: str
          description:
            description: What the rule is for.
            type: str
      labels: *labels
  placement_groups:
    description: Placement groups.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the group.
        type: str
        required: true
      type:
        description: V(spread) puts each of its servers (at most 10) on another host.
        type: str
        choices: [spread]
        default: spread
      labels: *labels
  primary_ips:
    description: Public addresses.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the address.
        type: str
        required: true
      type:
        description: Version. It does not change.
        type: str
        choices: [ipv4, ipv6]
        default: ipv4
      location:
        description: Location. It does not change.
        type: str
        required: true
      auto_delete:
        description: Whether the address goes with its server.
        type: bool
        default: false
      labels: *labels
  servers:
    description: Servers. They are made powered off, attached to everything declared, and then powered on.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name, which is the host name.
        type: str
        required: true
      type:
        description: Server type. An existing server changes it only where O(allow) names it.
        type: str
        required: true
      image:
        description: Name of a system image. On an existing server only the kind of system is compared.
        type: str
        required: true
      location:
        description: Location. It does not change.
        type: str
        required: true
      ssh_keys:
        description: Names of SSH keys. Only used when the server is made.
        type: list
        elements: str
        default: []
      user_data:
        description:
          - First-boot data, at most 32 KiB, without secrets.
          - Only used when the server is made, and not compared later, since the API does not tell it.
        type: str
        default: ''
      networks:
        description: Networks to attach to.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the network.
            type: str
            required: true
          address:
            description: Private address. It does not change.
            type: str
            required: true
      public_ipv4:
        description: Name of the primary IP that is its public address. Omitted, the server has none.
        type: str
      public_ipv6:
        description: Whether it has a public IPv6 network.
        type: bool
        default: false
      firewalls:
        description: Names of all its cloud firewalls.
        type: list
        elements: str
      placement_group:
        description: Name of its placement group. An existing server changes it only where O(allow) names it.
        type: str
      labels: *labels
  volumes:
    description: Volumes. They grow online; the file system on them is not touched.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the volume.
        type: str
        required: true
      size:
        description: Size in GB (10 to 10240). It does not shrink.
        type: int
        required: true
      format:
        description: File system of a new volume. Omitted, it stays empty.
        type: str
        choices: [xfs, ext4]
      location:
        description: Location, that of its server. It does not change.
        type: str
        required: true
      server:
        description: Name of the server it is attached to, without being mounted. Omitted, nothing is attached.
        type: str
      labels: *labels
"""
