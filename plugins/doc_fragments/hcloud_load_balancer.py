# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what a load balancer may be declared to be."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  type:
    description:
      - Type, such as V(lb11). To make a load balancer takes one.
      - An existing one changes to it, also to a smaller one that can hold all that is declared.
    type: str
  location:
    description: Location. It does not change. To make a load balancer takes this, or O(network_zone).
    type: str
  network_zone:
    description: Network zone, in which the vendor chooses the location.
    type: str
  algorithm:
    description: How targets are chosen. The vendor's default is V(round_robin).
    type: str
    choices: [round_robin, least_connections]
  network:
    description: Private network, over which it reaches its targets.
    type: dict
    suboptions:
      name:
        description: Name of the network.
        type: str
        required: true
      address:
        description: Its address there. An existing load balancer changes it only where O(allow) names it.
        type: str
        required: true
  public_interface:
    description: Whether it can be reached from the internet. The vendor's default is that it can.
    type: bool
  services:
    description:
      - All services, each with a port of its own. One is changed in place and goes on answering meanwhile.
      - The defaults are those of a service that is made. On an existing one an omitted suboption is left alone.
    type: list
    elements: dict
    suboptions:
      protocol:
        description: Protocol that users speak. The load balancer speaks HTTP to the targets of V(https).
        type: str
        choices: [tcp, http, https]
        required: true
      listen_port:
        description: Port of the load balancer.
        type: int
        required: true
      destination_port:
        description: Port of the targets. By default 80 with V(http) and V(https), with V(tcp) the listen port.
        type: int
      proxyprotocol:
        description: Whether targets are told the user's address by the PROXY protocol. By default they are not.
        type: bool
      http:
        description: Only with V(http) and V(https).
        type: dict
        suboptions:
          redirect_http:
            description:
              - Whether port 80 redirects here. By default it does not. Only with V(https), on port 443.
            type: bool
          sticky_sessions:
            description: Whether users come back to the same target, by a cookie. By default they do not.
            type: bool
          cookie_name:
            description: Name of that cookie, by default V(HCLBSTICKY).
            type: str
          cookie_lifetime:
            description: Lifetime of that cookie in seconds (30 to 86400), by default 300.
            type: int
          timeout_idle:
            description: Seconds after which an idle connection is closed, by default 50.
            type: int
          certificates:
            description:
              - All certificates of an V(https) service, which takes at least one.
              - One that is given by its content is uploaded under a name made of the load balancer's name and a hash of
                the content, unless there is one of the same content in the project. When its content changes, the new
                one is uploaded, the services are switched to it, and the old one is deleted.
            type: list
            elements: dict
            suboptions:
              name:
                description: Name of a certificate that is in the project. It is never deleted while O(state=present).
                type: str
              certificate:
                description: Certificate (PEM), followed by those that certify it, each certifying the one before it.
                type: str
              private_key:
                description: Its private key (PEM), without a passphrase.
                type: str
              hostnames:
                description: Host names that the certificate must be good for, or nothing is changed.
                type: list
                elements: str
      health_check:
        description: How it is found out which targets work.
        type: dict
        suboptions:
          protocol:
            description: Protocol of the check, by default V(tcp) for a V(tcp) service, else V(http).
            type: str
            choices: [tcp, http]
          port:
            description: Port that is asked, by default the destination port.
            type: int
          interval:
            description: Seconds between two checks (3 to 60), by default 15.
            type: int
          timeout:
            description: Seconds until a check has failed (1 to 60), by default 5.
            type: int
          retries:
            description: Checks in a row that decide on a target's state, bad or good again (1 to 5), by default 3.
            type: int
          http:
            description: Only with the protocol V(http).
            type: dict
            suboptions:
              domain:
                description: Value of the header C(Host). By default, and when empty, there is none.
                type: str
              path:
                description: Path, by default V(/up).
                type: str
              response:
                description: Text that the answer must hold. By default, and when empty, it may hold anything.
                type: str
              status_codes:
                description: Status codes that are right, with V(?) for any digit. By default V(2??) and V(3??).
                type: list
                elements: str
              tls:
                description: Whether the check is made over TLS. By default it is not.
                type: bool
  targets:
    description: All targets. New ones come before old ones go; removing one cuts the connections to it.
    type: list
    elements: dict
    suboptions:
      server:
        description:
          - Name of a server. Exactly one of O(targets[].server), O(targets[].label_selector) and O(targets[].ip) is
            given.
        type: str
      label_selector:
        description:
          - Label selector, such as V(role-app=true). Servers that get such labels later become targets by themselves.
        type: str
      ip:
        description: Address of a dedicated server of the same customer.
        type: str
      use_private_ip:
        description: Whether servers are reached over the private network of the load balancer.
        type: bool
        default: true
  labels:
    description: All labels, beside those of the environment. Omitted, the labels it has are kept.
    type: dict
  delete_protection:
    description: Whether it is protected from deletion. With O(state=absent), V(false) takes the protection off first.
    type: bool
"""
