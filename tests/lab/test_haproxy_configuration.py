"""What HAProxy is told, and how its answers are read. What it does is shown by tests/driver/real_load_balancer.py."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from lab.drivers.base import Certificate, Health, HealthCheck, LoadBalancer, Service
from lab.net import haproxy

CHECK = HealthCheck("http", 81, interval=15, timeout=5, retries=3, domain="www.bulwark.example", path="/up")
SERVICE = Service("http", 80, 8080, proxyprotocol=False, health_check=CHECK)
PAIR = Certificate("-----BEGIN CERTIFICATE-----\nAA==\n", "-----BEGIN PRIVATE KEY-----\nsecret\n")
HTTPS = replace(SERVICE, protocol="https", listen_port=443, certificates=(PAIR,))
MADE = LoadBalancer(
    load_balancer_id=7,
    algorithm="round_robin",
    max_connections=10000,
    public=None,
    private=None,
    services=(SERVICE,),
    targets=("10.0.0.3", "10.0.0.4"),
)


def rendered(*services: Service, **changes: Any) -> list[str]:
    described = replace(MADE, services=services or (SERVICE,), **changes)
    return [line.strip() for line in haproxy.render(described).text.splitlines()]


def checked(**changes: Any) -> list[str]:
    return rendered(replace(SERVICE, health_check=replace(CHECK, **changes)))


def words(lines: list[str], *begin: str) -> list[str]:
    """The one line that begins so."""
    (found,) = [line.split() for line in lines if line.split()[: len(begin)] == list(begin)]
    return found


# --- what is refused --------------------------------------------------------------------------------------------------

INJECTED = "x\n  server evil 203.0.113.1:80\n"


@pytest.mark.parametrize(
    "change",
    [
        {"domain": INJECTED},
        {"domain": "a b"},
        {"domain": "100%"},
        {"domain": "a\\b"},
        {"domain": ""},
        {"domain": "www\r\nX-Other: header"},
        {"path": INJECTED},
        {"path": "/a b"},
        {"path": ""},
        {"path": "/\0"},
        {"path": "/ä"},
        {"status_codes": ("200", "2??'\nserver")},
        {"status_codes": ("(.*)",)},
        {"status_codes": ("",)},
        {"response": "zero\0"},
    ],
    ids=repr,
)
def test_a_health_check_that_no_load_balancer_has_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(haproxy.RefusedError):
        checked(**change)


@pytest.mark.parametrize(
    ("services", "targets"),
    [
        ((replace(SERVICE, cookie=("name; Path=/", 300)),), ("10.0.0.3",)),
        ((replace(SERVICE, cookie=(INJECTED, 300)),), ("10.0.0.3",)),
        ((SERVICE,), (INJECTED,)),
        ((SERVICE,), ("www.bulwark.example",)),
        ((replace(HTTPS, certificates=()),), ()),
        ((replace(HTTPS, redirect_http=True), replace(HTTPS, listen_port=444, redirect_http=True)), ()),
    ],
    ids=["cookie", "cookie-line", "target", "target-name", "no-certificate", "two-redirects"],
)
def test_a_service_that_no_load_balancer_has_is_refused(
    services: tuple[Service, ...], targets: tuple[str, ...]
) -> None:
    with pytest.raises(haproxy.RefusedError):
        rendered(*services, targets=targets)


@pytest.mark.parametrize("response", [INJECTED, 'it\'s "$HOME" \\x41 # %[env(HOME)]', "größer", " "])
def test_whatever_an_answer_must_contain_stays_one_harmless_word(response: str) -> None:
    expected = [line for line in checked(response=response) if line.startswith("http-check expect string")]
    (word,) = [line.removeprefix("http-check expect string ") for line in expected]
    assert re.fullmatch(r'"([A-Za-z0-9._/-]|\\x[0-9a-f]{2})*"', word)
    plain = re.sub(rb"\\x(..)", lambda found: bytes.fromhex(found[1].decode()), word[1:-1].encode())
    assert plain.decode() == response


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_target_is_asked_at_the_port_of_the_check_as_often_as_described() -> None:
    server = words(rendered(), "server", "10.0.0.3")
    assert server[2] == "10.0.0.3:8080"
    assert " ".join(server[3:]) == "check port 81 inter 15s fall 3 rise 3"


@pytest.mark.parametrize(
    ("patterns", "status", "good"),
    [
        (("2??", "3??"), "204", True),
        (("2??", "3??"), "404", False),
        (("2??", "3??"), "2040", False),
        (("200",), "200", True),
        (("4*", "200"), "404", True),
        (("*",), "500", True),
    ],
)
def test_status_codes_are_patterns(patterns: tuple[str, ...], status: str, good: bool) -> None:
    expression = words(checked(status_codes=patterns), "http-check", "expect", "rstatus")[3].strip("'")
    assert bool(re.search(expression, status)) is good


def test_a_check_without_a_domain_has_no_host() -> None:
    assert words(checked(domain=None), "http-check", "send")[-2:] == ["ver", "HTTP/1.0"]
    assert words(checked(), "http-check", "send")[-3:] == ["hdr", "Host", '"www.bulwark.example"']


def test_a_check_by_tls_asks_for_the_domain_and_trusts_anybody() -> None:
    server = " ".join(words(checked(tls=True), "server", "10.0.0.3"))
    assert server.endswith('check-ssl verify none check-sni "www.bulwark.example"')
    assert "check-sni" not in " ".join(words(checked(tls=True, domain=None), "server", "10.0.0.3"))


def test_a_check_of_tcp_only_connects() -> None:
    assert not [line for line in checked(protocol="tcp") if "httpchk" in line or "http-check" in line]


def test_the_proxy_protocol_is_spoken_by_checks_of_the_same_port_only() -> None:
    other = replace(SERVICE, proxyprotocol=True)
    same = replace(other, destination_port=CHECK.port)
    assert "send-proxy" in words(rendered(other), "server", "10.0.0.3")
    assert "check-send-proxy" not in words(rendered(other), "server", "10.0.0.3")
    assert "check-send-proxy" in words(rendered(same), "server", "10.0.0.3")


def test_what_is_of_http_is_not_said_of_tcp() -> None:
    lines = rendered(replace(SERVICE, protocol="tcp"))
    assert "mode tcp" in lines
    assert not [line for line in lines if line.startswith(("http-request", "option forwardfor", "cookie"))]


def test_a_cookie_tells_targets_apart_and_nothing_else() -> None:
    lines = rendered(replace(SERVICE, cookie=("HCLBSTICKY", 300)))
    assert words(lines, "cookie") == ["cookie", '"HCLBSTICKY"', "insert", "indirect", "nocache", "maxlife", "300s"]
    values = [words(lines, "server", target)[4] for target in MADE.targets]
    assert len(set(values)) == 2
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in values)


def test_keys_are_in_files_of_their_own() -> None:
    made = haproxy.render(replace(MADE, services=(HTTPS,)))
    assert "secret" not in made.text
    (name,) = [name for name, content in made.files.items() if "secret" in content]
    assert f" crt {name} " in made.text
    assert made.files[name] == PAIR.certificate + PAIR.private_key


def test_whatever_is_different_has_another_digest() -> None:
    other = Certificate(PAIR.certificate, "-----BEGIN PRIVATE KEY-----\nother\n")
    variants = [
        MADE,
        replace(MADE, targets=()),
        replace(MADE, algorithm="least_connections"),
        replace(MADE, services=(HTTPS,)),
        replace(MADE, services=(replace(HTTPS, certificates=(other,)),)),
        replace(MADE, services=(replace(SERVICE, health_check=replace(CHECK, retries=2)),)),
    ]
    assert len({haproxy.render(variant).digest for variant in variants}) == len(variants)
    assert haproxy.render(MADE) == haproxy.render(replace(MADE))


# --- what is heard ----------------------------------------------------------------------------------------------------

STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state
1 service_80 1 10.0.0.3 10.0.0.3 2 0 1 1 0 15 3 5 6 0
1 service_80 2 10.0.0.4 10.0.0.4 0 0 1 1 0 8 2 0 6 0
1 service_80 3 10.0.0.5 10.0.0.5 2 0 1 1 0 15 3 5 6 0

"""


def test_a_new_process_knows_the_targets_of_the_one_before_and_new_ones_as_unasked() -> None:
    described = replace(MADE, targets=("10.0.0.4", "10.0.0.3", "10.0.0.6"))
    told = haproxy.servers(haproxy.known_targets(described, haproxy.servers(STATE)))
    seen = {
        target: tuple(row[name] for name in ("srv_op_state", "srv_check_status", "srv_check_result", "srv_port"))
        for (_, target), row in told.items()
    }
    assert seen == {
        "10.0.0.3": ("2", "15", "3", "8080"),
        "10.0.0.4": ("0", "8", "2", "8080"),
        "10.0.0.6": ("0", "1", "0", "8080"),
    }


@pytest.mark.parametrize(
    ("check_status", "status", "expected"),
    [
        ("INI", "DOWN", Health.UNKNOWN),
        ("* INI", "DOWN", Health.UNKNOWN),
        ("L7OK", "UP", Health.HEALTHY),
        ("L7STS", "UP 2/3", Health.HEALTHY),
        ("* L4TOUT", "DOWN", Health.UNHEALTHY),
        ("L7OK", "DOWN 1/3", Health.UNHEALTHY),
    ],
)
def test_health_is_what_the_checks_have_come_to(check_status: str, status: str, expected: Health) -> None:
    shown = f"# pxname,svname,status,check_status,\nservice_443,10.0.0.3,{status},{check_status},\n\n"
    assert haproxy.healths(haproxy.statistics(shown)) == {("10.0.0.3", 443): expected}


def test_traffic_is_that_of_all_frontends() -> None:
    shown = (
        "# pxname,svname,bin,bout,req_tot,conn_tot,\n"
        "service_80,FRONTEND,10,20,3,2,\nredirect,FRONTEND,1,2,1,1,\nservice_22,FRONTEND,5,5,,4,\n\n"
    )
    assert haproxy.traffic(haproxy.statistics(shown)) == [7, 4, 16, 27]


def test_workers_are_those_that_accept_and_those_that_end() -> None:
    shown = (
        "#<PID>          <type>          <reloads>       <uptime>        <version>\n"
        "100             master          2 [failed: 1]   0d00h00m01s     2.6.12\n"
        "# workers\n120             worker          0               0d00h00m00s     2.6.12\n"
        "# old workers\n110             worker          1               0d00h00m00s     2.6.12\n# programs\n\n"
    )
    assert haproxy.workers(shown) == [haproxy.Worker(120, old=False), haproxy.Worker(110, old=True)]
    assert haproxy.failures(shown) == 1


def test_of_what_haproxy_says_only_what_is_wrong_is_passed_on() -> None:
    said = (
        "[NOTICE]   (1) : haproxy version is 2.6.12\n"
        "[ALERT]    (1) : config : parsing [haproxy.cfg:28] : no such certificate\n"
        "[ALERT]    (1) : config : Fatal errors found in configuration.\n"
    )
    assert "no such certificate" in haproxy.alerts(said)
    assert "version" not in haproxy.alerts(said)
    assert "exit 1" in haproxy.alerts("haproxy -c: exit 1: ")
