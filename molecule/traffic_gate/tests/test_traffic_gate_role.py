"""What the load balancer, and nobody else, gets of a server whose gate is closed."""


def asked(host, whose, path):
    return host.check_output(f"ip netns exec {whose} curl -s -m 10 -i http://10.0.0.3{path}")


def test_the_load_balancer_gets_the_page_and_its_health_check_succeeds(host):
    said = asked(host, "balancer", "/page")
    assert said.startswith("HTTP/1.1 503")
    assert "Retry-After: 120" in said
    assert "Back soon" in said
    assert "maintenance" in asked(host, "balancer", "/up")
    host.check_output("systemctl stop application")
    assert "maintenance" in asked(host, "balancer", "/up")
    host.check_output(
        "systemd-run --quiet --unit application python3 /root/application.py && "
        "for i in $(seq 50); do curl -s -o /dev/null http://10.0.0.3/up && exit 0; sleep 0.2; done; exit 1"
    )


def test_others_get_the_application(host):
    assert "application /page" in asked(host, "other", "/page")


def test_it_runs_without_rights_and_at_every_boot(host):
    service = host.service("bulwark-gate")
    assert service.is_running
    assert service.is_enabled
    main = host.check_output("systemctl show -P MainPID bulwark-gate")
    status = host.file(f"/proc/{main}/status").content_string
    assert "CapEff:\t0000000000000000" in status
    assert "Uid:\t0\t" not in status
