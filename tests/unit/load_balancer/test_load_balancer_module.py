"""The module's surface: what is documented is what is accepted, and which of it is a secret."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.bulwark.hetzner.plugins.doc_fragments import hcloud, hcloud_load_balancer
from ansible_collections.bulwark.hetzner.plugins.modules.hcloud_load_balancer import DOCUMENTATION, SPEC

from tests.unit.infrastructure.test_infrastructure_module import _surface as surface


def test_documentation_and_specification_agree() -> None:
    texts = (
        DOCUMENTATION,
        hcloud.ModuleDocFragment.DOCUMENTATION,
        hcloud_load_balancer.ModuleDocFragment.DOCUMENTATION,
    )
    documented = {name: option for text in texts for name, option in yaml.safe_load(text)["options"].items()}
    assert surface(documented, "suboptions") == surface(SPEC, "options")


def _secrets(spec: dict[str, Any], where: str = "") -> list[str]:
    found = [where + name for name, option in spec.items() if option.get("no_log")]
    return found + [
        secret for name, option in spec.items() for secret in _secrets(option.get("options", {}), f"{where}{name}.")
    ]


def test_secrets_are_the_token_and_private_keys() -> None:
    """And what a private key may be given among by mistake."""
    certificate = "services.http.certificates"
    assert _secrets(SPEC) == ["api_token", f"{certificate}.certificate", f"{certificate}.private_key"]


@pytest.mark.parametrize(
    ("certificate", "sentence"),
    [
        ({}, "one of the following is required: name, certificate"),
        ({"name": "a", "certificate": "b", "private_key": "c"}, "parameters are mutually exclusive: name|certificate"),
        ({"certificate": "b"}, "parameters are required together: certificate, private_key"),
    ],
)
def test_a_certificate_is_a_name_or_a_pair(certificate: dict[str, str], sentence: str) -> None:
    service = {"protocol": "https", "listen_port": 443, "http": {"certificates": [certificate]}}
    result = ArgumentSpecValidator(SPEC).validate({"environment_name": "lab", "name": "web", "services": [service]})
    assert sentence in " ".join(result.error_messages)
