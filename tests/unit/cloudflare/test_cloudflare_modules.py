"""The modules' surface: what is documented is what is accepted, and only tokens are secrets."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.bulwark.hetzner.plugins.doc_fragments import cloudflare
from ansible_collections.bulwark.hetzner.plugins.modules import (
    cloudflare_access,
    cloudflare_dns_records,
    cloudflare_origin_certificate,
    cloudflare_request_header,
    cloudflare_zone_settings,
)

from tests.checkout import ROOT

MODULES = [
    cloudflare_access,
    cloudflare_dns_records,
    cloudflare_origin_certificate,
    cloudflare_request_header,
    cloudflare_zone_settings,
]


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


@pytest.mark.parametrize("module", MODULES)
def test_documentation_and_specification_agree(module: ModuleType) -> None:
    texts = (module.DOCUMENTATION, cloudflare.ModuleDocFragment.DOCUMENTATION)
    documented = {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}
    assert _surface(documented, "suboptions") == _surface(module.SPEC, "options")


@pytest.mark.parametrize("module", MODULES)
def test_tokens_are_secrets_and_come_from_the_environment(module: ModuleType) -> None:
    secrets = {name: option for name, option in module.SPEC.items() if option.get("no_log")}
    assert set(secrets) <= {"api_token", "hcloud_api_token", "value"}
    assert all(option["fallback"] for name, option in secrets.items() if name != "value")


def test_they_are_a_group() -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]
    assert set(groups["cloudflare"]) == {module.__name__.rpartition(".")[2] for module in MODULES}
