# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by everything that talks to object storage."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  endpoint:
    description:
      - URL of the S3 service without a bucket, such as V(https://fsn1.your-objectstorage.com). Buckets are named in the
        path.
      - Plain C(http) is accepted on loopback only.
    type: str
    required: true
  region:
    description: Region that requests are signed for, such as V(fsn1).
    type: str
    required: true
  access_key:
    description:
      - Access key. Hidden from the output like the secret one.
      - Falls back to the environment variable E(AWS_ACCESS_KEY_ID) where the module runs.
    type: str
  secret_key:
    description:
      - Secret key.
      - Falls back to the environment variable E(AWS_SECRET_ACCESS_KEY) where the module runs.
    type: str
  ca_path:
    description:
      - File with the certificates (PEM) of the authorities to trust instead of the system's, where the module runs.
    type: path
  timeout:
    description: Seconds to wait for a connection, and for the next part of an answer.
    type: int
    default: 10
notes:
  - What the service refuses for now is asked again with growing pauses, six times; no answer at all, three times.
"""
