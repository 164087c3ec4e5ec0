"""Upgrades of servers that are in use: one that takes traffic, all of them, and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.launcher import launcher, on, recap, succeed
from tests.real.database import CLIENT, MEMBERS, other, play, primary, streaming, until, writer
from tests.real.users import asking, healthy

APPS = ("app-01", "app-02")
HOST = "app-02"
#: The same PostgreSQL as under its short name.
IMAGE = ("-e", "postgres_image=registry.bulwark.example/library/postgres")

#: A package in a folder of the server, installed in version 1; version 2 is there as well and asks for a restart.
_OFFER = r"""
set -e
repository=/srv/upgrade-trial
mkdir -p $repository
make() {
  folder=$(mktemp -d)
  mkdir $folder/DEBIAN
  printf 'Package: upgrade-trial\nVersion: %s\nArchitecture: all\nMaintainer: trial\nDescription: to be upgraded\n' \
    "$1" >$folder/DEBIAN/control
  printf '#!/bin/sh\n%s\n' "$2" >$folder/DEBIAN/postinst
  chmod 755 $folder $folder/DEBIAN/postinst
  dpkg-deb --build --root-owner-group $folder $repository/upgrade-trial_$1_all.deb >/dev/null
  rm -r $folder
}
make 1 true
make 2 'touch /run/reboot-required'
dpkg --install $repository/upgrade-trial_1_all.deb
cd $repository
file=upgrade-trial_2_all.deb
{ dpkg-deb --field $file; printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n' $file $(stat -c %s $file) \
  $(sha256sum $file | cut -d' ' -f1); } >Packages
echo "deb [trusted=yes] file:$repository ./" >/etc/apt/sources.list.d/upgrade-trial.list
"""
_TAKE_BACK = """
rm -rf /etc/apt/sources.list.d/upgrade-trial.list /srv/upgrade-trial /run/reboot-required
dpkg --purge upgrade-trial
apt-get update --quiet=2 || true
"""


def booted(host: str) -> str:
    return on(host, "systemctl", "show", "--timestamp=us+utc", "--property=UserspaceTimestamp")


def changed(said: str) -> int:
    return sum(counts.changed for counts in recap(said).values())


@pytest.fixture
def _an_update_waits() -> Iterator[None]:
    until(lambda: healthy(*APPS), "both servers take traffic")
    succeed("exec", HOST, "sh", "-s", feed=_OFFER)
    try:
        yield
    finally:
        succeed("exec", HOST, "sh", "-s", feed=_TAKE_BACK)
        launcher("exec", HOST, "nft", "delete", "table", "inet", "bulwark_drain")
        until(lambda: healthy(*APPS), "both servers take traffic")


@pytest.mark.usefixtures("_an_update_waits")
def test_an_application_server_is_upgraded_and_restarted_and_no_request_is_lost() -> None:
    before = booted(HOST)
    with asking() as requests:
        said = play("upgrade_os", "--limit", HOST, "-e", "load_balancer_target_drain_seconds=5")
    assert requests.failed() == []
    assert booted(HOST) != before
    assert "an update asks for it" in said
    assert on(HOST, "dpkg-query", "-W", "-f", "${Version}", "upgrade-trial") == "2"
    assert healthy(*APPS)
    after = booted(HOST)
    assert changed(play("upgrade_os", "--limit", HOST)) == 0
    assert booted(HOST) == after


@pytest.mark.parametrize("verb", ["upgrade_os", "upgrade_postgres"])
def test_nothing_is_upgraded_without_the_environments_name(verb: str) -> None:
    answer = launcher("run", f"playbooks/{verb}.yml", "-e", "confirm=production")
    assert answer.code != 0
    assert "confirm it with -e confirm=lab" in answer.text
    assert changed(answer.text) == 0


def test_postgresql_that_runs_as_declared_is_left_alone() -> None:
    assert changed(play("upgrade_postgres")) == 0


@pytest.fixture
def _as_before() -> Iterator[None]:
    """The primary where it was, and the image that is declared."""
    was = primary()
    yield
    until(lambda: streaming(primary()), "streaming")
    play("upgrade_postgres")
    if primary() != was:
        play("switchover", "-e", f"member={was}")
    until(lambda: streaming(was) and healthy(*APPS), "all is as before")
    assert changed(succeed("run", "playbooks/site.yml")) == 0


@pytest.mark.full
@pytest.mark.usefixtures("_as_before")
def test_all_servers_are_restarted_one_by_one_while_users_and_clients_go_on() -> None:
    hosts = (*APPS, *MEMBERS, "jobs-01", "monitor-01", "bastion-server")
    before = {host: booted(host) for host in hosts}
    was = primary()
    always = ("-e", "reboot=always", "-e", json.dumps({"system_upgrade_fresh_seconds": 0}))
    with asking() as requests:
        # First the server that the database's client runs on, which would end with it.
        play("upgrade_os", *always, "--limit", CLIENT)
        with writer("upgrades") as client:
            play("upgrade_os", *always, "--limit", f"all:!{CLIENT}")
            client.goes_on()
    assert [host for host in hosts if booted(host) == before[host]] == []
    assert requests.failed() == []
    assert client.report()["lost"] == []
    assert primary() == other(was)
    until(lambda: streaming(primary()), "streaming")
    after = {host: booted(host) for host in hosts}
    assert changed(play("upgrade_os", "-e", "reboot=always")) == 0, "all were booted within the hour"
    assert {host: booted(host) for host in hosts} == after


@pytest.mark.full
@pytest.mark.usefixtures("_as_before")
def test_postgresql_from_another_image_and_no_row_is_lost() -> None:
    was = primary()
    with writer("postgresql") as client:
        play("upgrade_postgres", *IMAGE)
        client.goes_on()
    assert client.report()["lost"] == []
    assert primary() == other(was)
    assert changed(play("upgrade_postgres", *IMAGE)) == 0
