"""The load balancer's module against the embedded cloud, served over HTTP with a driver that makes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.execution import RefusedError
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import run as run_module
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.run import UnhealthyError
from ansible_collections.bulwark.hetzner.plugins.modules import hcloud_load_balancer

from tests.integration import balancing
from tests.integration.balancing import (
    ADDRESS,
    OTHER_PAIR,
    PAIR,
    absent,
    balancer,
    certificate,
    certificates,
    forget_requests,
    options,
    requests,
    run,
    service,
)
from tests.integration.environment import made
from tests.lab import builders
from tests.lab.cloud_api import TOKEN, CloudApi
from tests.modules import runner


@pytest.fixture
def project(api: CloudApi) -> CloudApi:
    balancing.prepare(api)
    return api


def made_name(result: dict[str, Any]) -> str:
    """The name of the only certificate in use."""
    [name] = result["certificates"]
    return str(name)


def test_check_mode_then_made_then_nothing(project: CloudApi) -> None:
    checked = run(project, options(), check=True)
    assert checked["changed"]
    assert checked["load_balancer"] is None
    assert project.get("/load_balancers")["load_balancers"] == []
    assert certificates(project) == {}

    first = run(project, options())
    assert made(first) == made(checked), "check mode shows what is done"
    name = made_name(first)
    assert made(first) == [
        f"certificate/{name} create",
        "load_balancer/rails-lb create",
        "load_balancer/rails-lb attach",
        "service/rails-lb:443 add",
        "target/rails-lb:app-01 add",
        "target/rails-lb:app-02 add",
    ]
    assert first["monthly_price"] == {"difference": "5.39", "currency": "EUR"}
    told = first["load_balancer"]
    assert (told["private_address"], told["type"]) == (ADDRESS, "lb11")
    assert told["public_ipv4"]
    assert [target["server"] for target in told["targets"]] == ["app-01", "app-02"]
    found = balancer(project)
    assert found["labels"] == {"env": "lab", "managed-by": "bulwark", "bulwark-version": "1"}
    [https] = found["services"]
    assert (https["destination_port"], https["http"]["redirect_http"]) == (80, True)
    check = https["health_check"]
    assert [check[key] for key in ("protocol", "port", "interval", "timeout", "retries")] == ["http", 80, 15, 5, 3]
    assert (check["http"]["path"], check["http"]["domain"] or None) == ("/up", None)
    assert check["http"]["status_codes"] == ["2??", "3??"]

    second = run(project, options())
    assert (second["changed"], second["plan"], second["diff"]) == (False, [], [])
    assert second["load_balancer"] == told
    assert second["monthly_price"] == {"difference": "0.00", "currency": None}


def test_a_quiet_run_asks_little(project: CloudApi) -> None:
    run(project, options())
    forget_requests(project)
    run(project, options())
    assert sorted(requests(project)) == [
        "GET /certificates",
        "GET /load_balancers",
        "GET /networks",
        "GET /servers",
    ]
    forget_requests(project)
    run(project, options(targets=None, network=None))
    assert sorted(requests(project)) == ["GET /certificates", "GET /load_balancers"]


CHANGES: list[tuple[dict[str, Any], list[str], dict[str, Any]]] = [
    ({"algorithm": "least_connections"}, ["load_balancer/rails-lb change_algorithm"], {}),
    ({"type": "lb21"}, ["load_balancer/rails-lb change_type"], {}),
    ({"labels": {"team": "web"}}, ["load_balancer/rails-lb update"], {}),
    ({"delete_protection": True}, ["load_balancer/rails-lb change_protection"], {}),
    ({"public_interface": False}, ["load_balancer/rails-lb disable_public_interface"], {}),
    ({"targets": [{"server": "app-02"}]}, ["target/rails-lb:app-01 remove"], {}),
    (
        {"targets": [{"label_selector": "role-app=true"}]},
        [
            "target/rails-lb:role-app=true add",
            "target/rails-lb:app-01 remove",
            "target/rails-lb:app-02 remove",
        ],
        {},
    ),
    (
        {"services": [service(), {"protocol": "tcp", "listen_port": 5432}]},
        ["service/rails-lb:5432 add"],
        {},
    ),
    (
        {"services": [{"protocol": "http", "listen_port": 80}]},
        ["service/rails-lb:443 delete", "service/rails-lb:80 add", "certificate/… delete"],
        {},
    ),
    ({"services": [service(destination_port=8080)]}, [], {"destination_port": 8080}),
    ({"services": [service(proxyprotocol=True)]}, [], {"proxyprotocol": True}),
    ({"services": [service(http={"redirect_http": False})]}, [], {"http.redirect_http": False}),
    (
        {"services": [service(http={"sticky_sessions": True, "cookie_name": "at", "cookie_lifetime": 60})]},
        [],
        {"http.sticky_sessions": True, "http.cookie_name": "at", "http.cookie_lifetime": 60},
    ),
    ({"services": [service(http={"timeout_idle": 90})]}, [], {"http.timeout_idle": 90}),
    (
        {"services": [service(health_check={"port": 3000, "interval": 3, "timeout": 1, "retries": 1})]},
        [],
        {
            "health_check.port": 3000,
            "health_check.interval": 3,
            "health_check.timeout": 1,
            "health_check.retries": 1,
        },
    ),
    (
        {"services": [service(health_check={"http": {"domain": "bulwark.example", "path": "/", "response": "ok"}})]},
        [],
        {
            "health_check.http.domain": "bulwark.example",
            "health_check.http.path": "/",
            "health_check.http.response": "ok",
        },
    ),
    (
        {"services": [service(health_check={"http": {"status_codes": ["200", "204"], "tls": True}})]},
        [],
        {"health_check.http.status_codes": ["200", "204"], "health_check.http.tls": True},
    ),
]


@pytest.mark.parametrize(("change", "steps", "after"), CHANGES, ids=[json.dumps(after) for _, _, after in CHANGES])
def test_each_option_changes_in_place_and_back(
    project: CloudApi, change: dict[str, Any], steps: list[str], after: dict[str, Any]
) -> None:
    first = run(project, options())
    name = made_name(first)
    changed = run(project, options(**change))
    expected = [step.replace("…", name) for step in steps] or ["service/rails-lb:443 update"]
    assert made(changed) == expected
    if after:
        [step] = changed["plan"]
        assert step["after"] == after, "the difference holds what differs"
        assert step["before"].keys() == after.keys()
    assert run(project, options(**change))["plan"] == []

    back = {"algorithm": "round_robin", "labels": {}, "delete_protection": False, "public_interface": True}
    run(project, options(**back, services=[_as_made()]))
    again = run(project, options(**back, services=[_as_made()]))
    assert again["plan"] == []
    assert sorted(certificates(project)) == [name]


def _as_made() -> dict[str, Any]:
    """The service with everything that it has when it is made, by name."""
    http = {"sticky_sessions": False, "cookie_name": "HCLBSTICKY", "cookie_lifetime": 300, "timeout_idle": 50}
    check_http = {"domain": "", "path": "/up", "response": "", "status_codes": ["3??", "2??"], "tls": False}
    check = {"protocol": "http", "port": 80, "interval": 15, "timeout": 5, "retries": 3, "http": check_http}
    return service(http=http, destination_port=80, proxyprotocol=False, health_check=check)


def test_what_is_omitted_is_left_alone(project: CloudApi) -> None:
    check = {"interval": 30, "http": {"domain": "bulwark.example"}}
    run(project, options(algorithm="least_connections", labels={"team": "web"}, services=[service(health_check=check)]))
    before = balancer(project)
    only = {"environment_name": "lab", "name": "rails-lb"}
    for given in (only, only | {"services": [{"protocol": "https", "listen_port": 443}]}, options()):
        assert run(project, given)["plan"] == []
    assert balancer(project) == before


def test_a_certificate_is_replaced_without_a_gap(project: CloudApi) -> None:
    old = made_name(run(project, options()))
    forget_requests(project)
    result = run(project, options(services=[service(OTHER_PAIR)]))
    new = made_name(result)
    assert new != old
    assert made(result) == [f"certificate/{new} create", "service/rails-lb:443 update", f"certificate/{old} delete"]
    writes = [request for request in requests(project) if not request.startswith("GET")]
    assert writes == [
        "POST /placement_groups",
        "POST /certificates",
        "POST /load_balancers/actions/update_service",
        "DELETE /certificates",
        "DELETE /placement_groups",
    ]
    assert list(certificates(project)) == [new]
    [upload, _, removal] = result["plan"]
    assert upload["after"]["names"] == ["bulwark.example", "*.bulwark.example"]
    assert upload["after"]["fingerprint"].startswith(new.rpartition("-")[2])
    assert upload["after"]["not_valid_after"].endswith("UTC")
    assert removal["before"]["fingerprint"].startswith(old.rpartition("-")[2])


def test_an_uploaded_certificate_of_the_same_content_is_used(project: CloudApi) -> None:
    builders.certificate(project, "by-hand", PAIR)
    result = run(project, options())
    assert list(result["certificates"]) == ["by-hand"]
    assert run(project, options(services=[service(OTHER_PAIR)]))["changed"]
    assert "by-hand" in certificates(project), "it is somebody else's"


def test_certificates_by_name(project: CloudApi) -> None:
    builders.certificate(project, "one", PAIR)
    builders.certificate(project, "two", OTHER_PAIR)
    for names in (["one"], ["two"], ["two", "one"]):
        named = options(services=[service(http={"certificates": [{"name": name} for name in names]})])
        assert sorted(run(project, named)["certificates"]) == sorted(names)
        assert run(project, named)["plan"] == []
    assert sorted(certificates(project)) == ["one", "two"]


def test_a_certificate_that_another_load_balancer_uses_stays_as_long(project: CloudApi) -> None:
    other = options(name="other-lb", network={"name": "net", "address": "10.0.0.10"})
    old = made_name(run(project, options()))
    assert made_name(run(project, other)) == old
    run(project, options(services=[service(OTHER_PAIR)]))
    assert old in certificates(project)
    switched = run(project, other | {"services": [service(OTHER_PAIR)]})
    assert made(switched) == ["service/other-lb:443 update", f"certificate/{old} delete"]
    for given in (options(services=[service(OTHER_PAIR)]), other | {"services": [service(OTHER_PAIR)]}):
        assert run(project, given)["plan"] == []


def test_moving_takes_consent(project: CloudApi) -> None:
    run(project, options())
    moved = options(network={"name": "net", "address": "10.0.0.20"})
    with pytest.raises(RefusedError, match=r"it has the address 10\.0\.0\.9 in net, declared is 10\.0\.0\.20"):
        run(project, moved)
    assert balancer(project)["private_net"][0]["ip"] == ADDRESS
    result = run(project, moved | {"allow": ["load_balancer/rails-lb", "server/other"]})
    assert made(result) == [
        "target/rails-lb:app-01 remove",
        "target/rails-lb:app-02 remove",
        "load_balancer/rails-lb detach",
        "load_balancer/rails-lb attach",
        "target/rails-lb:app-01 add",
        "target/rails-lb:app-02 add",
    ]
    assert result["load_balancer"]["private_address"] == "10.0.0.20"
    assert run(project, moved)["plan"] == []


def test_a_target_that_is_reached_the_other_way(project: CloudApi) -> None:
    run(project, options())
    public = options(targets=[{"server": "app-01"}, {"server": "app-02", "use_private_ip": False}])
    assert made(run(project, public)) == ["target/rails-lb:app-02 remove", "target/rails-lb:app-02 add"]
    assert run(project, public)["plan"] == []


def test_a_type_is_left_for_a_smaller_one_last_and_for_a_bigger_one_first(project: CloudApi) -> None:
    ports = [{"protocol": "tcp", "listen_port": port} for port in range(5001, 5007)]
    with pytest.raises(RefusedError, match="its type lb11 takes 5 services, it would have 6: choose a bigger one"):
        run(project, options(services=ports))
    run(project, options())
    grown = run(project, options(type="lb21", services=ports))
    assert made(grown)[0] == "load_balancer/rails-lb change_type"
    assert grown["monthly_price"]["difference"] == "11.01"
    with pytest.raises(RefusedError, match="its type lb11 takes 5 services"):
        run(project, options(services=ports))
    shrunk = run(project, options(services=ports[:2]))
    assert made(shrunk)[-1] == "load_balancer/rails-lb change_type"
    assert run(project, options(services=ports[:2]))["plan"] == []


def test_without_a_public_interface_it_is_never_reached_there(project: CloudApi) -> None:
    result = run(project, options(public_interface=False))
    steps = made(result)
    assert steps.index("load_balancer/rails-lb disable_public_interface") < steps.index("service/rails-lb:443 add")
    assert (result["load_balancer"]["public_ipv4"], result["load_balancer"]["private_address"]) == (None, ADDRESS)
    assert run(project, options(public_interface=False))["plan"] == []


def test_a_network_zone_instead_of_a_location(project: CloudApi) -> None:
    zoned = options(location=None, network_zone="eu-central")
    run(project, zoned)
    assert run(project, zoned)["plan"] == []


def test_what_is_not_ours_is_not_taken_over(project: CloudApi) -> None:
    builders.load_balancer(project, "rails-lb")
    for given in (options(), absent()):
        with pytest.raises(RefusedError, match="does not belong to environment lab"):
            run(project, given)
    assert balancer(project)["services"] == []


def test_absent_takes_its_certificates_along(project: CloudApi) -> None:
    builders.certificate(project, "by-hand", OTHER_PAIR)
    both = [certificate(PAIR), {"name": "by-hand"}]
    name = next(
        iter(
            run(project, options(services=[service(http={"certificates": both})]))["certificates"].keys() - {"by-hand"}
        )
    )
    checked = run(project, absent(), check=True)
    gone = run(project, absent())
    assert made(gone) == made(checked) == ["load_balancer/rails-lb delete", f"certificate/{name} delete"]
    assert gone["monthly_price"] == {"difference": "-5.39", "currency": "EUR"}
    assert gone["load_balancer"] is None
    assert list(certificates(project)) == ["by-hand"]
    assert run(project, absent())["plan"] == []


def test_absent_respects_the_protection(project: CloudApi) -> None:
    run(project, options(delete_protection=True))
    with pytest.raises(RefusedError, match="it is protected from deletion: set delete_protection to false"):
        run(project, absent())
    gone = run(project, absent(delete_protection=False))
    assert made(gone)[:2] == ["load_balancer/rails-lb change_protection", "load_balancer/rails-lb delete"]


def test_healthy_targets_are_waited_for(project: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "POLL_INTERVAL", 0.01)
    run(project, options())
    balancing.all_healthy(project, "10.0.0.2")
    with pytest.raises(UnhealthyError) as error:
        run(project, options(wait_healthy=1))
    assert "app-02 (service 443: unknown)" in str(error.value)
    assert "app-01" not in str(error.value)
    assert error.value.result["changed"] is False
    balancing.all_healthy(project, "10.0.0.3")
    result = run(project, options(wait_healthy=20))
    assert [target["health"] for target in result["load_balancer"]["targets"]] == [{"443": "healthy"}] * 2


def test_a_selector_that_fits_nothing_is_told(project: CloudApi) -> None:
    result = run(project, options(targets=[{"label_selector": "role-app=no"}]))
    assert result["warnings"] == [
        "The label selector role-app=no of the load balancer fits no server that it can reach."
    ]


@pytest.mark.parametrize("check", [True, False], ids=["check", "apply"])
def test_private_keys_are_in_no_output(
    project: CloudApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    """Neither in the result, the difference and the invocation, nor in what a failure says."""
    # A line of it, since line breaks are written otherwise in JSON.
    secrets = [pair.private_key.splitlines()[1] for pair in (PAIR, OTHER_PAIR)]
    common = {"api_token": TOKEN, "api_endpoint": project.url, "_ansible_inject_invocation": True, **options()}
    module = runner(capsys, common, [TOKEN, *secrets])
    first = module(hcloud_load_balancer, check=check)
    assert first["changed"]
    assert first["diff"][0]["after"]["names"] == ["bulwark.example", "*.bulwark.example"]
    assert "private_key" in str(first["invocation"])
    assert module(hcloud_load_balancer, check=check, services=[service(OTHER_PAIR)])["changed"]

    mixed = {"certificate": PAIR.certificate, "private_key": OTHER_PAIR.private_key}
    refused = module(hcloud_load_balancer, check=check, services=[service(http={"certificates": [mixed]})])
    assert refused["msg"].startswith("Nothing was changed. service/rails-lb:443: The private key does not belong")
    assert refused["changed"] is False
    both = {"certificate": PAIR.certificate + PAIR.private_key, "private_key": PAIR.private_key}
    among = module(hcloud_load_balancer, check=check, services=[service(http={"certificates": [both]})])
    assert "There is a private key among the certificates" in among["msg"]
    if not check:
        project.order_fault("error", method="POST", path="/certificates", code="invalid_input", message="no")
        failed = module(hcloud_load_balancer, services=[service()])
        assert "create failed. The API refused: no (invalid_input" in failed["msg"]
        monkeypatch.setattr(run_module, "POLL_INTERVAL", 0.01)
        ill = module(hcloud_load_balancer, services=[service(OTHER_PAIR)], wait_healthy=1)
        assert (ill["failed"], ill["changed"]) == (True, False)
        assert "these targets are not healthy: app-01 (service 443: unknown), app-02" in ill["msg"]
