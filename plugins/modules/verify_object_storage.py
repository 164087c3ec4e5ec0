# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: what a server can store in object storage."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_object_storage
short_description: Check from a server that object storage stores
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Runs on a server and stores an object with random content in a bucket, reads it back, compares it and deletes it.
  - The object is C(bulwark-verification/HOST), with O(host) for HOST, so that what a killed run leaves behind is
    overwritten and deleted by the next one.
  - A check that does not hold, for whatever reason, is a result, not a failure of the module. Options that could never
    work are a failure.
extends_documentation_fragment:
  - bulwark.hetzner.s3
requirements:
  - Python 3.11 on the server
attributes:
  check_mode:
    description: Does the same in check mode, since nothing stays behind.
    support: full
  diff_mode:
    description: Has no difference to show.
    support: none
  idempotent:
    description: Leaves nothing behind that was not there before.
    support: full
options:
  host:
    description: Name of the server in the results, and of the object.
    type: str
    required: true
  bucket:
    description: The bucket to store in. It must be there.
    type: str
    required: true
notes:
  - In a bucket that keeps versions, each run leaves a deleted version behind, for its life cycle rules to remove.
  - Without O(access_key) and O(secret_key) it is the server's environment that is looked at.
"""

EXAMPLES = r"""
- name: Store something from an application server, and read it back
  bulwark.hetzner.verify_object_storage:
    host: "{{ inventory_hostname }}"
    endpoint: https://fsn1.your-objectstorage.com
    region: fsn1
    bucket: example-uploads
    access_key: "{{ bulwark_object_storage_access_key }}"
    secret_key: "{{ bulwark_object_storage_secret_key }}"
  register: object_storage_result

- name: Show what was found
  ansible.builtin.debug:
    msg: >-
      {{ ansible_play_hosts_all
         | bulwark.hetzner.verification_report(hostvars, {'object storage': 'object_storage_result'}) }}
"""

RETURN = r"""
checks:
  description: The one check that was made.
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: What was checked, C(object storage).
      type: str
    host:
      description: The server, as O(host) names it.
      type: str
    ok:
      description: Whether it holds.
      type: bool
    detail:
      description: Bucket and service, and what was done or what went wrong.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.client import (
    ARGUMENTS,
    ObjectStorageError,
    create_client,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.names import mistake_in_bucket_name
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.proof import examine


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "host": {"type": "str", "required": True},
            "bucket": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    host, bucket = module.params["host"], module.params["bucket"]
    if mistake := mistake_in_bucket_name(bucket):
        module.fail_json(msg=f"bucket: {mistake}")
    try:
        client = create_client(module.params)
    except ObjectStorageError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, checks=examine(client, host, bucket))


if __name__ == "__main__":
    main()
