#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cloudflare_origin_certificate."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_origin_certificate
short_description: A certificate between Cloudflare and a load balancer at Hetzner, renewed in time
version_added: 1.0.0
description:
  - Has Cloudflare's Origin CA certify a key, and uploads both to the certificates of a Hetzner Cloud project, where a
    load balancer can use them. Only Cloudflare trusts such a certificate, so it is for names that are proxied.
  - The key is made in memory, uploaded, and forgotten. It is never written to a file, returned or shown.
  - A certificate is replaced by another one, never changed. So M(bulwark.hetzner.hcloud_load_balancer) is switched to
    the new one, by RV(certificate.name), before O(state=tidied) takes the old one away, and no request fails.
  - What is the environment's is known by labels at Hetzner, and at Cloudflare by one more host name in the certificate,
    C(bulwark-ENVIRONMENT.ZONE), at which nothing has to answer. No other certificate is touched. So an environment
    of that name must be in one project only.
  - What a run that was killed has left, a certificate whose key is lost, is revoked by the next. One that is older than
    two days and not in the Hetzner project is left, with a warning, since it may be in use from another project.
  - The token needs the permissions C(Zone → Zone → Read) and C(Zone → SSL and Certificates → Edit).
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.cloudflare
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.cloudflare.action_group
options:
  environment_name:
    description: Name of the environment, the value of the label C(env). Lower-case letters, digits and hyphens.
    type: str
    required: true
  state:
    description:
      - V(present) keeps the certificate while it is good for exactly O(hostnames), has a key of O(key_type) and does
        not expire within O(renew_before), and otherwise uploads another one.
      - V(tidied) revokes and deletes all certificates of the environment but the newest good one. One that a load
        balancer still uses is left, and told by RV(still_used).
      - V(absent) revokes and deletes all, and is refused while a load balancer uses one.
    type: str
    choices: [present, tidied, absent]
    default: present
  hostnames:
    description:
      - The names that the certificate is for, in the zone. V(*.example.com) covers one level.
      - Omitted, the zone itself and one level below it.
    type: list
    elements: str
  validity:
    description: Days that a new certificate is valid. The default is Cloudflare's own, fifteen years.
    type: int
    choices: [7, 30, 90, 365, 730, 1095, 5475]
    default: 5475
  renew_before:
    description: Days before it expires at which a certificate is replaced. Less than O(validity).
    type: int
    default: 30
  renew:
    description: Upload another one also where the present one is good. Every run does so.
    type: bool
    default: false
  key_type:
    description: V(rsa) of 2048 bits, or V(ecdsa) on the curve P-256.
    type: str
    choices: [rsa, ecdsa]
    default: rsa
  name:
    description: What the certificate's name at Hetzner begins with; a part of its fingerprint follows.
    type: str
    default: origin
  hcloud_api_token:
    description:
      - API token of the Hetzner Cloud project, with read and write permission.
      - Falls back to the environment variable E(HCLOUD_TOKEN).
    type: str
  hcloud_api_endpoint:
    description:
      - URL of Hetzner's API up to and including its version. Plain C(http) is accepted on loopback only.
      - Falls back to the environment variable E(HCLOUD_ENDPOINT).
    type: str
    default: https://api.hetzner.cloud/v1
  lock_timeout:
    description: Seconds to wait for another run that is changing the same environment.
    type: int
    default: 120
requirements:
  - hcloud and cryptography (42 or newer) on the controller
seealso:
  - module: bulwark.hetzner.hcloud_load_balancer
"""

EXAMPLES = r"""
- name: Have a certificate
  bulwark.hetzner.cloudflare_origin_certificate:
    zone: example.com
    environment_name: production
    hostnames: [example.com, www.example.com]
  delegate_to: localhost
  register: origin

# Here the load balancer's service is switched to origin.certificate.name.

- name: Take away what was replaced
  bulwark.hetzner.cloudflare_origin_certificate:
    zone: example.com
    environment_name: production
    hostnames: [example.com, www.example.com]
    state: tidied
  delegate_to: localhost
"""

RETURN = r"""
certificate:
  description:
    - The certificate to use. In check mode, where it would be uploaded, all but C(hostnames) is null.
    - Null with O(state=absent).
  returned: success
  type: dict
  contains:
    name:
      description: Its name at Hetzner.
      type: str
      sample: origin-3f1c5a8e0b7d
    id:
      description: Its id at Hetzner.
      type: int
    fingerprint:
      description: SHA-256 of the certificate, in hexadecimal digits.
      type: str
    hostnames:
      description: The names it is for, without the one that marks it.
      type: list
      elements: str
    expires:
      description: When it expires, in UTC.
      type: str
      sample: '2041-01-31T12:00:00Z'
    cloudflare_id:
      description: Its id at Cloudflare.
      type: str
still_used:
  description: Names of certificates that O(state=tidied) has left, because a load balancer uses them.
  returned: success
  type: list
  elements: str
plan:
  description: Every change, made, to be made (check mode) or refused, in order.
  returned: unless the options or the APIs are at fault
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the thing, V(certificate).
      type: str
    name:
      description: Name of the certificate at Hetzner, or which one of Cloudflare's.
      type: str
    action:
      description: What is done, V(issue), V(revoke), or V(delete), which also revokes.
      type: str
    before:
      description: The certificate that is replaced or taken away.
      type: dict
    after:
      description: What is asked for.
      type: dict
    destructive:
      description: Whether something is lost.
      type: bool
    why:
      description: The reason.
      type: str
    refused:
      description: Why the change is not made, null where it is.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import hcloud_client
from ..module_utils.cloudflare import certificates, zones
from ..module_utils.cloudflare.client import ARGUMENTS, CloudflareError, create_client
from ..module_utils.cloudflare.plan import RefusedPlanError
from ..module_utils.cloudflare.rotation import Rotation
from ..module_utils.infrastructure.apply import ApplyError
from ..module_utils.load_balancer.pem import CertificateError

SPEC = {
    **ARGUMENTS,
    **{f"hcloud_{name}": option for name, option in hcloud_client.ARGUMENTS.items()},
    "environment_name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "tidied", "absent"], "default": "present"},
    "hostnames": {"type": "list", "elements": "str"},
    "validity": {"type": "int", "choices": list(certificates.VALIDITIES), "default": certificates.VALIDITIES[-1]},
    "renew_before": {"type": "int", "default": 30},
    "renew": {"type": "bool", "default": False},
    "key_type": {"type": "str", "choices": list(certificates.REQUEST_TYPES), "default": "rsa"},
    "name": {"type": "str", "default": "origin"},
    "lock_timeout": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    rotation = None
    try:
        zone = options["zone"] = zones.check_zone(options["zone"])
        wanted = certificates.parse(options, zone)
        client = create_client(options)
        hcloud = hcloud_client.create_client(options["hcloud_api_token"], options["hcloud_api_endpoint"])
        rotation = Rotation(wanted, options["state"], client, hcloud)
        result = rotation.carry_out(module.check_mode, options["lock_timeout"])
    except RefusedPlanError as error:
        module.fail_json(msg=str(error), **error.result)
    except (
        *(CloudflareError, CertificateError, ApplyError),
        *(hcloud_client.ClientError, hcloud_client.APIException, OSError),
    ) as error:
        module.fail_json(msg=hcloud_client.explain(error), changed=bool(rotation and rotation.changed))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
