"""The surface of what starts an environment: what is documented is accepted, and keys and tokens are secrets."""

from __future__ import annotations

from types import ModuleType

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.doc_fragments import hcloud
from ansible_collections.bulwark.hetzner.plugins.modules import environment_files, hcloud_access, hcloud_price

FRAGMENT = hcloud.ModuleDocFragment.DOCUMENTATION
MODULES = [(environment_files, ""), (hcloud_access, FRAGMENT), (hcloud_price, FRAGMENT)]


@pytest.mark.parametrize(("module", "fragment"), MODULES)
def test_documentation_and_specification_agree(module: ModuleType, fragment: str) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"] | (yaml.safe_load(fragment) or {}).get("options", {})
    keys = ("type", "required", "default", "elements")
    assert {name: {key: option.get(key) for key in keys} for name, option in documented.items()} == {
        name: {key: option.get(key) for key in keys} for name, option in module.SPEC.items()
    }


@pytest.mark.parametrize(("module", "fragment"), MODULES)
def test_keys_and_tokens_are_secrets(module: ModuleType, fragment: str) -> None:
    named = {name for name in module.SPEC if name.endswith(("_key", "_token"))}
    assert named
    assert {name for name, option in module.SPEC.items() if option.get("no_log")} == named
