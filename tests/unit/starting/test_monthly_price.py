"""The price of what is declared, by a price list."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.price import PriceError, estimate


def month(net: str, gross: str, location: str = "fsn1") -> dict[str, Any]:
    return {"location": location, "price_monthly": {"net": net, "gross": gross}}


PRICING = {
    "currency": "EUR",
    "server_types": [
        {"name": "cax11", "prices": [month("3.2900", "3.9151"), month("4.0000", "4.7600", "hel1")]},
        {"name": "cax31", "prices": [month("12.4900", "14.8631")]},
    ],
    "load_balancer_types": [{"name": "lb11", "prices": [month("5.3900", "6.4141")]}],
    "primary_ips": [{"type": "ipv4", "prices": [month("0.5000", "0.5950")]}],
    "volume": {"price_per_gb_month": {"net": "0.0440", "gross": "0.05236"}},
}
DECLARED: dict[str, Any] = {
    "servers": [
        {"name": "bastion-server", "type": "cax11", "location": "fsn1"},
        {"name": "app-01", "type": "cax31", "location": "fsn1"},
        {"name": "app-02", "type": "cax31", "location": "fsn1"},
    ],
    "volumes": [{"name": "db-data", "size": 100}, {"name": "other-data", "size": 10}],
    "primary_ips": [{"name": "bastion-ip", "type": "ipv4", "location": "fsn1"}],
    "load_balancer": {"name": "rails-lb", "type": "lb11", "location": "fsn1"},
}


def test_every_part_is_priced_and_rounded_once() -> None:
    result = estimate(DECLARED, PRICING).result()
    assert [(item["count"], item["what"], item["net"], item["gross"]) for item in result["items"]] == [
        (1, "cax11", "3.29", "3.92"),
        (2, "cax31", "24.98", "29.73"),
        (1, "volume of 100 GB", "4.40", "5.24"),
        (1, "volume of 10 GB", "0.44", "0.52"),
        (1, "primary ipv4", "0.50", "0.60"),
        (1, "load balancer lb11", "5.39", "6.41"),
    ]
    # 3.29 + 24.98 + 4.84 + 0.50 + 5.39; gross 3.9151 + 29.7262 + 5.7596 + 0.595 + 6.4141
    assert (result["net"], result["gross"], result["currency"]) == ("39.00", "46.41", "EUR")
    assert "traffic" in result["lines"][-1]
    assert "object storage" in result["lines"][-1]


def test_without_a_load_balancer() -> None:
    result = estimate(DECLARED | {"load_balancer": None}, PRICING).result()
    assert result["net"] == "33.61"
    assert not any("load balancer" in item["what"] for item in result["items"])


@pytest.mark.parametrize(
    ("key", "thing", "sentence"),
    [
        (
            "servers",
            {"name": "app-03", "type": "cax99", "location": "fsn1"},
            "app-03: cax99 is not to be had in fsn1; ",
        ),
        ("servers", {"name": "app-03", "type": "cax31", "location": "hel1"}, "what is there: cax11."),
        ("primary_ips", {"name": "ip", "type": "ipv4", "location": "ash"}, "what is there: none."),
    ],
)
def test_what_is_not_sold_is_told(key: str, thing: dict[str, str], sentence: str) -> None:
    with pytest.raises(PriceError) as refused:
        estimate({**DECLARED, key: [thing]}, PRICING)
    assert sentence in str(refused.value)
