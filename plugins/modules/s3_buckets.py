# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: buckets in object storage."""

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_buckets
short_description: Buckets in S3-compatible object storage
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes the buckets that are missing. One that is there keeps its objects, settings and permissions as they are, and
    no bucket is ever deleted.
  - All names are checked, and all buckets looked for, before the first one is made; a name that somebody else has is
    refused then. A bucket that is there costs one request.
  - A new bucket is private.
  - Runs on the controller.
extends_documentation_fragment:
  - bulwark.hetzner.s3
  - bulwark.hetzner.hcloud.attributes
options:
  buckets:
    description:
      - Names of the buckets, by S3's rules.
      - A name without dots can also be used as part of a host name, which many applications do.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Make the buckets for uploads and backups
  bulwark.hetzner.s3_buckets:
    endpoint: https://fsn1.your-objectstorage.com
    region: fsn1
    access_key: "{{ bulwark_object_storage_access_key }}"
    secret_key: "{{ bulwark_object_storage_secret_key }}"
    buckets: [example-uploads, example-backups]
  delegate_to: localhost
"""

RETURN = r"""
created:
  description: The buckets that were made, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [example-backups]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.buckets import (
    apply,
    check,
    describe,
    plan,
    read,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import (
    ARGUMENTS,
    ObjectStorageError,
    create_client,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**ARGUMENTS, "buckets": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    names = module.params["buckets"]
    try:
        check(names)
        client = create_client(module.params)
        there = read(client, names)
        missing = plan(there, names)
        if not module.check_mode:
            apply(client, missing)
    except ObjectStorageError as error:
        module.fail_json(msg=str(error))
    difference = {"before": describe(there), "after": describe(names)}
    module.exit_json(changed=bool(missing), created=missing, diff=difference)


if __name__ == "__main__":
    main()
