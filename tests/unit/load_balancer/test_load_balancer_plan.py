"""The plan of a load balancer: what changes, in which order, by which requests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.infrastructure.plan import Ref, dependencies, ownership
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer import actual
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.planner import plan_absent
from ansible_collections.bulwark.hetzner.plugins.module_utils.load_balancer.rotation import UPLOADED_HERE, own_name

from tests.unit.load_balancer.builders import (
    BALANCER,
    ID,
    OTHER_PAIR,
    PAIR,
    actions,
    changed,
    content,
    declare,
    https,
    own_record,
    plan,
    project,
    record,
    service,
    tcp,
    whole,
)

NAME, OTHER_NAME = (own_record(1, pair).name for pair in (PAIR, OTHER_PAIR))


def body(step: Any) -> dict[str, Any]:
    assert step.call
    return dict(step.call.body)


def test_what_is_as_declared_has_an_empty_plan() -> None:
    assert actions(plan(project(), **whole())) == []


def test_what_is_omitted_has_an_empty_plan() -> None:
    assert actions(plan(project())) == []


def test_everything_is_made_in_order() -> None:
    made = plan(project(None), **whole(algorithm="least_connections", delete_protection=True))
    assert actions(made) == [
        f"certificate/{NAME} create",
        "load_balancer/web create",
        "load_balancer/web attach",
        "service/web:443 add",
        "target/web:app-01 add",
        "target/web:role-app=true add",
        "load_balancer/web change_protection",
    ]
    assert made.monthly == Decimal("5.39")
    needs = dependencies(made.steps)
    assert needs[0] == needs[1] == set(), "these two need nothing of each other"
    assert needs[3] == {0, 2}
    _, create, attach, add, target, selector, _ = made.steps
    labels = ownership("lab")
    assert body(create) == {
        "name": "web",
        "load_balancer_type": "lb11",
        "location": "fsn1",
        "algorithm": {"type": "least_connections"},
        "labels": labels,
    }
    assert body(attach) == {"network": Ref("network", "net"), "ip": "10.0.0.9"}
    assert body(add)["http"]["certificates"] == [Ref("certificate", NAME)]
    assert body(target) == {"type": "server", "server": {"id": Ref("server", "app-01")}, "use_private_ip": True}
    assert body(selector)["label_selector"] == {"selector": "role-app=true"}


def test_a_new_service_has_the_guides_health_check() -> None:
    [step] = [step for step in plan(project(None), **whole()).steps if step.ref.kind == "service"]
    check_http = {"domain": "", "path": "/up", "response": "", "status_codes": ["2??", "3??"], "tls": False}
    check = {"protocol": "http", "port": 80, "interval": 15, "timeout": 5, "retries": 3, "http": check_http}
    assert body(step)["health_check"] == check
    assert body(step)["destination_port"] == 80


def test_a_new_tcp_service_leads_to_its_own_port_and_looks_for_it_open() -> None:
    [step] = [
        step
        for step in plan(project(), services=[https(), {"protocol": "tcp", "listen_port": 25}]).steps
        if step.action == "add"
    ]
    check = {"protocol": "tcp", "port": 25, "interval": 15, "timeout": 5, "retries": 3}
    destination = {"destination_port": 25, "proxyprotocol": False}
    assert body(step) == {"protocol": "tcp", "listen_port": 25, **destination, "health_check": check}


def test_the_group_that_changed_is_sent_as_a_whole_and_shown_in_part() -> None:
    [step] = plan(project(), services=[https(health_check={"interval": 3})]).steps
    assert body(step).keys() == {"listen_port", "health_check"}
    assert body(step)["health_check"]["timeout"] == 5
    assert (step.before, step.after) == ({"health_check.interval": 15}, {"health_check.interval": 3})


def test_another_protocol_is_an_update() -> None:
    [step, _] = plan(project(), services=[{"protocol": "tcp", "listen_port": 443}]).steps
    assert step.action == "update"
    assert body(step) == {"listen_port": 443, "protocol": "tcp"}
    there = changed(services=(tcp(443),))
    [upgraded] = plan(there, services=[https(health_check={"protocol": "http"})]).steps
    assert body(upgraded)["http"]["certificates"] == [Ref("certificate", NAME)]
    assert body(upgraded)["health_check"]["http"]["path"] == "/up"
    assert body(upgraded)["health_check"]["port"] == 443, "as it was"


def test_a_port_that_is_redirected_from_is_free_first() -> None:
    plain = service(protocol="http", listen_port=80)
    made = plan(changed(services=(service(), plain)), services=[https(http={"redirect_http": True})])
    assert actions(made) == ["service/web:80 delete", "service/web:443 update"]
    redirecting = changed(services=(service(http={"redirect_http": True, "certificates": [70]}),))
    both = [https(http={"redirect_http": False}), {"protocol": "http", "listen_port": 80}]
    assert actions(plan(redirecting, services=both)) == ["service/web:443 update", "service/web:80 add"]


def test_a_health_check_that_stays_behind_is_told() -> None:
    made = plan(project(), services=[https(destination_port=3000)])
    assert "its health check still asks port 80" in made.warnings[0]
    assert plan(project(), services=[https(destination_port=3000, health_check={"port": 3000})]).warnings == ()


def test_a_new_certificate_comes_before_its_use_and_the_old_one_goes_after() -> None:
    made = plan(project(), services=[https(content(OTHER_PAIR))])
    assert actions(made) == [
        f"certificate/{OTHER_NAME} create",
        "service/web:443 update",
        f"certificate/{NAME} delete",
    ]
    assert dependencies(made.steps) == [set(), {0}, {1}]
    assert (made.steps[1].before, made.steps[1].after) == (
        {"http.certificates": [NAME]},
        {"http.certificates": [OTHER_NAME]},
    )


def test_no_private_key_is_shown() -> None:
    declared = declare(services=[https(content(OTHER_PAIR))])
    made = plan(project(), services=[https(content(OTHER_PAIR))])
    shown = str([step.describe() for step in made.steps]) + repr(declared)
    assert "PRIVATE KEY" not in shown
    assert "PRIVATE KEY" in str(body(made.steps[0])), "or this test looks at nothing"


def test_two_services_share_an_upload() -> None:
    both = [https(), {**https(), "listen_port": 8443}]
    assert actions(plan(project(None), **whole(services=both)))[:2] == [
        f"certificate/{NAME} create",
        "load_balancer/web create",
    ]


@pytest.mark.parametrize(
    ("left", "goes"),
    [
        (own_record(71, OTHER_PAIR), True),
        (own_record(71, OTHER_PAIR, used_by=(5,)), False),
        (record(71, OTHER_NAME, OTHER_PAIR), False),
        (record(71, OTHER_NAME, OTHER_PAIR, **ownership("lab")), False),
        (replace(own_record(71, OTHER_PAIR), labels=ownership("production")), False),
        (replace(own_record(71, OTHER_PAIR), name=own_name("webs", own_record(1, OTHER_PAIR).content)), False),
    ],
    ids=["left over", "used", "by hand", "another module's", "another environment's", "another load balancer's"],
)
def test_what_a_killed_run_has_left_is_removed(left: Any, goes: bool) -> None:
    there = project(certificates=(own_record(70, used_by=(ID,)), left))
    assert actions(plan(there, **whole())) == ([f"certificate/{OTHER_NAME} delete"] if goes else [])
    assert actions(plan(there)) == [], "without services nothing is said of certificates"


def test_what_is_declared_by_name_stays_when_it_is_replaced() -> None:
    there = changed(services=(service((72,)),))
    there = replace(
        there, certificates=(record(72, "one", PAIR, (ID,), **ownership("lab")), record(73, "two", OTHER_PAIR))
    )
    assert actions(plan(there, services=[https({"name": "two"})])) == ["service/web:443 update"]


def test_an_expired_certificate_of_somebody_else_is_told() -> None:
    old = replace(record(70, "one"), not_valid_after=datetime(2020, 1, 1, tzinfo=UTC))
    made = plan(project(certificates=(old,)), services=[https({"name": "one"})])
    assert made.warnings == ("service/web:443: the certificate one expired on " + f"{old.not_valid_after:%Y-%m-%d}.",)


def test_new_targets_come_before_old_ones_go() -> None:
    made = plan(project(), targets=[{"server": "app-02"}, {"label_selector": "role-app=true"}])
    assert actions(made) == ["target/web:app-02 add", "target/web:app-01 remove"]
    assert body(made.steps[1]) == {"type": "server", "server": {"id": 1}}


def test_a_dedicated_server_is_a_target_too() -> None:
    made = plan(changed(targets=()), targets=[{"ip": "203.0.113.77"}])
    assert body(made.steps[0]) == {"type": "ip", "ip": {"ip": "203.0.113.77"}}
    there = changed(targets=(actual.Target("ip", "203.0.113.77", False),))
    assert actions(plan(there, targets=[{"ip": "203.0.113.77"}])) == []


def test_the_public_interface_is_on_before_it_is_needed_and_off_after() -> None:
    public = {"targets": [{"server": "app-02", "use_private_ip": False}]}
    on = plan(changed(public=False, targets=()), public_interface=True, **public)
    assert actions(on) == ["load_balancer/web enable_public_interface", "target/web:app-02 add"]
    there = changed(targets=(actual.Target("server", 2, False),))
    off = plan(there, public_interface=False, targets=[{"server": "app-02"}])
    assert actions(off)[-1] == "load_balancer/web disable_public_interface"
    assert off.steps[-1].destructive


def test_a_type_changes_when_everything_fits() -> None:
    bigger = plan(project(), type="lb21", services=[https(), *_ports(1, 2)])
    assert actions(bigger)[0] == "load_balancer/web change_type"
    assert bigger.monthly == Decimal("11.01")
    there = replace(
        project(),
        load_balancer=replace(BALANCER, type=project().types["lb21"], services=(service(), *map(tcp, (1, 2)))),
    )
    smaller = plan(there, type="lb11", services=[https(), *_ports(1)])
    assert actions(smaller) == ["service/web:2 delete", "load_balancer/web change_type"]
    assert smaller.monthly == Decimal("-11.01")


def _ports(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "tcp", "listen_port": port} for port in ports]


def test_where_the_location_is_open_the_dearest_price_is_told() -> None:
    made = plan(project(None), **whole(location=None, network_zone="eu-central"))
    assert made.monthly == Decimal("5.99")
    assert body(made.steps[1])["network_zone"] == "eu-central"


def test_moving_takes_its_private_targets_along() -> None:
    moved = whole(network={"name": "other", "address": "10.1.0.9"}, targets=[{"label_selector": "role-app=true"}])
    assert actions(plan(project(), "load_balancer/web", **moved)) == [
        "target/web:app-01 remove",
        "target/web:role-app=true remove",
        "load_balancer/web detach",
        "load_balancer/web attach",
        "target/web:role-app=true add",
    ]


def test_one_that_is_in_no_network_is_attached_without_consent() -> None:
    there = changed(private={}, targets=())
    made = plan(there, network={"name": "net", "address": "10.0.0.9"}, targets=[])
    assert actions(made) == ["load_balancer/web attach"]


@pytest.mark.parametrize(
    "spelled",
    ["role-app=true,env=lab", " env = lab , role-app == true", "env=lab, role-app=true"],
)
def test_a_label_selector_may_be_spelled_otherwise(spelled: str) -> None:
    there = changed(targets=(actual.Target("label_selector", "env=lab,role-app=true", True),))
    assert actions(plan(there, targets=[{"label_selector": spelled}])) == []


def test_a_label_selector_with_choices_is_one() -> None:
    there = changed(targets=(actual.Target("label_selector", "env=lab,role in (app,jobs)", True),))
    assert actions(plan(there, targets=[{"label_selector": "role in ( app, jobs ),env=lab"}])) == []
    other = plan(there, targets=[{"label_selector": "role notin (app,jobs),env=lab"}])
    assert len(actions(other)) == 2


def test_labels_of_the_environment_stay() -> None:
    [step] = plan(project(), labels={"team": "web"}).steps
    assert body(step) == {"labels": {"team": "web"} | ownership("lab")}


def test_absent_deletes_it_and_what_was_uploaded_for_it_alone() -> None:
    ours, others = ownership("lab"), ownership("production")
    there = changed(services=(service((70, 71, 72, 73)),))
    certificates = (
        own_record(70, used_by=(ID,)),
        record(71, "origin", OTHER_PAIR, (ID,), **ours),
        record(72, "shared", OTHER_PAIR, (ID, 5), **ours, **UPLOADED_HERE),
        record(73, "foreign", OTHER_PAIR, (ID,), **others, **UPLOADED_HERE),
        record(74, "unused", OTHER_PAIR, (), **ours),
        own_record(75, OTHER_PAIR),
    )
    made = plan_absent(declare(), replace(there, certificates=certificates))
    assert actions(made) == [
        "load_balancer/web delete",
        f"certificate/{NAME} delete",
        f"certificate/{OTHER_NAME} delete",
    ]
    assert dependencies(made.steps)[1:] == [{0}, {0}]
    assert made.monthly == Decimal("-5.39")
    assert made.steps[0].destructive


def test_absent_of_nothing_deletes_what_a_killed_run_has_left() -> None:
    there = project(None, certificates=(own_record(75), record(76, "origin", OTHER_PAIR, (), **ownership("lab"))))
    assert actions(plan_absent(declare(), there)) == [f"certificate/{NAME} delete"]
