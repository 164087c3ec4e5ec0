"""The module's surface: what is documented is what is accepted, and what cannot be meant is refused first."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.doc_fragments import hcloud, hcloud_resources
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.declared import DeclarationError
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.run import Run
from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_infrastructure import DOCUMENTATION, SPEC

from tests.unit.infrastructure.builders import params


def _surface(options: dict[str, Any], suboptions: str) -> dict[str, Any]:
    return {
        name: {
            "type": option["type"],
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "choices": option.get("choices"),
            "default": option.get("default"),
            "options": _surface(option.get(suboptions, {}), suboptions),
        }
        for name, option in options.items()
    }


def test_documentation_and_specification_agree() -> None:
    texts = (DOCUMENTATION, hcloud.ModuleDocFragment.DOCUMENTATION, hcloud_resources.ModuleDocFragment.DOCUMENTATION)
    documented = {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}
    assert _surface(documented, "suboptions") == _surface(SPEC, "options")


def test_only_the_token_is_a_secret() -> None:
    assert [name for name, option in SPEC.items() if option.get("no_log")] == ["api_token"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"state": "absent"}, "deletes everything of environment lab: set confirm=lab to mean it"),
        ({"state": "absent", "confirm": "production"}, "set confirm=lab to mean it"),
        ({"allow": ["app-03"]}, "allow: 'app-03' is neither volumes nor kind/name such as server/app-03"),
        ({"allow": ["server/"]}, "allow: 'server/' is neither volumes nor kind/name"),
        ({"allow": ["sever/app-03"]}, "kinds are ssh_key, network, firewall"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DeclarationError) as error:
        Run.parse(params({"environment_name": "lab", **options}))
    assert sentence in str(error.value)
