"""Tokens, zones, settings and what every answer of the embedded Cloudflare has in common."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.cloudflare import state
from lab.cloudflare.account import Cloudflare
from lab.cloudflare.limit import RateLimit
from tests.lab.cloudflare_api import ORIGIN, ZONE, CloudflareApi, cloudflare_api
from tests.lab.edge import signing_request

NOT_THERE = "0" * 32


@pytest.fixture
def api(cloudflare: CloudflareApi) -> CloudflareApi:
    return cloudflare


# Zones


def test_the_zone_of_the_lab(api: CloudflareApi) -> None:
    [zone] = api.done("GET", "/zones", params={"name": ZONE})
    assert (zone["name"], zone["status"], zone["paused"], zone["type"]) == (ZONE, "active", False, "full")
    assert re.fullmatch("[0-9a-f]{32}", zone["id"])
    assert api.done("GET", f"/zones/{zone['id']}") == zone
    assert api.done("GET", "/zones", params={"status": "active", "per_page": 50}) == [zone]
    for parameters in ({"name": "other.example"}, {"status": "pending"}, {"page": 2}, {"account.id": NOT_THERE}):
        assert api.done("GET", "/zones", params=parameters) == []
    assert api.refused("GET", "/zones", params={"search": "x"})[0] == 501


@pytest.mark.parametrize("path", ["", "/dns_records", "/settings/ssl"])
def test_a_zone_that_is_not_there(api: CloudflareApi, path: str) -> None:
    assert api.refused("GET", f"/zones/{NOT_THERE}{path}") == (404, 1001, "Invalid zone identifier")
    text = f"Could not route to /client/v4/zones/{ZONE}{path}, perhaps your object identifier is invalid?"
    assert api.refused("GET", f"/zones/{ZONE}{path}") == (404, 7003, text)


# Settings


def test_settings_of_a_new_zone(api: CloudflareApi) -> None:
    settings = {
        "ssl": "flexible",
        "always_use_https": "off",
        "min_tls_version": "1.0",
        "tls_1_3": "on",
        "automatic_https_rewrites": "on",
        "security_header": {
            "strict_transport_security": {
                "enabled": False,
                "max_age": 0,
                "include_subdomains": False,
                "preload": False,
                "nosniff": False,
            }
        },
    }
    for name, value in settings.items():
        one = api.done("GET", f"{api.zone_path}/settings/{name}")
        assert one == {"id": name, "value": value, "editable": True, "modified_on": None}


@pytest.mark.parametrize(
    ("name", "values", "wrong"),
    [
        ("ssl", ["off", "flexible", "full", "strict"], ["full_strict", None, True, "origin_pull"]),
        ("always_use_https", ["on", "off"], [True, "yes", 1]),
        ("min_tls_version", ["1.0", "1.1", "1.2", "1.3"], ["1.4", 1.2, "TLSv1.2"]),
        ("tls_1_3", ["off", "on"], ["zrt", None]),
        ("automatic_https_rewrites", ["off", "on"], ["maybe"]),
    ],
)
def test_a_setting_is_changed(api: CloudflareApi, name: str, values: list[str], wrong: list[object]) -> None:
    path = f"{api.zone_path}/settings/{name}"
    for value in values:
        changed = api.done("PATCH", path, {"value": value})
        assert (changed["id"], changed["value"], changed["editable"]) == (name, value, True)
        assert api.done("GET", path) == changed
        assert changed["modified_on"]
    for value in wrong:
        text = f"Invalid value for zone setting {name}"
        assert api.refused("PATCH", path, {"value": value}) == (400, 1007, text)
    assert api.refused("PATCH", path, {})[:2] == (400, 1007)
    assert api.done("GET", path)["value"] == values[-1]


def test_hsts_keeps_what_is_not_given(api: CloudflareApi) -> None:
    path = f"{api.zone_path}/settings/security_header"

    def change(**fields: object) -> Any:
        value = {"strict_transport_security": fields}
        return api.done("PATCH", path, {"value": value})["value"]["strict_transport_security"]

    assert change(enabled=True, max_age=600)["max_age"] == 600
    assert change(include_subdomains=True, preload=True, nosniff=True) == {
        "enabled": True,
        "max_age": 600,
        "include_subdomains": True,
        "preload": True,
        "nosniff": True,
    }
    for wrong in ({"max_age": -1}, {"max_age": 31536001}, {"max_age": True}, {"enabled": 1}, {"colour": True}):
        value = {"strict_transport_security": wrong}
        assert api.refused("PATCH", path, {"value": value})[:2] == (400, 1007)
    assert api.refused("PATCH", path, {"value": "on"})[:2] == (400, 1007)


def test_other_settings_are_not_there_nor_all_at_once(api: CloudflareApi) -> None:
    for method in ("GET", "PATCH"):
        assert api.refused(method, f"{api.zone_path}/settings", {"items": []})[0] == 501
        status, _, message = api.refused(method, f"{api.zone_path}/settings/brotli", {"value": "on"})
        assert (status, "brotli" in message) == (501, True)


# Who may ask


def test_the_token_of_the_lab_is_valid(api: CloudflareApi) -> None:
    answer = api.request("GET", "/user/tokens/verify").json()
    assert answer["result"]["status"] == "active"
    assert answer["messages"] == [{"code": 10000, "message": "This API Token is valid and active", "type": None}]
    assert (api.folder / "token").stat().st_mode & 0o777 == 0o600
    assert api.token not in (api.folder / "state.json").read_text()
    assert (api.folder / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("token", "verify", "others"),
    [
        (None, (400, 1001), (400, 9106)),
        ("too-short", (400, 6003), (400, 6003)),
        ("x" * 40, (401, 1000), (403, 9109)),
    ],
)
def test_tokens_that_open_nothing(
    api: CloudflareApi, token: str | None, verify: tuple[int, int], others: tuple[int, int]
) -> None:
    assert api.refused("GET", "/user/tokens/verify", token=token)[:2] == verify
    for path in ("/zones", api.zone_path, f"{api.zone_path}/dns_records", f"/certificates?zone_id={api.zone.id}"):
        assert api.refused("GET", path, token=token)[:2] == others


def test_a_header_of_another_form_is_explained(api: CloudflareApi) -> None:
    answer = api.request("GET", "/zones", token=None, headers={"Authorization": f"Basic {api.token}"})
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, 6003)
    assert error["error_chain"] == [{"code": 6111, "message": "Invalid format for Authorization header"}]


#: A request for each permission, by method, path below the zone (or from the top) and body.
NEEDED = {
    "Zone Read": ("GET", "", None),
    "DNS Read": ("GET", "/dns_records", None),
    "DNS Write": ("POST", "/dns_records", {"type": "A", "name": "x", "content": ORIGIN}),
    "Zone Settings Read": ("GET", "/settings/ssl", None),
    "Zone Settings Write": ("PATCH", "/settings/ssl", {"value": "full"}),
    "SSL and Certificates Read": ("GET", "//certificates?zone_id={zone}", None),
    "Zone Transform Rules Read": ("GET", "/rulesets/phases/http_request_late_transform/entrypoint", None),
    "Zone Transform Rules Write": ("PUT", "/rulesets/phases/http_request_late_transform/entrypoint", {"rules": []}),
    "SSL and Certificates Write": ("POST", "//certificates", {"hostnames": [ZONE], "request_type": "origin-ecc"}),
}
REFUSALS = {
    "Zone": (403, 9109, "Unauthorized to access requested resource"),
    "DNS": (403, 10000, "Authentication error"),
    "Zone Settings": (403, 9109, "Unauthorized to access requested resource"),
    "Zone Transform Rules": (403, 10000, "request is not authorized"),
    "SSL and Certificates": (403, 1016, "User is not authorized to perform this action"),
}


@pytest.mark.parametrize("permission", NEEDED)
def test_each_permission_is_needed_and_enough(api: CloudflareApi, permission: str) -> None:
    method, path, body = NEEDED[permission]
    path = path[1:].format(zone=api.zone.id) if path.startswith("//") else api.zone_path + path
    if permission == "SSL and Certificates Write":
        body = {**(body or {}), "csr": signing_request()[0]}
    area = permission.rpartition(" ")[0]
    without = [item for item in state.PERMISSIONS if not item.startswith(f"{area} ")]
    if permission.endswith("Write"):
        without.append(f"{area} Read")
    if area == "Zone Transform Rules":
        api.done("PUT", f"{api.zone_path}{NEEDED['Zone Transform Rules Write'][1]}", {"rules": []})
    lacking = api.manage("POST", "/tokens", {"permissions": without}, status=201)["token"]["value"]
    assert api.refused(method, path, body, token=lacking) == REFUSALS[area]
    enough = api.manage("POST", "/tokens", {"permissions": [permission]}, status=201)["token"]["value"]
    api.done(method, path, body, token=enough)


def test_a_revoked_token_opens_nothing(api: CloudflareApi) -> None:
    token = api.manage("POST", "/tokens", {"permissions": ["Zone Read"]}, status=201)["token"]
    api.done("GET", "/zones", token=token["value"])
    api.manage("DELETE", f"/tokens/{token['id']}", status=204)
    assert api.refused("GET", "/zones", token=token["value"])[:2] == (403, 9109)
    api.manage("DELETE", f"/tokens/{NOT_THERE}", status=404)
    error = api.manage("POST", "/tokens", {"permissions": ["Everything"]}, status=422)["error"]
    assert "DNS Write" in error["message"]


# Every answer


def test_what_is_not_implemented_is_refused_in_the_envelope(api: CloudflareApi) -> None:
    for method, path in (
        ("POST", "/zones"),
        ("DELETE", api.zone_path),
        ("GET", "/accounts"),
        ("POST", f"{api.zone_path}/dns_records/import"),
        ("PUT", "/certificates"),
        ("GET", "/user"),
    ):
        status, code, message = api.refused(method, path)
        assert (status, code) == (501, 7000)
        assert path in message


@pytest.mark.parametrize("body", ["{", "[]", "5"])
def test_a_body_that_is_no_object(api: CloudflareApi, body: str) -> None:
    answer = api.request("POST", f"{api.zone_path}/dns_records", data=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, 6007)


def test_the_limit_of_requests(api: CloudflareApi) -> None:
    api.manage("PUT", "/limit", {"requests": 2, "seconds": 300})
    first = api.request("GET", "/zones")
    assert first.headers["Ratelimit"].startswith('"default";r=1;t=')
    assert first.headers["Ratelimit-Policy"] == '"default";q=2;w=300'
    assert "Retry-After" not in first.headers
    api.done("GET", "/zones")
    answer = api.request("GET", "/zones")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (429, 971)
    assert 0 < int(answer.headers["Retry-After"]) <= 300
    assert api.manage("GET", "/limit") == {"requests": 2, "seconds": 300.0}
    api.manage("POST", "/reset", status=204)
    api.done("GET", "/zones")
    api.manage("PUT", "/limit", {"requests": -1, "seconds": 1}, status=422)


def test_who_asked_too_much_waits_the_whole_time() -> None:
    clock = [0.0]
    limit = RateLimit(2, 300, lambda: clock[0])
    assert [limit.take() for _ in range(2)] == [True, True]
    clock[0] = 200
    assert not limit.take()
    assert limit.headers()["Retry-After"] == "300"
    clock[0] = 400
    assert not limit.take()
    clock[0] = 500
    assert limit.take()


def test_faults_and_the_log_are_its_own(api: CloudflareApi) -> None:
    rule = {"effect": "error", "path": "/zones", "code": "10000", "status": 403, "message": "no", "times": 1}
    number = api.manage("POST", "/faults", rule, status=201)["fault"]["id"]
    assert api.refused("GET", "/zones") == (403, 10000, "no")
    api.manage("POST", "/faults", {"effect": "error", "status": 502, "message": "Bad Gateway", "times": 1}, status=201)
    answer = api.request("GET", "/zones")
    assert (answer.status_code, answer.text) == (502, "Bad Gateway")
    api.manage("POST", "/faults", {"effect": "lose_answer", "method": "POST", "times": 1}, status=201)
    path = f"{api.zone_path}/dns_records"
    with pytest.raises(requests.ConnectionError):
        api.request("POST", path, json={"type": "A", "name": "x", "content": ORIGIN})
    assert len(api.done("GET", path)) == 1
    log = api.manage("GET", "/requests")["requests"]
    found = [(entry["method"], entry["status"], entry["fault"], entry["delivered"]) for entry in log]
    assert found == [
        ("GET", 403, number, True),
        ("GET", 502, number + 1, True),
        ("POST", 200, number + 2, False),
        ("GET", 200, None, True),
    ]
    assert log[0]["path"] == "/client/v4/zones"
    assert api.manage("GET", f"/requests?after={log[-2]['number']}")["requests"] == log[-1:]
    assert len(api.manage("GET", "/faults")["faults"]) == 3
    api.manage("DELETE", "/faults", status=204)
    api.manage("DELETE", "/requests", status=204)
    assert api.manage("GET", "/requests")["requests"] == []


def test_reset_gives_the_zone_back_as_it_was(api: CloudflareApi) -> None:
    before = api.zone.id
    other = api.manage("POST", "/tokens", {"permissions": ["Zone Read"]}, status=201)["token"]["value"]
    api.record(type="A", name="x", content=ORIGIN)
    api.done("PATCH", f"{api.zone_path}/settings/ssl", {"value": "strict"})
    api.manage("POST", "/reset", status=204)
    assert api.zone.id == before
    assert api.done("GET", f"{api.zone_path}/dns_records") == []
    assert api.done("GET", f"{api.zone_path}/settings/ssl")["value"] == "flexible"
    assert api.refused("GET", "/zones", token=other)[:2] == (403, 9109)
    assert api.published[-1].zones[before].records == {}


# Another process


def test_a_new_process_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    with cloudflare_api(tmp_path) as api:
        made = api.record(type="A", name="x", content=ORIGIN, proxied=True)
        api.done("PATCH", f"{api.zone_path}/settings/min_tls_version", {"value": "1.2"})
        store, token = api.cloudflare.store, api.token
    with cloudflare_api(tmp_path) as api:
        assert api.token == token
        assert api.cloudflare.store == store
        assert api.done("GET", f"{api.zone_path}/dns_records/{made['id']}") == made


def test_a_state_that_cannot_be_read_is_not_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"version": 99}')
    with pytest.raises(ValueError, match="version 1"):
        Cloudflare(tmp_path)
    assert (tmp_path / "state.json").read_text() == '{"version": 99}'
