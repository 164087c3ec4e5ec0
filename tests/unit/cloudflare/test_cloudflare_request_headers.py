"""The header by which the origin knows Cloudflare: one rule among others, and a value that shows nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import request_headers
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.client import CloudflareError
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.request_headers import Header

SECRET = "a-secret-of-the-tests"
THEIRS = {"id": "1", "ref": "theirs", "expression": "true", "action": "rewrite", "action_parameters": {}, "x": 1}


def header(**more: Any) -> Header:
    options = {
        "environment_name": "lab",
        "state": "present",
        "name": "X-Edge-Secret",
        "value": SECRET,
        "hostnames": ["@", "www"],
    }
    return request_headers.parse({**options, **more}, "example.com")


def test_a_rule_is_added_changed_in_place_and_taken_away() -> None:
    [step] = request_headers.plan(header(), [THEIRS], present=True)
    assert step.rules[0] == THEIRS
    ours = {**step.rules[1], "id": "2"}
    assert ours["expression"] == 'http.host in {"example.com" "www.example.com"}'
    assert request_headers.plan(header(), [ours, THEIRS], present=True) == []

    [changed] = request_headers.plan(header(value=f"{SECRET}-2"), [ours, THEIRS], present=True)
    assert changed.change.why == "the value differs"
    assert [rule["id"] for rule in changed.rules] == ["2", "1"]
    assert SECRET not in str((step.change, changed.change, header()))

    [switched_on] = request_headers.plan(header(), [{**ours, "enabled": False}], present=True)
    assert switched_on.change.why == "the rule differs"

    [gone] = request_headers.plan(header(), [ours, THEIRS], present=False)
    assert gone.rules == [THEIRS]
    assert request_headers.plan(header(), [THEIRS], present=False) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "CF-Connecting-IP"}, "is no header that may be set"),
        ({"name": "a b"}, "is no header that may be set"),
        ({"value": "short"}, "a secret has at least 16 printable characters"),
        ({"value": "with spaces in between"}, "and no spaces"),
        ({"hostnames": []}, "hostnames: name at least one"),
        ({"hostnames": ["*"]}, "the rule knows no wildcards"),
        ({"hostnames": ["www.other.org."]}, "does not lie in the zone"),
        ({"environment_name": "a b"}, "environment_name: 'a b' cannot mark"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CloudflareError) as error:
        header(**options)
    assert sentence in str(error.value)
    assert "with spaces" not in str(error.value)
