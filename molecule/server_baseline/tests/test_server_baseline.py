"""Who gets in and what for, tried with the OpenSSH client from the server to itself."""

import pytest

LOGIN = "ssh -o BatchMode=yes -o ConnectTimeout=5 -i /root/"


def login(host, who, command="true", options=""):
    return host.run(f"{LOGIN}{who.split()[0]} {options} {who.split()[1]}@127.0.0.1 {command}")


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


def test_a_jump_host_forwards_to_other_hosts_and_lets_nobody_listen_on_it(host):
    # The greeting comes from the sshd behind the jump.
    assert "SSH-2.0" in login(host, "alice deployer", "", "-W 127.0.0.1:22").stdout
    behind = login(host, "alice deployer", "", "-o ExitOnForwardFailure=yes -N -R 9999:127.0.0.1:22")
    assert "remote port forwarding failed" in behind.stderr


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
