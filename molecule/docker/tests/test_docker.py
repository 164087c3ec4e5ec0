"""What the daemon does that runs, after a run that was killed before it could restart it (see files/killed.sh)."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

KEY = Path(__file__).parents[3] / "roles/docker/files/docker.asc"
# As the vendor names it in its instructions for Debian and Ubuntu.
FINGERPRINT = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"


def inside(host, words, network="bridge"):
    """What a program prints in a container that has the host's programs (its image is made by files/killed.sh)."""
    return host.check_output(f"docker run --rm --network {network} -v /usr:/usr:ro system {words}")


@pytest.fixture
def network(host):
    host.check_output("docker network create late")
    yield "late"
    host.check_output("docker network rm late")


def test_a_network_made_later_has_the_mtu_and_an_address_from_the_pool(host, network):
    assert inside(host, "cat /sys/class/net/eth0/mtu", network) == "1450"
    (entry,) = json.loads(host.check_output("docker network inspect %s", network))
    assert entry["IPAM"]["Config"][0]["Subnet"].startswith("172.20.")


def test_a_network_is_there_before_anybody_needs_it_with_the_addresses_that_were_declared(host):
    (entry,) = json.loads(host.check_output("docker network inspect early"))
    assert [config["Subnet"] for config in entry["IPAM"]["Config"]] == ["172.29.0.0/24"]
    assert inside(host, "cat /sys/class/net/eth0/mtu", "early") == "1450"


def test_compose_and_buildx_are_there(host):
    host.check_output("docker compose version")
    host.check_output("docker buildx version")


def test_the_container_has_lived_through_the_restart(host):
    (survivor,) = json.loads(host.check_output("docker inspect survivor"))
    assert survivor["State"]["Running"]
    started = host.check_output("date +%%s --date %s", survivor["State"]["StartedAt"])
    assert int(started) <= int(host.file("/root/killed").content_string)
    assert survivor["RestartCount"] == 0


def test_the_daemon_was_restarted_once_and_has_read_everything(host):
    assert host.file("/run/bulwark-docker/daemon.json").content == host.file("/etc/docker/daemon.json").content
    info = json.loads(host.check_output("docker info --format '{{json .}}'"))
    assert info["LiveRestoreEnabled"]
    assert info["LoggingDriver"] == "local"
    assert info["DefaultAddressPools"] == [{"Base": "172.20.0.0/14", "Size": 24}]
    assert host.service("docker").is_enabled


def test_the_default_network_is_as_declared_once_no_container_runs(host):
    host.check_output("docker stop --time 0 survivor")
    host.check_output("systemctl restart docker")
    assert inside(host, "cat /sys/class/net/eth0/mtu") == "1450"
    assert "172.17.0.1/16" in host.check_output("ip -4 -brief address show dev docker0")


def test_the_proof_leaves_nothing(host):
    assert host.check_output("docker ps --all --quiet --filter label=bulwark.proof") == ""
    assert host.check_output("docker images --all --quiet --filter label=bulwark.proof") == ""


def test_only_who_is_declared_may_use_the_socket(host):
    assert host.group("docker").members == ["alice"]
    assert host.file("/run/docker.sock").mode == 0o660
    assert not any("dockerd" in line for line in host.check_output("ss -Hltnp").splitlines())


def test_somebodys_rule_is_still_there(host):
    assert "192.0.2.66" in host.check_output("iptables -S DOCKER-USER")


def test_other_package_sources_for_docker_are_gone(host):
    assert host.file("/etc/apt/sources.list.d").listdir() == ["00-lab.list"]
    assert not host.file("/etc/apt/keyrings/docker.asc").exists


def test_apt_holds_the_engine_to_its_version(host):
    assert "1001" in host.check_output("apt-cache policy docker.io")


def test_the_vendors_key_is_the_vendors_and_the_only_one():
    lines = KEY.read_text().splitlines()
    body = lines[lines.index("") + 1 : next(index for index, line in enumerate(lines) if line.startswith("="))]
    data = base64.b64decode("".join(body))
    tags, first = [], b""
    while data:
        # Old packet format (RFC 4880, 4.2.1): the tag in bits 5 to 2, the length in as many bytes as bits 1 and 0 say.
        assert data[0] & 0xC0 == 0x80
        size = 1 << (data[0] & 3)
        length = int.from_bytes(data[1 : 1 + size], "big")
        tags.append(data[0] >> 2 & 0xF)
        first = first or data[1 + size : 1 + size + length]
        data = data[1 + size + length :]
    assert tags.count(6) == 1, "there is more than one primary key"
    assert tags[0] == 6
    # RFC 4880, 12.2.
    assert hashlib.sha1(b"\x99" + len(first).to_bytes(2, "big") + first).hexdigest().upper() == FINGERPRINT  # noqa: S324 because the standard says so
