"""What the driver is told of load balancers and when, what is seen through it, and what becomes of failures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hcloud.actions import ActionFailedException
from hcloud.load_balancers import BoundLoadBalancer, LoadBalancerService, LoadBalancerServiceHttp, LoadBalancerTarget

from lab.drivers import base
from lab.drivers.base import DriverError, Health, NetworkMember, PrivateNic, Traffic
from lab.drivers.null import NullDriver
from lab.operations.load_balancers.metrics import SERIES, Period, Sample
from lab.state.storage import StateFile
from tests.lab import builders
from tests.lab.builders import TCP, of_ip, of_labels, of_server
from tests.lab.cloud_api import CloudApi, Host, wait
from tests.lab.cloud_api import cloud_api as serve
from tests.lab.pairs import issue

FAILURE = DriverError("the machine room is on fire")


def fresh(balancer: BoundLoadBalancer) -> BoundLoadBalancer:
    return balancer._client.get_by_id(balancer.id)


def described(api: CloudApi) -> base.LoadBalancer:
    """The one load balancer, as the driver was last told."""
    (found,) = api.driver.load_balancers.values()
    return found


def test_it_is_described_whole(null_api: CloudApi) -> None:
    network, pair = builders.network(null_api), issue()
    server = builders.server(null_api, networks=[network])
    http = LoadBalancerServiceHttp(
        certificates=[builders.certificate(null_api, pair=pair)], redirect_http=True, sticky_sessions=True
    )
    balancer = builders.load_balancer(
        null_api,
        network=network,
        services=[
            LoadBalancerService(protocol="https", http=http),
            LoadBalancerService(protocol="http", listen_port=81),
        ],
        targets=[of_server(server), of_ip("10.0.0.77")],
    )
    told = described(null_api)
    assert (told.load_balancer_id, told.algorithm, told.max_connections) == (balancer.id, "round_robin", 10000)
    assert told.public is not None
    assert (told.public.ipv4, told.public.ipv6, told.public.firewall) == ("198.51.100.101", "2001:db8:0:2::/64", None)
    assert told.public.mac.startswith("96:00:00:")
    assert told.private is not None
    assert (told.private.network_id, told.private.ipv4) == (network.id, "10.0.0.3")
    assert told.private.mac.startswith("86:00:00:")
    assert told.targets == ("10.0.0.2", "10.0.0.77")
    https, plain = told.services
    assert https.certificates == (base.Certificate(pair.certificate, pair.private_key),)
    assert (https.redirect_http, https.cookie, https.timeout_idle) == (True, ("HCLBSTICKY", 300), 50)
    assert https.health_check == base.HealthCheck("http", 80, 15, 10, 3)
    assert (plain.protocol, plain.listen_port, plain.cookie, plain.certificates) == ("http", 81, None, ())
    assert null_api.driver.networks[network.id].members == (
        NetworkMember(server.id, PrivateNic(server.private_net[0].mac_address, network.id, "10.0.0.2")),
        NetworkMember(balancer.id, told.private),
    )


def test_the_router_knows_it_before_it_asks_its_targets(null_api: CloudApi) -> None:
    network, balancer = builders.network(null_api), builders.load_balancer(null_api)
    null_api.driver.calls.clear()
    wait(balancer.attach_to_network(network))
    assert null_api.driver.calls == [("sync_network", network.id), ("sync_load_balancer", balancer.id)]
    wait(balancer.detach_from_network(network))
    assert described(null_api).private is None
    assert null_api.driver.networks[network.id].members == ()
    wait(balancer.attach_to_network(network))
    wait(balancer.disable_public_interface())
    assert described(null_api).public is None
    wait(balancer.enable_public_interface())
    null_api.driver.calls.clear()
    wait(balancer.delete().action)
    assert null_api.driver.calls == [("delete_load_balancer", balancer.id), ("sync_network", network.id)]
    assert null_api.driver.load_balancers == {}
    null_api.driver.calls.clear()
    made = builders.load_balancer(null_api, network=network)
    assert null_api.driver.calls == [("sync_network", network.id), ("sync_load_balancer", made.id)]


def test_it_is_told_of_a_wider_network(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    balancer = builders.load_balancer(null_api, network=network)
    null_api.driver.calls.clear()
    wait(network.change_ip_range("10.0.0.0/15"))
    assert null_api.driver.calls == [("sync_network", network.id), ("sync_load_balancer", balancer.id)]


def test_it_follows_its_targets(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    first = builders.server(null_api, "first", networks=[network], labels={"role": "app"})
    second = builders.server(null_api, "second", networks=[network])
    builders.load_balancer(null_api, network=network, targets=[of_labels(), of_server(second)])
    assert described(null_api).targets == ("10.0.0.2", "10.0.0.3")
    second.update(labels={"role": "app"})
    null_api.settle()
    assert described(null_api).targets == ("10.0.0.2", "10.0.0.3"), "each address once"
    first.update(labels={})
    null_api.settle()
    assert described(null_api).targets == ("10.0.0.3",)
    wait(second.detach_from_network(network))
    assert described(null_api).targets == ()
    wait(second.attach_to_network(network, ip="10.0.0.9"))
    assert described(null_api).targets == ("10.0.0.9",)
    third = builders.server(null_api, "third", networks=[network], labels={"role": "app"})
    assert described(null_api).targets == ("10.0.0.9", "10.0.0.3")
    wait(second.delete())
    assert described(null_api).targets == (third.private_net[0].ip,)
    null_api.driver.calls.clear()
    third.update(labels={"role": "app", "other": "label"})
    null_api.settle()
    assert null_api.driver.calls == [], "what changes nothing is not told"


def test_a_target_leaves_before_its_cable_does(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network])
    balancer = builders.load_balancer(null_api, network=network, targets=[of_server(server)])
    null_api.driver.calls.clear()
    wait(server.detach_from_network(network))
    assert null_api.driver.calls == [
        ("sync_load_balancer", balancer.id),
        ("plug", server.id),
        ("sync_network", network.id),
    ]
    assert [target.server.id for target in fresh(balancer).targets] == [server.id]


def test_public_targets_follow_primary_ips(null_api: CloudApi) -> None:
    server = builders.server(null_api)
    balancer = builders.load_balancer(null_api, services=[TCP], targets=[of_server(server, private=False)])
    first = server.public_net.primary_ipv4
    assert described(null_api).targets == (server.public_net.ipv4.ip,)
    wait(server.power_off())
    wait(first.unassign())
    assert described(null_api).targets == ()
    assert fresh(balancer).targets[0].health_status[0].status == "unknown"
    wait(first.assign(server.id, "server"))
    assert described(null_api).targets == (server.public_net.ipv4.ip,)


def test_health_is_what_the_driver_sees(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network], labels={"role": "app"})
    second = LoadBalancerService(protocol="tcp", listen_port=81, destination_port=81)
    targets = [of_server(server), of_labels(), of_ip("10.0.0.77")]
    balancer = builders.load_balancer(null_api, network=network, services=[TCP, second], targets=targets)

    def seen() -> list[dict[int, str]]:
        named, by_labels, by_ip = fresh(balancer).targets
        found: list[LoadBalancerTarget] = [named, *by_labels.targets, by_ip]
        return [{item.listen_port: item.status for item in target.health_status} for target in found]

    unknown = {80: "unknown", 81: "unknown"}
    assert seen() == [unknown, unknown, unknown]
    null_api.driver.health[("10.0.0.2", 80)] = Health.HEALTHY
    null_api.driver.health[("10.0.0.2", 81)] = Health.UNHEALTHY
    half = {80: "healthy", 81: "unhealthy"}
    assert seen() == [half, half, unknown]
    listed = null_api.get("/load_balancers")["load_balancers"][0]["targets"][0]["health_status"]
    assert listed == [{"listen_port": 80, "status": "healthy"}, {"listen_port": 81, "status": "unhealthy"}]
    null_api.driver.failures["load_balancer_status"] = FAILURE
    assert seen() == [unknown, unknown, unknown]
    assert null_api.get("/load_balancers")["load_balancers"][0]["ingoing_traffic"] is None


# Failures


def test_one_that_cannot_be_made_leaves_nothing(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    null_api.driver.failures["sync_load_balancer"] = FAILURE
    with pytest.raises(ActionFailedException, match="on fire"):
        builders.load_balancer(null_api, network=network)
    assert null_api.get("/load_balancers")["load_balancers"] == []
    null_api.driver.failures.clear()
    assert builders.load_balancer(null_api, network=network).private_net[0].ip == "10.0.0.2"


@pytest.mark.parametrize("method", ["sync_load_balancer", "sync_network"])
def test_a_failed_attachment_is_given_up(null_api: CloudApi, method: str) -> None:
    network, balancer = builders.network(null_api), builders.load_balancer(null_api)
    null_api.driver.failures[method] = FAILURE
    with pytest.raises(ActionFailedException):
        wait(balancer.attach_to_network(network, ip="10.0.0.9"))
    assert fresh(balancer).private_net == []
    null_api.driver.failures.clear()
    wait(balancer.attach_to_network(network, ip="10.0.0.9"))


def test_failed_changes_are_taken_back(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network])
    balancer = builders.load_balancer(null_api, network=network, targets=[of_server(server)])
    before = null_api.get(f"/load_balancers/{balancer.id}")
    null_api.driver.failures["sync_load_balancer"] = FAILURE
    for action in (
        lambda: balancer.add_target(of_labels()),
        lambda: balancer.remove_target(of_server(server)),
        balancer.disable_public_interface,
    ):
        with pytest.raises(ActionFailedException):
            wait(action())
    assert null_api.get(f"/load_balancers/{balancer.id}") == before


def test_what_was_half_changed_is_made_as_it_was(null_api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    balancer, driver = builders.load_balancer(null_api), null_api.driver
    before, sync = described(null_api), driver.sync_load_balancer

    def fail_once(load_balancer: base.LoadBalancer) -> None:
        monkeypatch.undo()
        sync(load_balancer)
        raise FAILURE

    monkeypatch.setattr(driver, "sync_load_balancer", fail_once)
    with pytest.raises(ActionFailedException):
        wait(balancer.add_service(TCP))
    assert described(null_api) == before


def test_a_load_balancer_that_does_not_follow_stops_no_server(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    server = builders.server(null_api, networks=[network])
    balancer = builders.load_balancer(null_api, network=network, targets=[of_server(server)])
    null_api.driver.failures["sync_load_balancer"] = FAILURE
    wait(server.delete())
    assert fresh(balancer).targets == []
    assert described(null_api).targets == ("10.0.0.2",)
    null_api.driver.failures.clear()
    builders.server(null_api, "another")
    null_api.settle()
    assert described(null_api).targets == (), "what failed is told with the next change"


def test_one_that_cannot_be_deleted_can_be_deleted_again(null_api: CloudApi) -> None:
    balancer = builders.load_balancer(null_api)
    null_api.driver.failures["delete_load_balancer"] = FAILURE
    with pytest.raises(ActionFailedException):
        wait(balancer.delete().action)
    null_api.driver.failures.clear()
    wait(fresh(balancer).delete().action)


def test_a_fault_takes_a_change_back(null_api: CloudApi) -> None:
    balancer = builders.load_balancer(null_api)
    null_api.order_fault("error", command="add_service", code="action_failed", message="no", times=1)
    with pytest.raises(ActionFailedException):
        wait(balancer.add_service(TCP))
    assert fresh(balancer).services == []


# Restarts


@pytest.fixture
def restarts(host: Host, tmp_path: Path) -> Any:
    """A cloud whose process can end while the real things stay."""
    driver, file = NullDriver(), StateFile(tmp_path / "cloud.json")
    return lambda: serve(host, driver, state_file=file)


def test_everything_is_there_again(restarts: Any) -> None:
    with restarts() as api:
        network = builders.network(api)
        server = builders.server(api, networks=[network], labels={"role": "app"})
        http = LoadBalancerServiceHttp(certificates=[builders.certificate(api)])
        service = LoadBalancerService(protocol="https", http=http)
        targets = [of_server(server), of_labels(), of_ip("10.0.0.77")]
        balancer = builders.load_balancer(api, network=network, services=[service], targets=targets)
        wait(balancer.change_dns_ptr(balancer.public_net.ipv4.ip, "lb.bulwark.example"))
        before = [api.get(f"/{kind}") for kind in ("load_balancers", "certificates", "networks", "servers")]
        told, members = described(api), api.driver.networks[network.id].members
        api.driver.load_balancers.clear()
    with restarts() as api:
        after = [api.get(f"/{kind}") for kind in ("load_balancers", "certificates", "networks", "servers")]
        assert after == before
        assert described(api) == told
        assert api.driver.networks[network.id].members == members


def test_what_is_half_made_or_unknown_goes(restarts: Any) -> None:
    with restarts() as api:
        network = builders.network(api)
        making = builders.load_balancer(api, "making")
        attaching = builders.load_balancer(api, "attaching", network=network)
        api.driver.load_balancers[7] = api.driver.load_balancers[making.id]
        store = api.cloud.store
        store.load_balancers[making.id].available = False
        attachment = store.load_balancers[attaching.id].attachment
        assert attachment is not None
        attachment.connected = False
        api.cloud.save()
    with restarts() as api:
        (left,) = api.client.load_balancers.get_all()
        assert (left.name, left.private_net) == ("attaching", [])
        assert list(api.driver.load_balancers) == [left.id]
        assert api.driver.networks[network.id].members == ()


def test_reset_and_snapshot(null_api: CloudApi) -> None:
    network = builders.network(null_api)
    builders.certificate(null_api)
    builders.load_balancer(null_api, network=network)
    snapshot, told = null_api.manage("GET", "/state"), described(null_api)
    null_api.manage("POST", "/reset", status=204)
    assert null_api.driver.load_balancers == {}
    assert null_api.get("/certificates")["certificates"] == []
    null_api.manage("PUT", "/state", snapshot, status=204)
    assert described(null_api) == told


# Metrics


def sample(time: float, *counters: int) -> Sample:
    return Sample(time, Traffic(*counters))


def values(samples: Sequence[Sample], kind: str, name: str, period: Period) -> list[tuple[float, float]]:
    return SERIES[kind][name](samples, period)


SAMPLES = [
    sample(100, 1, 0, 0, 0, 0),
    sample(110, 4, 20, 100, 1000, 50),
    sample(120, 2, 40, 100, 3000, 50),
    sample(130, 3, 5, 10, 400, 60),  # the process began anew
    sample(140, 0, 15, 60, 900, 160),
]


def test_rates_are_of_what_was_counted() -> None:
    whole = Period(100, 140, 10)
    open_connections = [(100, 1), (110, 4), (120, 2), (130, 3), (140, 0)]
    assert values(SAMPLES, "open_connections", "open_connections", whole) == open_connections
    assert values(SAMPLES, "connections_per_second", "connections_per_second", whole) == [(110, 2), (120, 2), (140, 1)]
    assert values(SAMPLES, "requests_per_second", "requests_per_second", whole) == [(110, 10), (120, 0), (140, 5)]
    assert values(SAMPLES, "bandwidth", "bandwidth.in", whole) == [(110, 100), (120, 200), (140, 50)]


def test_nothing_is_made_up() -> None:
    assert values([], "open_connections", "open_connections", Period(0, 1000, 10)) == []
    assert values(SAMPLES[:1], "bandwidth", "bandwidth.in", Period(0, 1000, 10)) == [], "one sample is no rate"
    assert values(SAMPLES, "bandwidth", "bandwidth.out", Period(200, 300, 10)) == []


def test_one_value_a_step() -> None:
    wide = Period(100, 140, 20)
    assert values(SAMPLES, "open_connections", "open_connections", wide) == [(110, 4), (130, 3), (140, 0)]
    assert values(SAMPLES, "requests_per_second", "requests_per_second", Period(100, 140, 100)) == [(140, 5)]


@pytest.mark.parametrize(("length", "step", "made"), [(3600, None, 18), (60, None, 1), (3600, 60, 60), (3600, 1, 7.2)])
def test_steps(length: float, step: float | None, made: float) -> None:
    assert Period.of(0, length, step).step == pytest.approx(made)


def test_metrics_are_of_the_drivers_counters(null_api: CloudApi) -> None:
    balancer = builders.load_balancer(null_api)
    period = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
    balancer.get_metrics(type="bandwidth", **period)  # looks at the counters, too
    null_api.driver.traffic[balancer.id] = Traffic(3, 10, 20, 3000, 4000)
    null_api._host.run(null_api.cloud.meter.sample(null_api.cloud))
    now = null_api.cloud.store.time()
    start, end = (datetime.fromtimestamp(now + ahead, UTC) for ahead in (-60, 60))
    kinds = ["open_connections", "connections_per_second", "requests_per_second", "bandwidth"]
    found = balancer.get_metrics(type=kinds, start=start, end=end, step=120).metrics.time_series
    assert found["open_connections"]["values"][-1][1] == "3"
    assert all(float(found[name]["values"][-1][1]) > 0 for name in found)
    shown = fresh(balancer)
    assert (shown.ingoing_traffic, shown.outgoing_traffic) == (3000, 4000)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", "type"),
        ("type=cpu&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z", "type"),
        ("type=bandwidth&end=2026-01-02T00:00:00Z", "start"),
        ("type=bandwidth&start=yesterday&end=2026-01-02T00:00:00Z", "start"),
        ("type=bandwidth&start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "end"),
        ("type=bandwidth&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&step=0", "step"),
        ("type=bandwidth&start=2026-01-01T00:00:00Z&end=2026-01-02T00:00:00Z&step=nan", "step"),
    ],
)
def test_metrics_that_cannot_be(null_api: CloudApi, query: str, field: str) -> None:
    balancer = builders.load_balancer(null_api)
    status, error = null_api.refused("GET", f"/load_balancers/{balancer.id}/metrics?{query}")
    assert (status, error["details"]["fields"][0]["name"]) == (422, field)
