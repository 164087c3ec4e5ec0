"""Settings: what is asked for, what is stricter, and what a zone that is not ours is told."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import settings
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare.settings import Step, There

OFF = {"enabled": False, "max_age": 0, "include_subdomains": False, "preload": False, "nosniff": False}
ON = {**OFF, "enabled": True, "max_age": 600, "include_subdomains": True}


def plan(wanted: dict[str, Any], owned: bool = True, editable: bool = True, **there: Any) -> list[Step]:
    values = {"ssl": "full", "min_tls_version": "1.1", "always_use_https": False, "hsts": OFF, **there}
    actual = {option: There(values[option], editable) for option in wanted}
    return settings.plan(wanted, actual, owned, "example.com")


def test_only_what_is_given_is_asked_for() -> None:
    nothing = dict.fromkeys(settings.HSTS)
    given = {"ssl": None, "min_tls_version": None, "always_use_https": False, "hsts": nothing}
    assert settings.asked(given) == {"always_use_https": False}
    assert settings.asked({**given, "hsts": {**nothing, "max_age": 0}})["hsts"] == {"max_age": 0}


def test_what_differs_is_changed_in_a_safe_order() -> None:
    wanted = {"hsts": {"enabled": True}, "always_use_https": True, "min_tls_version": "1.2", "ssl": "strict"}
    steps = plan(wanted)
    assert [(step.id, step.value) for step in steps] == [
        ("ssl", "strict"),
        ("min_tls_version", "1.2"),
        ("always_use_https", "on"),
        ("security_header", {"strict_transport_security": {**OFF, "enabled": True}}),
    ]
    assert steps[3].change.before == {"enabled": False}
    assert plan(wanted, ssl="strict", min_tls_version="1.2", always_use_https=True, hsts={**OFF, "enabled": True}) == []


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ({"ssl": "full"}, {"ssl": "strict"}),
        ({"ssl": "strict"}, {"ssl": "origin_pull"}),
        ({"min_tls_version": "1.2"}, {"min_tls_version": "1.3"}),
        ({"always_use_https": False}, {"always_use_https": True}),
        ({"hsts": {"enabled": True, "max_age": 300, "include_subdomains": False}}, {"hsts": ON}),
        ({"hsts": {"enabled": False, "max_age": 0}}, {"hsts": ON}),
    ],
)
def test_stricter_is_good_enough_where_the_zone_is_not_ours(wanted: dict[str, Any], there: dict[str, Any]) -> None:
    assert plan(wanted, owned=False, **there) == []
    [step] = plan(wanted, owned=True, **there)
    assert (step.change.why, step.change.refused) == ("asked for, weaker than it was", "")


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (
            {"ssl": "strict"},
            "SSL/TLS encryption mode of the zone example.com is full and must be strict, which is",
        ),
        ({"min_tls_version": "1.2"}, "Minimum TLS Version of the zone example.com is 1.1 and must be 1.2 or stricter"),
        ({"always_use_https": True}, "Always Use HTTPS of the zone example.com is off and must be on"),
        ({"hsts": {"enabled": True, "max_age": 9}}, "is enabled=off, max_age=0 and must be enabled=on, max_age=9"),
    ],
)
def test_a_zone_that_is_not_ours_is_told_what_to_set_and_where(wanted: dict[str, Any], sentence: str) -> None:
    [step] = plan(wanted, owned=False)
    assert sentence in step.change.refused
    assert "in the Cloudflare dashboard under SSL/TLS, " in step.change.refused
    assert "It holds for every site of the zone" in step.change.refused


def test_what_the_plan_of_the_zone_does_not_allow_is_refused() -> None:
    [step] = plan({"min_tls_version": "1.3"}, editable=False)
    assert "cannot be changed on the zone's plan" in step.change.refused


def test_a_header_that_was_never_set_is_off() -> None:
    assert settings._from_api("hsts", None) == OFF
    assert settings._from_api("hsts", {"strict_transport_security": {"enabled": True, "max_age": None}}) == {
        **OFF,
        "enabled": True,
    }
