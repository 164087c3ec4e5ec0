# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: a topology as a picture of its architecture."""

from __future__ import annotations

DOCUMENTATION = r"""
name: architecture_picture
short_description: A topology as a picture of its systems, addresses and flows
version_added: 1.0.0
author: Contributors to bulwark.hetzner (@bulwark-hetzner)
description:
  - Draws what a topology declares, before anything of it exists. Nothing is asked of any API.
  - Servers with the same roles are one box. An arrow is drawn for flows between systems; what concerns every server
    stands in the box of the system at its other end, and all flows are listed.
positional: _input
options:
  _input:
    description: The topology, as P(bulwark.hetzner.infrastructure#filter) describes it.
    type: dict
    required: true
seealso:
  - plugin: bulwark.hetzner.infrastructure
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Keep the picture
  ansible.builtin.copy:
    content: "{{ (topology | bulwark.hetzner.architecture_picture).svg }}"
    dest: architecture.svg
    mode: "0644"
"""

RETURN = r"""
_value:
  description:
    - C(svg) is a file that loads nothing and runs nothing.
    - C(mermaid) is the same without positions, for Markdown.
  type: dict
"""

import json
from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..module_utils.picture.architecture import architecture
from ..module_utils.picture.drawing import svg
from ..module_utils.picture.mermaid import mermaid
from ..module_utils.topology.reading import TopologyError


def architecture_picture(topology: object) -> dict[str, str]:
    try:
        # Ansible hands over lazy containers and tagged texts; the logic wants plain ones.
        picture = architecture(json.loads(json.dumps(topology)))
    except TopologyError as error:
        raise AnsibleFilterError(str(error)) from error
    return {"svg": svg(picture), "mermaid": mermaid(picture)}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        return {"architecture_picture": architecture_picture}
