"""A server more is one number in the topology: every rule follows, and so it does when the server goes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.checkout import ROOT
from tests.launcher import on, recap, status, succeed
from tests.real.database import until
from tests.real.test_1_first_run import BASTION, PRIVATE
from tests.real.users import asking, healthy

#: Who is asked says yes, and the users' requests are short.
CONFIRMED = ("-e", "confirm=lab", "-e", "load_balancer_target_drain_seconds=5")
NEW, ADDRESS = "app-03", "10.0.0.103"
#: Whom the flows let app-03 talk to: jobs, databases, logs. And who lets it in: the bastion forwards SSH to it.
TOLD = ("jobs-01", "db-primary", "db-replica", "monitor-01", BASTION)


def topology(tmp_path: Path, servers: int) -> str:
    """The lab's own topology with another number of application servers, as an argument."""
    declared = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/topology.yml").read_text())
    declared["topology"]["servers"] = {"app": {"count": servers}}
    path = tmp_path / f"app-{servers}.json"
    path.write_text(json.dumps(declared))
    return f"@{path}"


def traces(host: str) -> str:
    """Every line about the new server that a host enforces or will enforce after a reboot."""
    return on(
        host,
        "sh",
        "-c",
        "{ nft list ruleset; iptables-save; sshd -T; } 2>/dev/null | grep -F "
        f"{ADDRESS}; grep -rFs {ADDRESS} /etc/ufw /etc/ssh /etc/nftables* /etc/bulwark; true",
    )


@pytest.fixture
def _only_what_is_declared() -> Iterator[None]:
    yield
    if any(server["name"] == NEW for server in status()["servers"]):
        succeed("run", "playbooks/scale.yml", *CONFIRMED)


@pytest.mark.usefixtures("_only_what_is_declared")
def test_an_application_server_more_and_less(tmp_path: Path) -> None:
    three = ("-e", topology(tmp_path, 3))
    assert {host: traces(host) for host in TOLD if traces(host)} == {}
    told = succeed("run", "playbooks/scale.yml", *three)
    assert f"sends nothing yet to {NEW}" in told
    assert "Next: ./bulwark deploy" in told
    # The application comes by other means; until then what proves the rest names the new server, and does not fail.
    verified = succeed("run", "playbooks/verify.yml", *three)
    assert f"not deployed yet on {NEW}" in " ".join(verified.split())
    succeed("deploy")
    until(lambda: healthy("app-01", "app-02", NEW), f"{NEW} takes traffic")
    for host in TOLD:
        assert ADDRESS in traces(host), f"{host} was not told"
    for host in set(PRIVATE) - set(TOLD):
        assert traces(host) == "", f"{host} has no flow from {NEW}"
    succeed("run", "playbooks/verify.yml", *three)
    with asking() as requests:
        succeed("run", "playbooks/scale.yml", *CONFIRMED)
    assert requests.failed() == []
    assert NEW in requests.seen("server"), "it took traffic at first"
    assert NEW not in {server["name"] for server in status()["servers"]}
    assert {host: traces(host) for host in (*PRIVATE, BASTION) if traces(host)} == {}


@pytest.mark.full
def test_scaling_to_what_is_there_changes_nothing() -> None:
    assert sum(counts.changed for counts in recap(succeed("run", "playbooks/scale.yml")).values()) == 0
