"""What is told on which address, by whom, and what the timer measures."""

import re
import time

import pytest

URL = "http://10.0.0.3:9100/metrics"
FOLDER = "/var/lib/bulwark/metrics"


@pytest.fixture(scope="module")
def metrics(host):
    # The timer was started a moment ago.
    host.run(f"timeout 30 sh -c 'until grep -q \"^bulwark_reboot_required 1\" {FOLDER}/host.prom; do sleep 0.3; done'")
    return host.check_output(f"curl -fsS {URL}")


def sample(text, name):
    found = re.search(rf"^{re.escape(name)} (\S+)", text, re.MULTILINE)
    assert found, f"no {name}"
    return float(found[1])


def test_it_listens_on_its_address_and_no_other(host):
    lines = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]
    assert [line for line in lines if line.endswith(":9100")] == ["10.0.0.3:9100"]
    assert host.run("curl -fsS http://192.0.2.3:9100/metrics").rc == 7
    assert host.run("curl -fsS http://127.0.0.1:9100/metrics").rc == 7


def test_it_tells_what_rules_and_dashboards_need(metrics):
    for name in ("node_load5", "node_memory_MemAvailable_bytes", "node_time_seconds"):
        assert sample(metrics, name) >= 0
    assert "node_timex_sync_status" not in metrics, "a container's clock is its machine's"
    assert "node_filesystem_avail_bytes{" in metrics
    assert 'mountpoint="/"' in metrics
    assert 'node_systemd_unit_state{name="ssh.service",state="active"' in metrics
    failed = re.findall(r'^node_scrape_collector_success\{collector="(\w+)"\} 0$', metrics, re.MULTILINE)
    # A kernel may not measure pressure.
    assert set(failed) <= {"pressure"}


def test_it_measures_nothing_that_is_not_named(metrics):
    on = set(re.findall(r'^node_scrape_collector_success\{collector="(\w+)"\}', metrics, re.MULTILINE))
    assert {"textfile", "systemd", "cpu"} <= on
    assert on.isdisjoint({"nfs", "mdadm", "zfs", "ipvs", "arp"})


def test_the_timer_measures_what_it_does_not(metrics):
    assert sample(metrics, "bulwark_reboot_required") == 1
    assert sample(metrics, "bulwark_pending_updates") >= 0
    assert sample(metrics, "bulwark_pending_security_updates") >= 0
    assert sample(metrics, "bulwark_host_metrics_timestamp_seconds") > 1.7e9
    days = (sample(metrics, 'bulwark_certificate_expiry_timestamp_seconds{name="good"}') - time.time()) / 86400
    assert 28 < days <= 30
    assert sample(metrics, 'bulwark_certificate_expiry_timestamp_seconds{name="missing"}') == 0
    assert sample(metrics, "node_textfile_scrape_error") == 0


def test_the_timer_goes_on(host):
    assert host.service("bulwark-host-metrics.timer").is_enabled
    assert host.service("bulwark-host-metrics.timer").is_running
    assert host.check_output("systemctl show -P Result bulwark-host-metrics.service") == "success"


def test_it_starts_with_the_server(host):
    assert host.service("prometheus-node-exporter").is_enabled
    assert host.service("prometheus-node-exporter").is_running
    assert host.check_output("systemctl list-timers --all --plain --no-legend 'prometheus-node-exporter*'") == ""


def test_it_is_nobody_of_weight(host):
    process = host.check_output("systemctl show -P MainPID prometheus-node-exporter")
    status = host.check_output(f"cat /proc/{process}/status")
    assert re.search(r"^Uid:\t(?!0\t)", status, re.MULTILINE)
    assert re.search(r"^Cap(Eff|Bnd):\t0+$", status, re.MULTILINE)
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_it_writes_nowhere(host):
    process = host.check_output("systemctl show -P MainPID prometheus-node-exporter")
    mounts = [line.split() for line in host.check_output(f"cat /proc/{process}/mounts").splitlines()]
    # The last one of a place counts.
    options = {mount[1]: mount[3].split(",") for mount in mounts}
    assert "ro" in options["/"]
    own = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp")  # noqa: S108 because they are its own
    assert [place for place, said in options.items() if "ro" not in said and not place.startswith(own)] == []


def test_it_takes_little_memory(host):
    assert int(host.check_output("systemctl show -P MemoryMax prometheus-node-exporter")) == 64 * 1024 * 1024
    resident = host.check_output("ps -o rss= -p $(systemctl show -P MainPID prometheus-node-exporter)")
    assert int(resident) < 30 * 1024


def test_text_files_hold_nothing_secret_and_are_whole(host):
    assert host.file(FOLDER).mode == 0o755
    assert host.file(FOLDER).user == "root"
    assert host.file(f"{FOLDER}/host.prom").mode == 0o644
    assert host.file(FOLDER).listdir() == ["host.prom"]
    assert host.file(f"{FOLDER}/host.prom").content_string.endswith("\n")
