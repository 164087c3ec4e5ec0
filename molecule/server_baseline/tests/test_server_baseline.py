"""Who gets in and what for, tried with the OpenSSH client from the server to itself."""

import itertools

import pytest

LOGIN = "ssh -o BatchMode=yes -o ConnectTimeout=5 -i /root/"
#: Each attempt comes from an address of its own, or the refused ones would add up.
ADDRESSES = (f"127.0.1.{number}" for number in itertools.count(1))


def login(host, who, command="true", options="", address=None):
    key, user = who.split()
    return host.run(f"{LOGIN}{key} -b {address or next(ADDRESSES)} {options} {user}@127.0.0.1 {command}")


def test_the_declared_key_opens_the_account_which_may_do_everything(host):
    assert login(host, "alice deployer", "sudo -n id -un").stdout.strip() == "root"


def test_no_other_key_does(host):
    answer = login(host, "mallory deployer")
    assert answer.rc == 255
    assert "Permission denied (publickey)" in answer.stderr


def test_a_key_that_is_not_declared_goes_and_the_declared_stays(host):
    keys = host.file("/home/deployer/.ssh/authorized_keys")
    assert keys.content_string.split() == host.file("/root/alice.pub").content_string.split()
    assert (keys.mode, keys.user) == (0o600, "deployer")


@pytest.mark.parametrize("user", ["root", "deployer"])
def test_no_password_is_asked_for(host, user):
    methods = login(host, f"mallory {user}", options="-o PreferredAuthentications=none").stderr
    assert "(publickey)" in methods


def test_root_is_refused_with_the_very_key_that_opens_the_account(host):
    assert "Permission denied" in login(host, "alice root").stderr


def test_the_account_has_no_password(host):
    assert host.user("deployer").password.startswith("!")


def test_connections_are_forwarded_to_the_declared_targets_only(host):
    # The greeting comes from the sshd behind the jump.
    assert "SSH-2.0" in login(host, "alice deployer", "", "-W 127.0.0.1:22").stdout
    for other in ("127.0.0.2:22", "127.0.0.1:25", "localhost:22"):
        assert "administratively prohibited" in login(host, "alice deployer", "", f"-W {other}").stderr


def test_a_client_opens_the_declared_ports_only_and_on_loopback(host):
    behind = login(host, "alice deployer", "ss -ltnH 'sport = :5555'", "-R 0.0.0.0:5555:127.0.0.1:22").stdout
    assert "127.0.0.1:5555" in behind
    assert "0.0.0.0:5555" not in behind
    refused = login(host, "alice deployer", "", "-o ExitOnForwardFailure=yes -N -R 9999:127.0.0.1:22")
    assert "remote port forwarding failed" in refused.stderr


def test_sshd_passes_the_policy_for_the_distribution(host):
    answer = host.run("PYTHONPATH=/root/ssh-audit.zip python3 /root/audit.py 'Hardened Debian 13 (version 1)'")
    assert answer.rc == 0, answer.stdout


def test_a_few_refused_logins_lock_nobody_out(host):
    for _attempt in range(4):
        assert "Permission denied" in login(host, "mallory deployer", address="127.0.2.1").stderr
    assert login(host, "alice deployer", address="127.0.2.1").rc == 0


def test_who_is_refused_again_and_again_is_locked_out_alone(host):
    answers = [login(host, "mallory deployer", address="127.0.2.2").stderr for _attempt in range(12)]
    assert "Permission denied" in answers[0]
    assert "Permission denied" not in answers[-1]
    assert "Not allowed at this time" in login(host, "alice deployer", options="-v", address="127.0.2.2").stderr
    assert login(host, "alice deployer", address="127.0.2.3").rc == 0


def test_settings_of_the_network_are_running_and_in_the_file(host):
    assert host.sysctl("net.ipv4.conf.all.accept_redirects") == 0
    assert host.sysctl("net.ipv4.conf.default.send_redirects") == 0
    assert host.file("/etc/sysctl.d/60-bulwark.conf").contains("^net.ipv4.tcp_syncookies = 1$")


def test_settings_of_the_machine_are_not_written_from_a_container(host):
    lines = host.file("/etc/sysctl.d/60-bulwark.conf").content_string.splitlines()
    assert {line.split(".")[0] for line in lines if not line.startswith("#")} == {"net"}


def test_only_security_updates_are_installed_by_themselves_and_no_reboot_follows(host):
    settings = host.check_output("apt-config dump Unattended-Upgrade")
    origins = [line.split('"')[1] for line in settings.splitlines() if "::Origins-Pattern::" in line]
    assert origins == [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
        "origin=Ubuntu,archive=${distro_codename}-security,label=Ubuntu",
    ]
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    assert host.service("apt-daily-upgrade.timer").is_enabled


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/sudoers.d/bulwark", 0o440),
        ("/etc/ssh/sshd_config.d/00-bulwark.conf", 0o644),
        ("/etc/ssh/bulwark_host-cert.pub", 0o644),
        ("/etc/apt/apt.conf.d/52bulwark", 0o644),
        ("/etc/sysctl.d/60-bulwark.conf", 0o644),
    ],
)
def test_nobody_but_root_writes_the_files(host, path, mode):
    file = host.file(path)
    assert (file.user, file.group, file.mode) == ("root", "root", mode)


def test_sudo_and_sshd_accept_their_whole_configuration(host):
    host.check_output("visudo -c")
    host.check_output("sshd -t")


def test_what_files_hold_is_not_told_to_the_journal(host):
    journal = host.check_output("journalctl --quiet --no-pager --output=cat")
    assert "Invoked with" in journal, "modules do not log here at all"
    assert "NOPASSWD" not in journal
