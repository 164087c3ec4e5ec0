"""A server is told by the certificate of its host key, tried with the options that Ansible and people connect with."""

import os
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh import command
from ansible_collections.bulwark.hetzner.plugins.module_utils.ssh_host_authority import VALIDITY, host_certificate

KNOWN_HOSTS = "/root/known"
REFUSED = "Host key verification failed"


def key(name):
    return (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / name).read_text()


def route(authority="authority", **changes):
    return {
        "name": "server",
        "environment": None,
        "address": "127.0.0.1",
        "user": "deployer",
        "host_key_alias": "hcloud-1",
        "known_hosts_file": KNOWN_HOSTS,
        "private_key_file": "/root/alice",
        "control_directory": "/root",
        "jump": None,
        # Type and key, without the comment.
        "host_authorities": [key(f"{authority}.pub").rsplit(" ", 1)[0]],
        "first_contact": False,
        **changes,
    }


@pytest.fixture(autouse=True)
def _nobody_is_known(host):
    # Nor is there a connection to the bastion that was let in before.
    host.check_output(f"rm -f {KNOWN_HOSTS} /root/hcloud-*")


def connect(host, way, *options):
    return host.run(shlex.join(command(way, "deployer", options, "true")))


def pinned(host):
    return host.file(KNOWN_HOSTS).exists


def test_a_controller_that_remembers_nobody_knows_the_server(host):
    answer = connect(host, route())
    assert answer.rc == 0, answer.stderr
    assert not pinned(host)


def test_so_it_does_by_way_of_the_bastion(host):
    answer = connect(host, route(jump=route()), ("ControlPath", "none"))
    assert answer.rc == 0, answer.stderr


def test_of_two_authorities_either_will_do(host):
    both = [*route("stranger")["host_authorities"], *route()["host_authorities"]]
    assert connect(host, route(host_authorities=both)).rc == 0


@pytest.mark.parametrize(
    ("way", "options"),
    [
        pytest.param({"authority": "stranger"}, (), id="another authority"),
        pytest.param({"host_key_alias": "hcloud-2"}, (), id="another server"),
        pytest.param({}, (("HostKeyAlgorithms", "ssh-ed25519"),), id="no certificate"),
    ],
)
def test_an_impostor_is_refused(host, way, options):
    assert REFUSED in connect(host, route(**way), *options).stderr
    assert not pinned(host)


def test_nor_is_one_let_in_on_the_way(host):
    assert REFUSED in connect(host, route(jump=route("stranger")), ("ControlPath", "none")).stderr


def test_a_new_server_is_pinned(host):
    assert connect(host, route(first_contact=True), ("HostKeyAlgorithms", "ssh-ed25519")).rc == 0
    assert pinned(host)


@pytest.fixture
def expired(host):
    """Another sshd, whose certificate ended yesterday."""
    then = datetime.now(UTC) - VALIDITY - timedelta(days=1)
    host_key = host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string
    certificate = host_certificate("", host_key, key("authority"), ["hcloud-1"], now=then).strip()
    host.check_output("mkdir -p /root/expired && echo %s >/root/expired/certificate", certificate)
    host.check_output(
        "sed 's|^HostCertificate.*|HostCertificate /root/expired/certificate|' /etc/ssh/sshd_config.d/00-bulwark.conf"
        " >/root/expired/config && printf 'PidFile /root/expired/pid\\nUsePAM yes\\n' >>/root/expired/config"
    )
    host.check_output("/usr/sbin/sshd -p 2222 -f /root/expired/config")
    yield ("Port", "2222")
    host.check_output('kill "$(cat /root/expired/pid)"')


def test_past_its_end_a_certificate_is_worth_nothing_and_a_pinned_key_is_enough(host, expired):
    assert REFUSED in connect(host, route(), expired).stderr
    line = host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string
    host.check_output(f"echo hcloud-1 %s >{KNOWN_HOSTS}", line)
    answer = connect(host, route(), expired)
    assert answer.rc == 0, answer.stderr
