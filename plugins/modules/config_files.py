# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module: a set of configuration files, all or none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Put a set of configuration files in place, all or none
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Makes files and folders what is declared, in one execution on the host instead of several for each file.
  - All new contents are written beside their places and checked by O(files[].validate) before the first is moved into
    place. If one is refused, no file is changed.
  - A symbolic link in the place of a file is replaced, never followed.
extends_documentation_fragment:
  - bulwark.hetzner.hcloud.attributes
options:
  files:
    description: Files that must be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. Its folder must exist or be one of O(folders).
        type: str
        required: true
      content:
        description: The whole content, for instance from the C(template) lookup.
        type: str
        required: true
      mode:
        description: Permissions in octal.
        type: str
        default: "0644"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      secret:
        description: Whether the differences shown should hide the content. Set C(no_log) on the task as well.
        type: bool
        default: false
      validate:
        description: Program and arguments that check the file; C(%s) stands for the file. Exit code 0 accepts it.
        type: list
        elements: str
        default: []
  folders:
    description: Folders that must be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. Missing parents are made with the system's default permissions.
        type: str
        required: true
      mode:
        description: Permissions in octal.
        type: str
        default: "0755"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
  absent:
    description: Absolute paths of files that must not be there. A folder is refused.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Configure SSH
  bulwark.hetzner.config_files:
    files:
      - path: /etc/ssh/sshd_config.d/00-bulwark.conf
        content: "{{ lookup('ansible.builtin.template', 'sshd.conf.j2') }}"
        validate: [/usr/sbin/sshd, -t, -f, "%s"]
    absent: [/etc/ssh/sshd_config.d/99-old.conf]
  become: true
"""

RETURN = r"""
paths:
  description: Paths that were changed, or would be in check mode.
  returned: always
  type: list
  elements: str
  sample: [/etc/ssh/sshd_config.d/00-bulwark.conf]
"""

import grp
import pwd
from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils import config_files
from ansible_collections.bulwark.hetzner.plugins.module_utils.config_files import RefusedError

OWNED = {"owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
FILE = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True, "no_log": False},
    "mode": {"type": "str", "default": "0644"},
    "secret": {"type": "bool", "default": False, "no_log": False},
    "validate": {"type": "list", "elements": "str", "default": []},
    **OWNED,
}
FOLDER = {"path": {"type": "str", "required": True}, "mode": {"type": "str", "default": "0755"}, **OWNED}
SPEC = {
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
    "folders": {"type": "list", "elements": "dict", "default": [], "options": FOLDER},
    "absent": {"type": "list", "elements": "str", "default": []},
}


def ids(owner: str, group: str) -> tuple[int, int]:
    """Numbers of an account and a group, which must exist."""
    try:
        return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError:
        raise RefusedError(f"the owner {owner} or the group {group} does not exist on this host.") from None


class QuietModule(AnsibleModule):  # type: ignore[misc]  # because Ansible has no types
    """A module that keeps its options, contents of files with secrets among them, out of the host's journal.

    AnsibleModule's own argument for that, ``no_log``, is overwritten by the task's.
    """

    def _log_invocation(self) -> None:
        pass


def main() -> None:
    module = QuietModule(argument_spec=SPEC, supports_check_mode=True)

    def run(words: Sequence[str]) -> tuple[int, str]:
        code, out, error = module.run_command(list(words))
        return code, error or out

    try:
        entries = config_files.parse(module.params["files"], module.params["folders"], ids)
        paths = [entry.path for entry in entries] + module.params["absent"]
        changes = config_files.plan(entries, module.params["absent"], {path: config_files.read(path) for path in paths})
        if not module.check_mode:
            config_files.apply(changes, run)
    except (RefusedError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changes), paths=[change.path for change in changes], diff=config_files.diff(changes))


if __name__ == "__main__":
    main()
