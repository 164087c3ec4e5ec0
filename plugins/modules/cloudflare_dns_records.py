#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cloudflare_dns_records."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_dns_records
short_description: Make the DNS records of an environment in a Cloudflare zone what is declared
version_added: 1.0.0
description:
  - Makes the records of an environment exactly those declared, and touches no other record of the zone.
  - Those of an environment are known by their comment, which begins with C(bulwark:), followed by O(environment_name).
  - At a declared name, the records of a declared type become exactly those declared. Records of the environment that
    are not declared any more are deleted.
  - A record without the mark at a declared name and type, or one of a type that cannot be beside it (C(CNAME) and
    addresses), is refused before anything is changed, unless O(allow) names it.
  - No name stops answering on the way. A record whose content changes is changed in place, and one that is replaced by
    another type gives way to it in one transaction.
  - The token needs the permissions C(Zone → Zone → Read) and C(Zone → DNS → Edit); in check mode
    C(Zone → DNS → Read) is enough.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.cloudflare
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.cloudflare.action_group
options:
  environment_name:
    description: Name of the environment, part of the mark.
    type: str
    required: true
  state:
    description:
      - V(present) makes the records what is declared.
      - V(absent) deletes all records of the environment.
    type: str
    choices: [present, absent]
    default: present
  records:
    description: All records of the environment. Needed with O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the record, relative to the zone, or whole. V(@) is the zone itself.
          - One that does not end with the zone's name is relative, unless it ends with a dot.
        type: str
        required: true
      type:
        description: Type of the record.
        type: str
        choices: [A, AAAA, CNAME, TXT]
        required: true
      content:
        description: Address, whole name, or text. A text is written without quotes.
        type: str
        required: true
      proxied:
        description:
          - Whether requests go through Cloudflare. Without that, everybody learns the address.
          - Omitted, it stays as it is; on a new record it is off.
        type: bool
      ttl:
        description:
          - Seconds that resolvers may keep the record, V(1) for automatic. A proxied record has no other.
          - Omitted, it stays as it is; on a new record it is automatic.
        type: int
      comment:
        description: What the comment says after the mark. Omitted, it stays as it is.
        type: str
  allow:
    description:
      - Consent to replace records that are not the environment's. V(record/www) adopts what is at that name, and
        deletes what is in the way of it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: The application answers at the zone itself and at www
  bulwark.hetzner.cloudflare_dns_records:
    zone: example.com
    environment_name: production
    records:
      - name: "@"
        type: A
        content: 203.0.113.10
        proxied: true
      - name: www
        type: CNAME
        content: example.com
        proxied: true
  delegate_to: localhost

- name: Delete what is the environment's
  bulwark.hetzner.cloudflare_dns_records:
    zone: example.com
    environment_name: staging
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
plan:
  description: Every change, made, to be made (check mode) or refused, in order.
  returned: unless the options or the API are at fault
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the thing, V(record).
      type: str
    name:
      description: Name and type of the record, such as V(www.example.com A).
      type: str
    action:
      description: What is done, such as V(create), V(update), V(adopt) or V(delete).
      type: str
    before:
      description: What it changes, as it was.
      type: dict
    after:
      description: What it changes, as declared.
      type: dict
    destructive:
      description: Whether something is lost, or no longer answers.
      type: bool
    why:
      description: The reason.
      type: str
    refused:
      description: Why the change is not made, null where it is.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cloudflare import record_options, records, zones
from ..module_utils.cloudflare.client import ARGUMENTS, CloudflareError, create_client
from ..module_utils.cloudflare.marks import check_environment
from ..module_utils.cloudflare.plan import RefusedPlanError
from ..module_utils.cloudflare.run import carry_out

SPEC = {
    **ARGUMENTS,
    "environment_name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "records": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "choices": list(record_options.TYPES), "required": True},
            "content": {"type": "str", "required": True},
            "proxied": {"type": "bool"},
            "ttl": {"type": "int"},
            "comment": {"type": "str"},
        },
    },
    "allow": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True, required_if=[("state", "present", ["records"])])
    options = module.params
    try:
        zone = options["zone"] = zones.check_zone(options["zone"])
        environment = check_environment(options["environment_name"])
        declared = record_options.parse(options["records"], zone) if options["state"] == "present" else []
        allow = record_options.parse_allow(options["allow"], zone)
        client = create_client(options)
        result = carry_out(
            client,
            module.check_mode,
            lambda zone_id: records.plan(declared, records.read(client, zone_id), environment, zone, allow),
            lambda zone_id, steps: records.apply(client, zone_id, steps),
        )
    except RefusedPlanError as error:
        module.fail_json(msg=str(error), **error.result)
    except CloudflareError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
