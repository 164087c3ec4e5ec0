"""What the vendor offers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.lab.cloud_api import CloudApi


def test_locations_and_their_network_zones(cloud_api: CloudApi) -> None:
    zones = {location.name: location.network_zone for location in cloud_api.client.locations.get_all()}
    assert zones == {
        "fsn1": "eu-central",
        "nbg1": "eu-central",
        "hel1": "eu-central",
        "ash": "us-east",
        "hil": "us-west",
        "sin": "ap-southeast",
    }
    assert cloud_api.client.locations.get_by_id(1).name == "fsn1"
    assert cloud_api.get("/locations", sort="name:desc")["locations"][0]["name"] == "sin"


@pytest.mark.parametrize(
    ("name", "cores", "memory", "disk", "architecture"),
    [
        ("cax11", 2, 4, 40, "arm"),
        ("cax21", 4, 8, 80, "arm"),
        ("cax31", 8, 16, 160, "arm"),
        ("cax41", 16, 32, 320, "arm"),
        ("cx23", 2, 4, 40, "x86"),
        ("cpx32", 4, 8, 160, "x86"),
        ("ccx63", 48, 192, 960, "x86"),
    ],
)
def test_sizes_of_server_types(
    cloud_api: CloudApi, name: str, cores: int, memory: int, disk: int, architecture: str
) -> None:
    found = cloud_api.client.server_types.get_by_name(name)
    assert found is not None
    assert (found.cores, found.memory, found.disk, found.architecture) == (cores, memory, disk, architecture)


def test_arm_is_to_be_had_in_europe_only(cloud_api: CloudApi) -> None:
    found = cloud_api.client.server_types.get_by_name("cax11")
    assert found is not None
    assert [entry.location.name for entry in found.locations] == ["fsn1", "nbg1", "hel1"]


def test_a_type_that_is_gone_everywhere_is_known_by_id_only(cloud_api: CloudApi) -> None:
    assert cloud_api.client.server_types.get_by_name("cx22") is None
    gone = cloud_api.get("/server_types/104")["server_type"]
    assert gone["deprecated"]
    assert gone["deprecation"]["unavailable_after"] == "2026-01-01T06:00:00Z"
    assert not any(entry["available"] for entry in gone["locations"])


def test_a_type_that_is_gone_in_places_is_deprecated_there(cloud_api: CloudApi) -> None:
    found = cloud_api.get("/server_types", name="cpx31")["server_types"][0]
    assert not found["deprecated"]
    assert {entry["name"] for entry in found["locations"] if entry["deprecation"]} == {"fsn1", "nbg1", "hel1"}
    assert {entry["name"] for entry in found["locations"] if entry["available"]} == {"ash", "hil"}


def test_a_type_that_is_sold_out_is_not_available(cloud_api: CloudApi) -> None:
    found = cloud_api.get("/server_types", name="ccx63")["server_types"][0]
    assert {entry["name"] for entry in found["locations"] if not entry["available"]} == {"sin"}


def test_images_exist_in_both_architectures(cloud_api: CloudApi) -> None:
    images = cloud_api.client.images.get_all(type=["system"])
    by_name: dict[str, set[str]] = {}
    for image in images:
        by_name.setdefault(str(image.name), set()).add(str(image.architecture))
    assert {"ubuntu-22.04", "ubuntu-24.04", "debian-12", "debian-13"} <= set(by_name)
    assert all(architectures == {"x86", "arm"} for architectures in by_name.values())


def test_images_are_filtered(cloud_api: CloudApi) -> None:
    found = cloud_api.get("/images", name="ubuntu-24.04", architecture="arm")["images"]
    assert [image["id"] for image in found] == [161547270]
    assert cloud_api.get("/images", type="snapshot")["images"] == []
    assert cloud_api.get("/images/161547270/actions")["actions"] == []
    status, error = cloud_api.refused("GET", "/images?architecture=riscv")
    assert (status, error["details"]["fields"][0]["name"]) == (422, "architecture")


def test_prices(cloud_api: CloudApi) -> None:
    pricing = cloud_api.get("/pricing")["pricing"]
    assert pricing["currency"] == "EUR"
    cax31 = next(item for item in pricing["server_types"] if item["name"] == "cax31")
    here = next(item for item in cax31["prices"] if item["location"] == "fsn1")
    assert Decimal(here["price_monthly"]["net"]) == Decimal("15.99")
    assert Decimal(here["price_monthly"]["gross"]) == Decimal("15.99") * Decimal("1.19")
    assert Decimal(here["price_hourly"]["net"]) < Decimal(here["price_monthly"]["net"]) / 500
    assert {item["name"] for item in pricing["load_balancer_types"]} == {"lb11", "lb21", "lb31"}


def test_prices_differ_between_locations(cloud_api: CloudApi) -> None:
    prices = cloud_api.get("/server_types", name="ccx13")["server_types"][0]["prices"]
    monthly = {price["location"]: Decimal(price["price_monthly"]["net"]) for price in prices}
    assert monthly["fsn1"] < monthly["ash"] < monthly["sin"]
