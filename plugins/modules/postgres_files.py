# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: the files of a PostgreSQL server, all or none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_files
short_description: Put the files of a PostgreSQL server in place, all or none
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - As M(bulwark.hetzner.config_files), and besides it the passwords, whose owner is a user of the container, whom
    the host knows by number only.
  - The file named C(postgresql.conf) is checked by PostgreSQL, in a container of its own, before any file is changed;
    pgBackRest's by looking at the object storage with it, so that a wrong key or passphrase never replaces a right one.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  files:
    description: Files that must be there.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. Its folder must be one of O(folders), or exist.
        type: str
        required: true
      content:
        description: The whole content.
        type: str
        required: true
      mode:
        description: Permissions in octal.
        type: str
        default: "0644"
  passwords:
    description:
      - Users and the passwords with which the server itself logs in to others. They are written to
        C(/etc/bulwark/postgres/pgpass), which only the server's user reads, and are never shown.
    type: dict
    default: {}
  backup:
    description:
      - Where backups and WAL go, as the role's C(postgres_backup). pgBackRest's configuration, with its secrets, is
        written to C(/etc/bulwark/postgres/pgbackrest.conf), which only the server's user reads, and is never shown.
        Empty removes it.
    type: dict
    suboptions:
      endpoint:
        description: URL of the object storage.
        type: str
      region:
        description: Its region.
        type: str
      bucket:
        description: Name of the bucket.
        type: str
      path:
        description: Folder in it.
        type: str
      full_backups:
        description: How many full backups are kept.
        type: int
      access_key:
        description: Access key.
        type: str
      secret_key:
        description: Its secret.
        type: str
      passphrase:
        description: What is stored is encrypted with it.
        type: str
  absent:
    description: Absolute paths of files that must not be there.
    type: list
    elements: str
    default: []
  folders:
    description: Absolute paths of folders that must be there.
    type: list
    elements: str
    default: []
  image:
    description: Image of PostgreSQL.
    type: str
    required: true
  major:
    description: Its major version.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Put the configuration in place
  bulwark.hetzner.postgres_files:
    image: postgres:17
    major: 17
    files:
      - path: /etc/bulwark/postgres/postgresql.conf
        content: "max_connections = 100\n"
  become: true
"""

RETURN = r"""
paths:
  description: Paths that were changed, or would be in check mode.
  returned: always
  type: list
  elements: str
"""

import os
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils import config_files
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import Entry, RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres import repository
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.configuration import pgpass
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.container import (
    DATA,
    FOLDER,
    USER,
    PostgresError,
    image,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.postgres.running import runner

FILE = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
}
# Only what is secret is masked: masking a number or a path would garble every message.
BACKUP = {
    "endpoint": {"type": "str"},
    "region": {"type": "str"},
    "bucket": {"type": "str"},
    "path": {"type": "str"},
    "full_backups": {"type": "int"},
    "access_key": {"type": "str", "no_log": True},
    "secret_key": {"type": "str", "no_log": True},
    "passphrase": {"type": "str", "no_log": True},
}
SPEC = {
    "files": {"type": "list", "elements": "dict", "required": True, "options": FILE},
    "passwords": {"type": "dict", "default": {}, "no_log": True},
    "backup": {"type": "dict", "options": BACKUP},
    "absent": {"type": "list", "elements": "str", "default": []},
    "folders": {"type": "list", "elements": "str", "default": []},
    "image": {"type": "str", "required": True},
    "major": {"type": "int", "required": True},
}
# Reads the whole file, prints one setting, and starts nothing.
CHECK = 'exec postgres -C max_connections -D /tmp -c config_file="$1"'


def _volume_bytes() -> int:
    """Size of the file system that the data lies on, or will."""
    found = os.statvfs(DATA if os.path.isdir(DATA) else "/var/lib")
    return found.f_blocks * found.f_frsize


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    run = runner(module)
    postgres = image(run, module.params["image"], module.params["major"])

    def check(words: Sequence[str]) -> tuple[int, str]:
        if words[0] == "pgBackRest":
            return repository.readable(postgres, words[1])
        code, out, error = postgres.program("sh", "-c", CHECK, "sh", *words[1:])
        return code, error or out

    entries = [Entry(path, None, 0o755, 0, 0) for path in module.params["folders"]]
    for file in module.params["files"]:
        words = ("PostgreSQL", "%s") if file["path"].endswith("/postgresql.conf") else ()
        entries.append(Entry(file["path"], file["content"], int(file["mode"], 8), 0, 0, validate=words))
    secret = pgpass(module.params["passwords"])
    entries.append(Entry(f"{FOLDER}/pgpass", secret, 0o400, USER, USER, secret=True))
    absent = list(module.params["absent"])
    try:
        backup = {name: value for name, value in (module.params["backup"] or {}).items() if value is not None}
        if backup:
            content = repository.document(backup, module.params["major"], _volume_bytes())
            words = ("pgBackRest", "%s")
            entries.append(Entry(repository.CONFIG, content, 0o400, USER, USER, secret=True, validate=words))
        else:
            absent.append(repository.CONFIG)
        paths = [*(entry.path for entry in entries), *absent]
        changes = config_files.plan(entries, absent, {path: config_files.read(path) for path in paths})
        if not module.check_mode:
            config_files.apply(changes, check)
    except (PostgresError, RefusedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), paths=[change.path for change in changes], diff=config_files.diff(changes))


if __name__ == "__main__":
    main()
