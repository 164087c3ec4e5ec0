"""What PostgreSQL, Prometheus and sshd are told by the flows."""

from __future__ import annotations

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.environment import FlowError, read_environment
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.services import permit_open, pg_hba, scrape_targets

from tests.unit.flows.builders import STAGING, environment, staging, topology

RAILS = ["rails_production", "rails_production_cache", "rails_production_queue", "rails_production_cable"]


def line(databases: list[str], users: list[str], address: str) -> dict[str, object]:
    return {
        "type": "hostssl",
        "databases": databases,
        "users": users,
        "address": address,
        "method": "scram-sha-256",
    }


def test_who_may_log_in_to_the_database() -> None:
    for host, other in (("db-primary", "10.0.0.7/32"), ("db-replica", "10.0.0.6/32")):
        assert pg_hba(environment(), host) == [
            *(line(RAILS, ["rails_app"], f"10.0.0.{number}/32") for number in (2, 3, 4, 5)),
            line(["replication"], ["replicator"], other),
            line(["postgres"], ["rewind"], other),
            line(["postgres", *RAILS], ["metrics"], "10.0.0.8/32"),
        ]
    assert pg_hba(environment(), "app-01") == []


def test_another_login_gets_in_where_its_user_does() -> None:
    alternates = {"rails_app": "rails_app_alternate"}
    found = pg_hba(environment(), "db-primary", alternates=alternates)
    both = [each for each in found if "rails_app_alternate" in each["users"]]
    assert both == [line(RAILS, [*alternates, *alternates.values()], f"10.0.0.{number}/32") for number in (2, 3, 4, 5)]
    assert [each for each in found if each not in both] == pg_hba(environment(), "db-primary")[4:]


def test_users_of_ones_own() -> None:
    flows = {
        "reports": {"from": "jobs", "to": "db", "ports": [5432, 6432], "users": ["reports", "replicator"]},
        "pooler": {"from": "app", "to": "db", "ports": 6432},
        "postgres": False,
        "postgres-metrics": False,
        "replication": False,
    }
    assert pg_hba(environment(flows=flows), "db-primary") == [
        line(["replication"], ["replicator"], "10.0.0.5/32"),
        line(["all"], ["reports"], "10.0.0.5/32"),
    ]


def test_a_database_on_the_same_server_is_asked_by_its_containers() -> None:
    found = pg_hba(staging(), "staging-01", ["172.30.0.0/24"])
    assert [(each["users"], each["address"]) for each in found] == [
        (["rails_app"], "10.0.0.2/32"),
        (["rails_app"], "172.30.0.0/24"),
        (["metrics"], "10.0.0.2/32"),
        (["metrics"], "172.30.0.0/24"),
    ]
    assert {each["address"] for each in pg_hba(staging(), "staging-01")} == {"10.0.0.2/32"}


def test_no_member_of_a_pair_is_its_own_replica() -> None:
    assert "10.0.0.6/32" not in {each["address"] for each in pg_hba(environment(), "db-primary")}


def test_every_server_is_scraped_the_monitoring_and_the_bastion_too() -> None:
    found = scrape_targets(environment(), "node-metrics")
    assert {target["host"]: target["address"] for target in found} == {
        "bastion-server": "10.0.0.2:9100",
        "app-01": "10.0.0.3:9100",
        "app-02": "10.0.0.4:9100",
        "jobs-01": "10.0.0.5:9100",
        "db-primary": "10.0.0.6:9100",
        "db-replica": "10.0.0.7:9100",
        "monitor-01": "10.0.0.8:9100",
    }
    assert found[0] == {"host": "app-01", "address": "10.0.0.3:9100", "roles": ["app"]}


def test_targets_of_other_flows() -> None:
    metrics = {"app-metrics": {"ports": [9394, 9395]}}
    assert scrape_targets(environment(), "app-metrics") == []
    assert scrape_targets(environment(flows={"tunnels": False}), "tunnels") == []
    assert [target["address"] for target in scrape_targets(environment(flows=metrics), "app-metrics")] == [
        f"10.0.0.{host}:{port}" for host in (3, 4, 5) for port in (9394, 9395)
    ]


def test_a_target_without_private_address() -> None:
    alone = STAGING | {"private_address": None, "public_address": "2001:db8::1"}
    [target] = scrape_targets(read_environment(topology(), [alone]), "node-metrics")
    assert target["address"] == "[2001:db8::1]:9100"


@pytest.mark.parametrize(
    ("flow", "sentence"),
    [
        ("node-metric", "There is no flow 'node-metric': did you mean 'node-metrics'?"),
        ("wild", "There is no flow 'wild': did you mean 'wide'?"),
        ("admin-ping", "The flow admin-ping cannot be scraped"),
        ("wide", "The flow wide cannot be scraped: that takes tcp and single ports."),
    ],
)
def test_flows_that_cannot_be_scraped(flow: str, sentence: str) -> None:
    found = environment(flows={"wide": {"from": "monitoring", "to": "app", "ports": "1-9"}})
    with pytest.raises(FlowError) as error:
        scrape_targets(found, flow)
    assert sentence in str(error.value)


def test_where_the_bastion_forwards_to() -> None:
    found = environment()
    assert sorted(permit_open(found, "bastion-server")) == sorted(
        [
            *(f"10.0.0.{number}:22" for number in range(3, 9)),
            "10.0.0.6:5432",
            "10.0.0.7:5432",
            *(f"10.0.0.8:{port}" for port in (3001, 3100, 9090, 9093)),
        ]
    )
    assert permit_open(environment(servers={"app": {"count": 3}}), "bastion-server").count("10.0.0.103:22") == 1


def test_only_the_bastion_forwards() -> None:
    assert permit_open(environment(), "app-01") == []


def test_ranges_where_sshd_knows_none() -> None:
    flows = {
        "short": {"from": "bastion", "to": "jobs", "ports": "3000-3002"},
        "long": {"from": "bastion", "to": "app", "ports": "3000-4000"},
        "udp": {"from": "bastion", "to": "jobs", "protocol": "udp", "ports": 53},
    }
    found = permit_open(environment(flows=flows), "bastion-server")
    assert {target for target in found if target.startswith("10.0.0.5:")} == {
        "10.0.0.5:22",
        "10.0.0.5:3000",
        "10.0.0.5:3001",
        "10.0.0.5:3002",
    }
    assert {"10.0.0.3:*", "10.0.0.4:*"} <= set(found)


def test_tunnels_to_the_server_itself() -> None:
    found = permit_open(staging(), "staging-01")
    assert {"localhost:3001", "127.0.0.1:3001", "10.0.0.2:3001", "localhost:5432"} <= set(found)
    assert all(target.startswith(("localhost:", "127.0.0.1:", "10.0.0.2:")) for target in found)
