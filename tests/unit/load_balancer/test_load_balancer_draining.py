"""The rule that lets a health check fail: what it matches, and that a listing of it is recognised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import draining
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.draining import DrainError


def listed(address: str, port: int, *parts: tuple[int, int], last: Any = None) -> str:
    """As nft 1.0.6 lists the table."""
    matches = [
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": address}},
        {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": port}},
        *(
            {"match": {"op": "==", "left": {"payload": {"base": "ih", "offset": at * 8, "len": 64}}, "right": value}}
            for at, value in parts
        ),
    ]
    rule = {"rule": {"chain": "prerouting", "expr": [*matches, last or {"reject": {"type": "tcp reset"}}]}}
    return json.dumps({"nftables": [{"metainfo": {}}, {"table": {"name": "bulwark_drain"}}, rule]})


UP = (0, int.from_bytes(b"GET /up "))


def test_the_first_line_of_the_check_is_compared() -> None:
    assert draining.comparisons("/up") == [UP]
    text = draining.render("10.0.0.9", 80, "/up")
    assert "ip saddr 10.0.0.9 tcp dport 80 @ih,0,64 0x474554202f757020 reject with tcp reset" in text


def test_a_long_path_is_compared_in_parts() -> None:
    path = "/health/of/the/application"
    parts = draining.comparisons(path)
    assert [at for at, _ in parts] == [0, 16]
    whole = b"".join(value.to_bytes(min(16, len(path) + 5 - at)) for at, value in parts)
    assert whole == f"GET {path} ".encode()
    assert "@ih,0,128 0x" in draining.render("10.0.0.9", 80, path)
    assert "@ih,128,120 0x" in draining.render("10.0.0.9", 80, path)


def test_an_address_of_version_6() -> None:
    assert "ip6 saddr fd00::9 tcp dport 8080" in draining.render("fd00::9", 8080, "/up")


@pytest.mark.parametrize("path", ["up", "", "/up now", '/up"; accept', "/ü"])
def test_no_path_is_refused(path: str) -> None:
    with pytest.raises(DrainError, match="it must be one such as /up"):
        draining.render("10.0.0.9", 80, path)


def test_whose_check_a_listing_rejects() -> None:
    assert draining.shown(listed("10.0.0.9", 80, UP)) == ("10.0.0.9", 80, [UP])
    assert draining.shown(listed("10.0.0.9", 80, UP, last={"accept": None})) is None
    assert draining.shown(json.dumps({"nftables": [{"metainfo": {}}]})) is None


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((0, listed("10.0.0.9", 80, UP)), True),
        ((0, listed("10.0.0.8", 80, UP)), False),
        ((0, listed("10.0.0.9", 81, UP)), False),
        ((1, ""), False),
    ],
)
def test_only_this_check_counts_as_drained(there: tuple[int, str], expected: bool) -> None:
    assert draining.drained(lambda words, feed="": (*there, ""), "10.0.0.9", 80, "/up") is expected


def test_a_rule_that_is_not_taken_is_an_error() -> None:
    with pytest.raises(DrainError, match="did not take the rule"):
        draining.drain(lambda words, feed="": (1, "", "no such expression"), "10.0.0.9", 80, "/up")
