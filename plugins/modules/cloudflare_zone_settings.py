#!/usr/bin/python
# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cloudflare_zone_settings."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudflare_zone_settings
short_description: Settings of a Cloudflare zone that keep users on HTTPS and the origin verified
version_added: 1.0.0
description:
  - Such a setting holds for every site of the zone. So it is changed only where O(owned) says that the whole zone is
    the user's. In any other zone nothing is changed, and a setting that is less strict than asked for is a failure
    that says what to set, and where.
  - A setting that is omitted is left alone, and not even read.
  - The token needs the permissions C(Zone → Zone → Read) and C(Zone → Zone Settings → Edit); without O(owned) and in
    check mode C(Zone → Zone Settings → Read) is enough.
author: Contributors to bulwark.hetzner
extends_documentation_fragment:
  - bulwark.hetzner.cloudflare
  - bulwark.hetzner.hcloud.attributes
  - bulwark.hetzner.cloudflare.action_group
options:
  owned:
    description:
      - Whether the whole zone is the user's, with every site in it. Then the settings are made exactly those asked for,
        also where they were stricter; RV(ignore:plan) says so.
    type: bool
    default: false
  settings:
    description: The settings that matter.
    type: dict
    required: true
    suboptions:
      ssl:
        description:
          - How Cloudflare connects to the origin. Only V(strict), which the dashboard calls Full (strict), verifies the
            origin's certificate.
          - With V(flexible) it connects without TLS, and an origin that redirects to HTTPS is asked in a loop. So this
            is set before a record is proxied.
        type: str
        choices: ["off", flexible, full, strict]
      always_use_https:
        description: Whether Cloudflare redirects users from HTTP to HTTPS.
        type: bool
      min_tls_version:
        description: Oldest version of TLS that users may connect with.
        type: str
        choices: ["1.0", "1.1", "1.2", "1.3"]
      hsts:
        description:
          - What browsers are told about HTTPS (HTTP Strict Transport Security). They remember it for as long as
            O(settings.hsts.max_age) said, also when it is switched off later.
          - What is omitted stays as it is.
        type: dict
        suboptions:
          enabled:
            description: Whether they are told.
            type: bool
          max_age:
            description: Seconds that they remember it. V(0) makes them forget.
            type: int
          include_subdomains:
            description: Whether it holds for all names below the zone, also those that others serve.
            type: bool
          preload:
            description: Whether browsers may ship with it, which takes months to undo.
            type: bool
          nosniff:
            description: Whether browsers are also told not to guess the type of a file.
            type: bool
"""

EXAMPLES = r"""
- name: Full (strict), HTTPS only
  bulwark.hetzner.cloudflare_zone_settings:
    zone: example.com
    owned: true
    settings:
      ssl: strict
      always_use_https: true
      min_tls_version: "1.2"
      hsts:
        enabled: true
        max_age: 15552000
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
      description: Kind of the thing, V(setting).
      type: str
    name:
      description: Name of the option.
      type: str
    action:
      description: What is done, such as V(update).
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

from ..module_utils.cloudflare import settings, zones
from ..module_utils.cloudflare.client import ARGUMENTS, CloudflareError, create_client
from ..module_utils.cloudflare.plan import RefusedPlanError
from ..module_utils.cloudflare.run import carry_out

SPEC = {
    **ARGUMENTS,
    "owned": {"type": "bool", "default": False},
    "settings": {
        "type": "dict",
        "required": True,
        "options": {
            "ssl": {"type": "str", "choices": list(settings.SSL)},
            "always_use_https": {"type": "bool"},
            "min_tls_version": {"type": "str", "choices": list(settings.TLS)},
            "hsts": {
                "type": "dict",
                "options": {
                    "enabled": {"type": "bool"},
                    "max_age": {"type": "int"},
                    "include_subdomains": {"type": "bool"},
                    "preload": {"type": "bool"},
                    "nosniff": {"type": "bool"},
                },
            },
        },
    },
}


def main() -> None:
    module = AnsibleModule(SPEC, supports_check_mode=True)
    options = module.params
    try:
        options["zone"] = zones.check_zone(options["zone"])
        wanted = settings.asked(options["settings"])
        client = create_client(options)
        result = carry_out(
            client,
            module.check_mode,
            lambda zone_id: settings.plan(
                wanted, settings.read(client, zone_id, wanted), options["owned"], options["zone"]
            ),
            lambda zone_id, steps: settings.apply(client, zone_id, steps),
        )
    except RefusedPlanError as error:
        module.fail_json(msg=str(error), **error.result)
    except CloudflareError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
