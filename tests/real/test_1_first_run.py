"""The main job, end to end: from a topology to servers whose only way out is the bastion."""

from __future__ import annotations

import pytest

from tests.launcher import launcher, on, recap, status, succeed

PRIVATE = ("app-01", "app-02", "jobs-01", "db-primary", "db-replica", "monitor-01")
BASTION = "bastion-server"


def seen_from_outside(host: str) -> str:
    return on(host, "curl", "-4", "-s", "-m", "10", "http://ifconfig.me")


def test_up_lists_what_it_verified(first_up: str) -> None:
    summary = first_up[first_up.index("The embedded cloud is up.") :]
    for host in (*PRIVATE, BASTION):
        assert host in summary
    assert "failed" not in summary.lower()


def test_status_shows_the_declared_servers() -> None:
    servers = {server["name"]: server for server in status()["servers"]}
    assert set(servers) == {*PRIVATE, BASTION}
    assert {server["status"] for server in servers.values()} == {"running"}
    assert [name for name, server in servers.items() if server["public_ip"]] == [BASTION]
    assert servers["db-replica"]["private_ip"] == "10.0.0.7"


@pytest.mark.parametrize("host", PRIVATE)
def test_private_server_goes_out_through_the_bastion(host: str) -> None:
    assert "default via 10.0.0.1 dev enp7s0" in on(host, "ip", "route")
    assert seen_from_outside(host) == status_of(BASTION)["public_ip"]


def status_of(name: str) -> dict[str, str]:
    return next(server for server in status()["servers"] if server["name"] == name)


def test_second_run_changes_nothing() -> None:
    hosts = recap(succeed("run", "playbooks/site.yml"))
    assert set(hosts) >= {*PRIVATE, BASTION}
    assert {
        host: counts for host, counts in hosts.items() if counts.changed or counts.failed or counts.unreachable
    } == {}


@pytest.mark.full  # test_9_drift.py has the same of drift.yml, in every run
def test_check_mode_foresees_nothing() -> None:
    hosts = recap(succeed("run", "playbooks/site.yml", "--check", "--diff"))
    assert sum(counts.changed for counts in hosts.values()) == 0


@pytest.mark.parametrize(
    "tag",
    [
        "server_baseline",
        "edge",
        "monitoring_stack",
        *(pytest.param(tag, marks=pytest.mark.full) for tag in ("bastion_nat", "private_route", "node_exporter")),
    ],
)
def test_each_role_runs_alone(tag: str) -> None:
    hosts = recap(succeed("run", "playbooks/site.yml", "--tags", tag))
    assert hosts
    assert sum(counts.changed + counts.failed for counts in hosts.values()) == 0


def test_people_reach_the_servers_by_name() -> None:
    said = succeed(
        "shell",
        feed="""set -e
folder=$(mktemp -d)
ansible-playbook playbooks/ssh_config.yml -e ssh_config_directory=$folder >/dev/null
ssh -n -F $folder/bulwark-lab app-01 hostname
ssh -n -F $folder/bulwark-lab bastion-server hostname
rm -r $folder
""",
    )
    assert said.splitlines()[-2:] == ["app-01", "bastion-server"]


def test_nothing_answers_a_stranger() -> None:
    """Somebody on the internet who is not among the admin addresses finds not even port 22."""
    address = status_of(BASTION)["public_ip"]
    probe = f"exec 3<>/dev/tcp/{address}/22"
    assert launcher("user", "timeout", "3", "bash", "-c", probe).code != 0
    assert succeed("shell", feed=f"timeout 3 bash -c '{probe}' && echo reached") == "reached"


def test_wrong_token_is_one_sentence() -> None:
    answer = launcher("shell", feed="HCLOUD_TOKEN=wrong ansible-playbook playbooks/provision.yml")
    assert answer.code != 0
    assert "token" in answer.text
    assert "Traceback" not in answer.text
