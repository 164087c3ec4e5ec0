"""One public server that is everything, beside the lab's own environment in the same project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launcher import on, recap, status, succeed
from tests.real.database import sql, until
from tests.real.staging import SERVER, Staging
from tests.real.users import get


def things() -> dict[str, Any]:
    """The lab's own environment, as the API tells it; what changes by itself is left out."""
    kinds = ("server", "network", "firewall", "volume", "primary-ip", "placement-group", "load-balancer", "ssh-key")
    each = f"for kind in {' '.join(kinds)}; do hcloud $kind list -l env=lab -o json | tr -d '\\n'; echo; done"
    found = dict(zip(kinds, map(json.loads, succeed("shell", feed=each).splitlines()), strict=True))
    return {kind: [(thing["id"], thing["name"], thing["labels"]) for thing in listed] for kind, listed in found.items()}


def names() -> list[str]:
    return [server["name"] for server in status()["servers"]]


def test_begun_beside_the_lab_it_would_make_its_own_things_and_no_others(tmp_path: Path) -> None:
    before = things()
    staging = Staging(tmp_path)
    said = staging.begin()
    assert "1 x cax21" in said
    assert "server/app-01" in said, "what else is in the project is named"
    planned = staging.run("playbooks/provision.yml", "--check", "--diff")
    assert "bulwark-staging-backups" in planned
    for thing in ("server/staging-01", "network/staging-network", "firewall/staging-firewall", "primary_ip/staging-ip"):
        assert thing in planned, planned
    assert "server/app-01" not in planned
    assert (things(), SERVER in names()) == (before, False)


@pytest.fixture(scope="module")
def staging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staging]:
    """The environment, verified; it is gone afterwards."""
    made = Staging(tmp_path_factory.mktemp("staging"))
    made.begin()
    try:
        verified = made.make()
        assert "failed=0" in verified
        yield made
    finally:
        if SERVER in names():
            made.end()


@pytest.mark.full
def test_it_serves_users_from_the_database_beside_the_application(staging: Staging) -> None:
    (server,) = [server for server in status()["servers"] if server["name"] == SERVER]
    assert get(f"http://{server['public_ip']}/up", "-o", "/dev/null", "-w", "%{http_code}") == "200"
    answer = json.loads(get(f"http://{server['public_ip']}/"))
    assert (answer["server"], answer["written"]["id"]) == (SERVER, answer["read"]["row"]["id"])
    # The application's containers are let in by their own network, which is not the world's.
    assert sql(SERVER, "select count(*) > 0 from pg_stat_activity where client_addr <<= '172.30.0.0/24'") == "t"


@pytest.mark.full
def test_it_is_watched_and_nothing_is_missed(staging: Staging) -> None:
    query = "count(up) - sum(up)"
    asked = f"curl -sfG http://10.0.0.2:9090/api/v1/query --data-urlencode 'query={query}'"

    def all_up() -> bool:
        result = json.loads(on(SERVER, "sh", "-c", asked))["data"]["result"]
        return bool(result) and result[0]["value"][1] == "0"

    until(all_up, "every target of staging answers")
    alerts = json.loads(on(SERVER, "sh", "-c", "curl -sf http://10.0.0.2:9090/api/v1/alerts"))["data"]["alerts"]
    replication = [alert for alert in alerts if "Replication" in alert["labels"]["alertname"]]
    assert replication == [], "there is no replica that could be missed"


@pytest.mark.full
def test_the_database_has_half_of_the_memory_and_a_backup(staging: Staging) -> None:
    assert sql(SERVER, "show shared_buffers") == "1GB"
    asked = "docker exec bulwark-postgres pgbackrest --config=/etc/bulwark/postgres/pgbackrest.conf info"
    assert "full backup" in on(SERVER, "sh", "-c", asked)


@pytest.mark.full
def test_the_second_run_changes_nothing(staging: Staging) -> None:
    assert {host: counts.changed for host, counts in recap(staging.make()).items()} == {"localhost": 0, SERVER: 0}


@pytest.mark.full
@pytest.mark.parametrize("playbook", ["switchover", "failover", "rejoin", "replica_rebuild"])
def test_what_takes_a_replica_is_refused_in_a_sentence(staging: Staging, playbook: str) -> None:
    said = staging.refused(f"playbooks/{playbook}.yml", "-e", "confirm=staging")
    assert f"{SERVER} is the only member of the database" in said


@pytest.mark.full
def test_taken_away_it_leaves_the_lab_as_it_was(staging: Staging) -> None:
    before = things()
    assert "confirm it with -e confirm=staging" in staging.refused("playbooks/destroy.yml", "-e", "confirm=lab")
    staging.end()
    assert things() == before
    assert SERVER not in names()
    assert sum(counts.changed for counts in recap(succeed("run", "playbooks/site.yml")).values()) == 0
