"""``topology.flows``: what it adds, replaces and closes, and what it may not say."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.reading import KEYS, parse_flows
from ansible_collections.bulwark.hetzner.plugins.module_utils.flows.table import DEFAULTS, Flow
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.reading import TopologyError
from ansible_collections.bulwark.hetzner.plugins.module_utils.topology.schema import parse
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.flows.builders import topology

#: Whether the role's servers are public, as in the whole architecture.
ROLES = {"bastion": True, "app": False, "jobs": False, "db": False, "monitoring": False}


def flows(entries: object, roles: dict[str, bool] = ROLES) -> dict[str, Flow]:
    return {flow.name: flow for flow in parse_flows(entries, roles)}


def ports(flow: Flow) -> list[str]:
    return [str(port) for port in flow.ports]


def test_without_entries_the_table_stands_but_for_what_waits_for_its_ports() -> None:
    assert list(flows({})) == [name for name in DEFAULTS if name != "app-metrics"]
    assert parse(topology()).flows == parse_flows({}, ROLES)


def test_every_flow_of_the_table_passes_its_own_checks() -> None:
    entries = {
        name: {
            "from": list(flow.from_),
            "to": list(flow.to),
            "protocol": flow.protocol,
            "ports": ports(flow) or None,
            "users": list(flow.users),
            "databases": list(flow.databases),
            "why": flow.why,
        }
        for name, flow in DEFAULTS.items()
        if flow.enabled
    }
    assert flows(entries) == flows({})


def test_a_flow_is_added_after_those_of_the_table() -> None:
    entry = {"from": "bastion", "to": ["app", "jobs"], "ports": [3000, "4000-4010", "80"], "why": "trial"}
    found = flows({"trial": entry})
    assert list(found)[-1] == "trial"
    trial = found["trial"]
    assert (trial.from_, trial.to, trial.protocol) == (("bastion",), ("app", "jobs"), "tcp")
    assert ports(trial) == ["3000", "4000-4010", "80"]


def test_the_metrics_of_the_application_are_one_line() -> None:
    found = flows({"app-metrics": {"ports": 9394}})
    assert list(found) == list(DEFAULTS)
    assert (found["app-metrics"].from_, found["app-metrics"].to) == (("monitoring",), ("app", "jobs"))


def test_an_entry_keeps_what_it_leaves_out() -> None:
    found = flows({"postgres": {"users": ["rails_app", "reports"]}, "tunnels": {"ports": 9090}})
    assert found["postgres"].users == ("rails_app", "reports")
    assert found["postgres"].from_ == DEFAULTS["postgres"].from_
    assert found["postgres"].databases == DEFAULTS["postgres"].databases
    assert ports(found["tunnels"]) == ["9090"]
    assert list(found) == list(flows({})), "a changed flow stays in its place"


def test_ports_go_with_their_protocol() -> None:
    assert flows({"tunnels": {"protocol": "icmp"}})["tunnels"].ports == ()
    with pytest.raises(TopologyError, match=r"tunnels\.ports is missing"):
        flows({"tunnels": {"protocol": "udp"}})


def test_false_closes() -> None:
    assert set(flows({})) - set(flows({"tunnels": False, "app-metrics": False})) == {"tunnels"}


def test_ways_into_public_servers() -> None:
    assert "web" in flows({"web-direct": {"from": "internet", "to": "bastion", "ports": 443}})
    everything = dict.fromkeys(ROLES, True)
    assert flows({"direct": {"from": "internet", "to": ["app", "servers"], "ports": 443}}, everything)["direct"]


@pytest.mark.parametrize(
    "entries",
    [
        {"admin-ssh": False, "anybody": {"from": "internet", "to": "bastion", "ports": "20-30"}},
        {"jump-host": False, "inside": {"from": "servers", "to": ["app", "jobs", "db", "monitoring"], "ports": 22}},
        {"jump-host": {"from": "bastion", "to": "servers", "ports": 22}},
    ],
)
def test_another_way_for_ssh_will_do(entries: dict[str, Any]) -> None:
    assert flows(entries)


def new(**entry: Any) -> dict[str, Any]:
    return {"trial": {"from": "app", "to": "jobs", "ports": 80, **entry}}


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([], "topology.flows must be a mapping"),
        ({"tunels": False}, "topology.flows.tunels closes a flow that is not there: did you mean 'tunnels'?"),
        ({"Trial 1": {}}, "topology.flows: 'Trial 1' cannot be the name of a flow"),
        ({"x" * 41: {}}, "cannot be the name of a flow"),
        ({"tunnels": None}, "topology.flows.tunnels must be a mapping with from, to,"),
        ({"tunnels": True}, "topology.flows.tunnels must be a mapping with from, to,"),
        ({"tunnels": "false"}, "or false to close it."),
        ({"tunnels": {"port": 1}}, "topology.flows.tunnels has an unknown key 'port': did you mean 'ports'?"),
        (
            {"app-metric": {"ports": 9394}},
            "app-metric.from is missing; if it is not to be a new flow: did you mean 'app-m",
        ),
        ({"trial": {"from": "app", "ports": 1}}, "topology.flows.trial.to is missing"),
        (new(ports=None), "topology.flows.trial.ports is missing"),
        ({"app-metrics": {"why": "none"}}, "topology.flows.app-metrics.ports is missing"),
        (new(to="monitor"), "topology.flows.trial.to: there is no 'monitor': did you mean 'monitoring'?"),
        (new(**{"from": ["app", 3]}), "topology.flows.trial.from: there is no 3"),
        (new(**{"from": []}), "topology.flows.trial.from is empty"),
        (new(**{"from": ["app", "app"]}), "topology.flows.trial.from names app twice."),
        (new(protocol="tpc"), "topology.flows.trial.protocol: there is no 'tpc': did you mean 'tcp'?"),
        (new(protocol=6), "topology.flows.trial.protocol must be a text, not a number."),
        (new(ports=[]), "topology.flows.trial.ports is empty"),
        (new(ports=0), "topology.flows.trial.ports: 0 is out of range: ports go from 1 to 65535."),
        (new(ports="1-65536"), "1-65536 is out of range"),
        (new(ports=-5), "topology.flows.trial.ports: -5 is no port such as 22"),
        (new(ports=True), "True is no port such as 22"),
        (new(ports=22.5), "22.5 is no port such as 22"),
        (new(ports="http"), "'http' is no port such as 22 and no range such as 3000-3010."),
        (new(ports="٢٢"), "is no port such as 22"),
        (new(ports="3010-3000"), "3010-3000 is the wrong way round: write 3000-3010."),
        (new(ports=[80, "80"]), "topology.flows.trial.ports names 80 twice."),
        (new(ports=[85, "80-90"]), "topology.flows.trial.ports: 80-90 and 85 overlap"),
        (new(protocol="icmp"), "topology.flows.trial.ports: icmp has no ports"),
        ({"internet": {"ports": 443}}, "topology.flows.internet.ports: any has no ports"),
        (new(protocol="any", ports=None), "topology.flows.trial.protocol: any is for flows to the internet only"),
        (new(users=["reports"]), "topology.flows.trial.users: users log in to the database"),
        (new(to=["db", "jobs"], ports=5432, users="reports"), "users log in to the database"),
        (new(to="db", ports=5432, protocol="udp", users="reports"), "users log in to the database"),
        (new(to="db", ports=5432), "topology.flows.trial.users is missing"),
        ({"postgres": {"users": []}}, "topology.flows.postgres.databases: name the users"),
        (new(to="db", ports=5432, users=["a", "a"]), "topology.flows.trial.users names a twice."),
        (new(to="db", ports=5432, users="all"), "topology.flows.trial.users: all cannot come over the network"),
        (new(to="db", ports=5432, users="postgres"), "postgres cannot come over the network"),
        (new(to="db", ports=5432, users="+admins"), "'+admins' is no name of PostgreSQL's"),
        (new(to="db", ports=5432, users="a", databases="a b"), "topology.flows.trial.databases: 'a b' is no name"),
        (new(databases="a"), "topology.flows.trial.databases: name the users"),
        (new(**{"from": "admin"}), "topology.flows.trial: there is no way from admin to jobs"),
        (new(**{"from": ["app", "internet"]}), "there is no way from internet to jobs"),
        (new(**{"from": "admin", "to": "servers"}), "there is no way from admin to servers"),
        (new(**{"from": "admin", "to": ["bastion", "private_servers"]}), "no way from admin to private_servers"),
        (new(to="admin"), "topology.flows.trial.to: nobody opens connections to admin"),
        (new(to=["internet", "jobs"]), "topology.flows.trial.to: internet needs a flow of its own"),
        (new(to=["load_balancer", "jobs"]), "topology.flows.trial.to: load_balancer needs a flow of its own"),
        (new(to="load_balancer"), "topology.flows.trial.from: app is no origin for the load balancer"),
        (new(**{"from": "bastion", "to": "internet"}), "bastion does not go to the internet through the bastion"),
        (
            new(**{"from": ["app", "servers"], "to": "internet"}),
            "servers does not go to the internet through the bastion",
        ),
        (new(**{"from": "load_balancer", "to": "internet"}), "load_balancer does not go to the internet"),
        ({"admin-ssh": False}, "topology.flows: no flow leads from admin to the bastion on port 22 any more"),
        ({"admin-ssh": {"ports": 2222}}, "keep admin-ssh."),
        ({"jump-host": False}, "topology.flows: no flow leads from the bastion to app on port 22 any more"),
        ({"jump-host": {"to": ["app", "jobs", "db"]}}, "from the bastion to monitoring on port 22"),
    ],
)
def test_mistakes_are_one_sentence_each(entries: object, sentence: str) -> None:
    with pytest.raises(TopologyError) as error:
        flows(entries)
    assert sentence in str(error.value)
    assert str(error.value).count("\n") == 0


_ENDS = st.sampled_from([*ROLES, "servers", "private_servers", "admin", "internet", "load_balancer", "web", ""])
_PORTS = st.one_of(st.integers(-1, 70000), st.sampled_from(["1-9", "9-1", "x", "5432", None, True, 1.5]))
_VALUES = st.one_of(_ENDS, _PORTS, st.lists(st.one_of(_ENDS, _PORTS), max_size=3))


@given(
    entries=st.dictionaries(
        st.one_of(st.sampled_from(list(DEFAULTS)), st.text(max_size=5)),
        st.one_of(st.booleans(), st.none(), st.dictionaries(st.sampled_from(KEYS), _VALUES, max_size=6)),
        max_size=3,
    )
)
def test_whatever_is_written_is_read_or_refused(entries: dict[str, Any]) -> None:
    try:
        found = flows(entries)
    except TopologyError:
        return
    assert all(flow.from_ and flow.to for flow in found.values())
    assert any(flow.opens(22) and flow.to == ("bastion",) for flow in found.values())
