"""What HAProxy does as a load balancer. Run by test_load_balancer.py in a world of its own, or by hand as that does."""

from __future__ import annotations

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import settings
from lab.command import CommandError
from lab.containers import certificates
from lab.drivers.base import Certificate, Health, HealthCheck
from lab.drivers.docker import load_balancers
from lab.net import haproxy, load_balancer, namespaces, router
from tests.driver import load_balancing
from tests.driver.load_balancing import (
    CHECK,
    LOAD_BALANCER,
    PATIENCE_SECONDS,
    SERVICE,
    World,
    ask,
    ask_once,
    asking,
    connect,
    until,
)

NAME = "www.bulwark.example"


@pytest.fixture(scope="module")
def made() -> Iterator[World]:
    assert settings.PREFIX != "bulwark", "these tests must not touch a lab that is up: set BULWARK_PREFIX"
    made = World()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """Three targets, and no load balancer yet."""
    yield made
    made.reset()


@pytest.fixture
def running(world: World) -> World:
    """A load balancer with two healthy targets."""
    world.make()
    world.healthy()
    return world


def certificate(folder: Path, *names: str) -> Certificate:
    return Certificate(*(path.read_text() for path in certificates.issue(names, folder)))


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.authority(folder)[0]))


def shown(folder: Path, name: str = NAME) -> str:
    """The name a certificate was made out to first, as somebody sees it who asks for ``name``."""
    context = trusting(folder)
    context.check_hostname = False
    with connect(443, trusting=context, name=name) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        seen = connection.getpeercert()
        assert seen
        return str(dict(part[0] for part in seen["subject"])["commonName"])  # type: ignore[misc]  # because ssl types it loosely


def go_on(asked: load_balancing.Asked, what: str) -> None:
    """Wait for further requests that are answered."""
    before = asked.answers.total()
    until(lambda: asked.answers.total() > before + 50, what)


def answers() -> bool:
    """Whether somebody who asks once is answered."""
    try:
        return ask_once().status == 200
    except OSError:
        return False


# --- health -----------------------------------------------------------------------------------------------------------


def test_a_new_target_is_unknown_and_idle_until_its_first_good_answer(world: World) -> None:
    first, second = world.targets[:2]
    first.silent = second.silent = True
    patient = replace(CHECK, interval=20, timeout=20, retries=3)
    world.make(services=(replace(SERVICE, health_check=patient),))
    until(lambda: bool(first.checked and second.checked), "a first check, long before the interval is over")
    assert world.health() == [Health.UNKNOWN, Health.UNKNOWN]
    assert ask_once().status == 503
    first.silent = False
    # By its first answer, though one that was unhealthy would need three.
    until(lambda: world.health() == [Health.HEALTHY, Health.UNKNOWN], "the first target in use")
    assert {ask_once().body for _ in range(6)} == {first.address}
    assert len(first.checked) == 1
    second.silent = False


def test_targets_keep_what_is_known_of_them_over_a_change(running: World) -> None:
    first, second, third = running.targets
    second.status = 500
    until(lambda: running.health() == [Health.HEALTHY, Health.UNHEALTHY], "the second target out")
    third.silent = True
    with asking() as asked:
        running.make(targets=(first.address, second.address, third.address))
        assert running.health() == [Health.HEALTHY, Health.UNHEALTHY, Health.UNKNOWN]
        until(lambda: bool(third.checked), "the third target is asked")
        third.silent = False
        until(lambda: running.health()[2] is Health.HEALTHY, "the third target in use")
        until(lambda: asked.answers[third.address] > 10, "requests to the third target")
    assert not asked.failures
    assert set(asked.answers) == {first.address, third.address}


def test_a_failing_target_gets_nothing_and_comes_back_after_as_many_good_answers(running: World) -> None:
    first, second = running.targets[:2]
    with asking() as asked:
        until(lambda: asked.answers[first.address] > 10, "requests to both")
        # Checks fail before it does: as when it is taken out on purpose.
        first.status = 503
        until(lambda: running.health() == [Health.UNHEALTHY, Health.HEALTHY], "the first target out")
        out = len(first.checked)
        before, others = asked.answers[first.address], asked.answers[second.address]
        until(lambda: asked.answers[second.address] > others + 50, "requests to the other one")
        assert asked.answers[first.address] <= before + 2, "those under way"
        begun = len(first.checked)
        first.status = 200
        until(lambda: running.health() == [Health.HEALTHY, Health.HEALTHY], "the first target back")
        assert len(first.checked) - begun >= CHECK.retries
        until(lambda: asked.answers[first.address] > before + 10, "requests to it again")
    assert out >= CHECK.retries
    assert not asked.failures


def test_a_target_that_ends_without_warning_fails_none_once_it_is_out(running: World) -> None:
    first, second = running.targets[:2]
    first.refuse()
    until(lambda: running.health() == [Health.UNHEALTHY, Health.HEALTHY], "the first target out")
    with asking() as asked:
        until(lambda: asked.answers[second.address] > 50, "requests")
    assert not asked.failures
    assert ask_once().status == 200
    second.refuse()
    until(lambda: ask_once().status == 503, "nobody left")


def test_a_request_that_a_target_refuses_is_answered_at_once_and_not_given_to_another(world: World) -> None:
    first = world.targets[0]
    patient = replace(CHECK, interval=60)
    world.make(services=(replace(SERVICE, health_check=patient),))
    world.healthy()
    first.refuse()
    assert sorted(ask_once().status for _ in range(4)) == [200, 200, 503, 503]


def test_a_target_that_says_nothing_is_found_out_in_the_time_promised(world: World) -> None:
    """Three checks of two seconds each, one every two: the third begins after four seconds and fails after six.

    HAProxy by itself would begin the third one after eight.
    """
    slow = HealthCheck("http", 80, interval=2, timeout=2, retries=3, path="/up")
    world.make(services=(replace(SERVICE, health_check=slow),))
    world.healthy()
    first = world.targets[0]
    known = len(first.checked) + 1
    until(lambda: len(first.checked) == known, "the last check that is answered")
    first.silent = True
    until(lambda: world.health()[0] is Health.UNHEALTHY, "the first target out")
    assert len(first.checked) - known == slow.retries - 1
    first.silent = False


@pytest.mark.parametrize(
    ("change", "answer", "expected"),
    [
        ({"status_codes": ("2??",)}, 302, Health.UNHEALTHY),
        ({"status_codes": ("2??", "302")}, 302, Health.HEALTHY),
        ({"status_codes": ("3*",)}, 200, Health.UNHEALTHY),
        ({"response": 'all "is" $well # 100% \\x20\n'}, 200, Health.HEALTHY),
        ({"response": "all is lost"}, 200, Health.UNHEALTHY),
        ({"protocol": "tcp"}, 500, Health.HEALTHY),
        ({"protocol": "tcp", "port": 81}, 200, Health.UNHEALTHY),
    ],
    ids=["status", "two-patterns", "star", "response", "other-response", "tcp", "closed-port"],
)
def test_what_a_good_answer_is(world: World, change: dict[str, object], answer: int, expected: Health) -> None:
    for target in world.targets:
        target.status, target.body = answer, 'it says: all "is" $well # 100% \\x20\nand so on'
    check = replace(CHECK, **change)  # type: ignore[arg-type]  # because cases name any field
    world.make(services=(replace(SERVICE, health_check=check),))
    until(lambda: set(world.health()) == {expected}, expected.value)


@pytest.mark.parametrize("domain", [None, NAME])
def test_a_health_check_names_the_domain_or_none(world: World, domain: str | None) -> None:
    world.make(services=(replace(SERVICE, health_check=replace(CHECK, domain=domain, path="/up?a=%20b")),))
    checked = world.targets[0].checked
    until(lambda: bool(checked), "a check")
    assert checked[0].line == f"GET /up?a=%20b HTTP/1.{1 if domain else 0}"
    assert checked[0].header("host") == ([domain] if domain else [])


@pytest.mark.parametrize(("tls", "expected"), [(True, Health.HEALTHY), (False, Health.UNHEALTHY)])
def test_a_health_check_may_use_tls(world: World, tmp_path: Path, tls: bool, expected: Health) -> None:
    """Of a certificate that nobody trusts, as the one of an application often is."""
    for target in world.targets:
        target.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        target.tls.load_cert_chain(*certificates.issue(["other.example"], tmp_path))
    passed_on = replace(SERVICE, protocol="tcp", listen_port=443, health_check=replace(CHECK, tls=tls))
    world.make(services=(passed_on,))
    until(lambda: set(world.health(443)) == {expected}, expected.value)
    if tls:
        assert shown(tmp_path) == "other.example"


# --- changes ----------------------------------------------------------------------------------------------------------


def test_no_change_fails_a_request(running: World, tmp_path: Path) -> None:
    first, second, third = (target.address for target in running.targets)
    https = replace(SERVICE, protocol="https", listen_port=443, certificates=(certificate(tmp_path, NAME),))
    changes: list[dict[str, object]] = [
        {"services": (SERVICE, https)},
        {"services": (SERVICE, replace(https, certificates=(certificate(tmp_path, "second.example", NAME),)))},
        {"services": (replace(SERVICE, timeout_idle=60, cookie=("STICKY", 300)),)},
        {"services": (replace(SERVICE, health_check=replace(CHECK, interval=2, path="/up?again")),)},
        {"algorithm": "least_connections", "max_connections": 500},
        {"targets": (first, second, third)},
        {"targets": (third, second, first)},
    ]
    with asking() as asked:
        for change in changes:
            running.make(**change)
            go_on(asked, "requests after a change")
            running.healthy()
        # A planned removal; without the plan, what is under way is cut.
        running.targets[0].status = 503
        until(lambda: Health.UNHEALTHY in running.health(), "the target out")
        running.make(targets=(third, second))
        go_on(asked, "requests after the removal")
    assert not asked.failures
    assert set(asked.answers) == {first, second, third}


def test_a_connection_to_a_removed_target_is_cut_and_others_live_on(running: World) -> None:
    first, second = running.targets[:2]
    first.busy = second.busy = True
    connections = [connect() for _ in range(4)]
    for connection in connections:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
    until(lambda: len(first.asked) == len(second.asked) == 2, "two requests to each")
    # So that connections are in two processes.
    running.make(algorithm="least_connections")
    late = [connect() for _ in range(2)]
    for connection in late:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
    until(lambda: len(first.asked) == len(second.asked) == 3, "one more to each")
    running.make(targets=(second.address,))
    second.busy = False
    answers = [connection.recv(65536) for connection in connections + late]
    assert (
        sorted(answer.split(b"\r\n")[0] for answer in answers if second.address.encode() in answer)
        == [b"HTTP/1.1 200 It Is"] * 3
    )
    # The others end before their target has said anything: with an error of the load balancer's, or none.
    assert [answer for answer in answers if first.address.encode() in answer] == []
    assert len(answers) == 6
    first.busy = False


def test_a_connection_of_tcp_to_a_removed_target_is_cut_and_others_live_on(world: World) -> None:
    tcp = replace(SERVICE, protocol="tcp", health_check=replace(CHECK, protocol="tcp"))
    world.make(services=(tcp,))
    world.healthy()
    connections = [connect() for _ in range(2)]
    until(lambda: load_balancers.status(LOAD_BALANCER).traffic.open_connections == 2, "both accepted")
    world.make(targets=(world.targets[1].address,))
    ended = []
    for connection in connections:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            ended.append(connection.recv(65536))
        except (BrokenPipeError, ConnectionResetError):
            ended.append(b"")
    assert sorted(len(answer) > 0 for answer in ended) == [False, True]
    assert world.targets[1].address.encode() in max(ended, key=len)


def test_what_haproxy_refuses_changes_nothing(running: World, tmp_path: Path) -> None:
    one, other = certificate(tmp_path, NAME), certificate(tmp_path, "other.example")
    mixed = Certificate(one.certificate, other.private_key)
    https = replace(SERVICE, protocol="https", listen_port=443, certificates=(mixed,))
    described = running.described
    with asking() as asked:
        with pytest.raises(CommandError, match=r"inconsistencies between private key and certificate|key"):
            running.make(services=(SERVICE, https))
        with pytest.raises(haproxy.RefusedError):
            running.make(services=(replace(SERVICE, health_check=replace(CHECK, domain="a\r\nb")),))
        until(lambda: asked.answers.total() > 50, "requests")
    assert not asked.failures
    running.described = described
    assert running.health() == [Health.HEALTHY, Health.HEALTHY]
    assert not list((load_balancer.folder(LOAD_BALANCER) / haproxy.CERTIFICATES).glob("*"))


def test_a_change_that_fails_leaves_what_runs_and_can_be_repeated(running: World) -> None:
    more = (SERVICE, replace(SERVICE, listen_port=8080))
    in_the_way = namespaces.inside(load_balancers.name(LOAD_BALANCER), lambda: socket.create_server(("", 8080)))
    for _ in range(2):
        with pytest.raises(CommandError, match="8080"):
            running.make(services=more)
        # HAProxy lets go of its ports while it tries, so not every request of that moment is answered.
        until(answers, "an answer")
    in_the_way.close()
    running.make(services=more)
    running.healthy(8080)
    assert ask_once(port=8080).status == 200


def test_services_come_and_go(running: World) -> None:
    running.make(services=())
    with pytest.raises(ConnectionRefusedError):
        connect()
    assert load_balancers.status(LOAD_BALANCER).health == {}
    running.make(services=(SERVICE,))
    running.healthy()
    assert ask_once().status == 200


def test_making_it_again_changes_nothing(running: World) -> None:
    before = namespaces.processes(load_balancers.name(LOAD_BALANCER))
    connection = connect()
    assert ask(connection).status == 200
    running.make()
    assert ask(connection).status == 200
    assert namespaces.processes(load_balancers.name(LOAD_BALANCER)) == before


def test_it_is_started_again_when_it_has_ended(running: World) -> None:
    master = load_balancer.pid(LOAD_BALANCER)
    assert master
    os.kill(master, signal.SIGKILL)
    until(lambda: load_balancer.pid(LOAD_BALANCER) is None, "the end of the process")
    with pytest.raises(CommandError):
        load_balancers.status(LOAD_BALANCER)
    running.make()
    running.healthy()
    assert ask_once().status == 200


def test_it_is_removed_with_all_it_had_as_often_as_one_likes(running: World) -> None:
    assert load_balancers.present() == {LOAD_BALANCER}
    for _ in range(2):
        load_balancers.delete(LOAD_BALANCER)
        assert load_balancers.present() == frozenset()
        assert not load_balancer.folder(LOAD_BALANCER).exists()
        assert router.link(LOAD_BALANCER) not in namespaces.links(router.name(load_balancing.NETWORK))


def test_its_interfaces_come_and_go(running: World) -> None:
    public, private = running.described.public, running.described.private
    running.make(public=None)
    with pytest.raises(OSError, match=r"unreachable|timed out|No route"):
        connect()
    inside = running.targets[2].namespace
    reached = namespaces.inside(inside, lambda: socket.create_connection((load_balancing.ADDRESS, 80), 5))
    with reached:
        assert ask(reached).status == 200
    running.make(public=public, private=None, targets=())
    assert ask_once().status == 503
    assert router.link(LOAD_BALANCER) not in namespaces.links(router.name(load_balancing.NETWORK))
    running.make(private=private, targets=(running.targets[0].address,))
    running.healthy()
    assert ask_once(address="2001:db8:0:9::1").status == 200


def test_what_went_through_is_counted_over_changes(running: World) -> None:
    seen = []
    for number in range(3):
        for _ in range(5):
            assert ask_once().status == 200
        running.make(max_connections=500 + number)
        seen.append(load_balancers.status(LOAD_BALANCER).traffic)
    assert [traffic.requests for traffic in seen] == [5, 10, 15]
    assert [traffic.connections for traffic in seen] == [5, 10, 15]
    assert 0 < seen[0].bytes_in < seen[1].bytes_in < seen[2].bytes_in
    assert 0 < seen[0].bytes_out < seen[1].bytes_out < seen[2].bytes_out
    with connect() as connection:
        ask(connection)
        until(lambda: load_balancers.status(LOAD_BALANCER).traffic.open_connections == 1, "the others closed")


# --- services ---------------------------------------------------------------------------------------------------------


def test_certificates_are_chosen_by_name_and_replaced_without_a_gap(running: World, tmp_path: Path) -> None:
    one, other = certificate(tmp_path, "one.example", NAME), certificate(tmp_path, "other.example")
    https = replace(SERVICE, protocol="https", listen_port=443, certificates=(one, other))
    running.make(services=(https,))
    running.healthy(443)
    assert [shown(tmp_path, name) for name in (NAME, "other.example", "unknown.example")] == [
        "one.example",
        "other.example",
        "one.example",
    ]
    context = trusting(tmp_path)
    with asking(lambda: connect(443, trusting=context, name=NAME)) as asked:
        for replacement in ("two.example", "three.example"):
            running.make(services=(replace(https, certificates=(certificate(tmp_path, replacement, NAME),)),))
            assert shown(tmp_path) == replacement
            go_on(asked, "requests")
    assert not asked.failures
    # Replaced keys do not stay, and nobody else may read those that do.
    folder = load_balancer.folder(LOAD_BALANCER)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (folder / haproxy.CERTIFICATES).iterdir()] == [0o600]


def test_https_says_so_to_targets_and_port_80_leads_there(running: World, tmp_path: Path) -> None:
    made = certificate(tmp_path, NAME)
    https = replace(SERVICE, protocol="https", listen_port=443, certificates=(made,), redirect_http=True)
    running.make(services=(https,))
    running.healthy(443)
    answer = ask_once("/a/b?c=d")
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/a/b?c=d")
    assert ask_once("/", Host=f"{NAME}:80").headers["Location"] == f"https://{NAME}/"
    assert ask_once("/", Host="").status == 400
    with connect(443, trusting=trusting(tmp_path), name=NAME) as connection:
        assert ask(connection, "/seen", X_Forwarded_Proto="http", X_Forwarded_For="192.0.2.1").status == 200
    (request,) = [request for target in running.targets for request in target.asked if "/seen" in request.line]
    assert request.header("x-forwarded-proto") == ["https"]
    assert request.header("x-forwarded-port") == ["443"]
    assert request.header("x-forwarded-for") == ["192.0.2.1", "198.51.100.20"]
    running.make(services=(replace(https, listen_port=8443),))
    assert ask_once("/").headers["Location"] == f"https://{NAME}:8443/"


def test_a_sticky_session_stays_with_its_target_while_that_is_healthy(running: World) -> None:
    running.make(services=(replace(SERVICE, cookie=("HCLBSTICKY", 300)),))
    first = ask_once()
    cookie = first.headers["Set-Cookie"].partition(";")[0]
    assert cookie.startswith("HCLBSTICKY=")
    assert first.body not in cookie
    assert {ask_once(Cookie=cookie).body for _ in range(6)} == {first.body}
    held = next(target for target in running.targets if target.address == first.body)
    assert [request.header("cookie") for request in held.asked[1:]] == [[]] * (len(held.asked) - 1)
    held.status = 500
    until(lambda: Health.UNHEALTHY in running.health(), "the target out")
    answer = ask_once(Cookie=cookie)
    assert (answer.status, answer.body != first.body) == (200, True)


@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_targets_are_told_the_clients_address(world: World, protocol: str) -> None:
    world.make(services=(replace(SERVICE, protocol=protocol, proxyprotocol=True),))
    world.healthy()
    assert ask_once().status == 200
    (request,) = [request for target in world.targets for request in target.asked]
    words = request.proxy.split()
    assert words[:3] == ["PROXY", "TCP4", settings.USER_ADDRESS]
    assert words[3] == load_balancing.PUBLIC
    assert all(check.proxy.startswith("PROXY") for target in world.targets for check in target.checked)


def test_an_idle_connection_is_closed(world: World) -> None:
    world.make(services=(replace(SERVICE, timeout_idle=1),))
    world.healthy()
    with connect() as connection:
        assert ask(connection).status == 200
        connection.settimeout(PATIENCE_SECONDS)
        assert connection.recv(1) == b""


def test_requests_are_spread_by_the_algorithm(running: World) -> None:
    first, second = running.targets[:2]
    assert sorted(ask_once().body for _ in range(10)) == [first.address] * 5 + [second.address] * 5
    running.make(algorithm="least_connections")
    first.busy = second.busy = True
    waiting = connect()
    waiting.sendall(b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
    until(lambda: len(first.asked) + len(second.asked) == 11, "one request that waits")
    busy, idle = (first, second) if len(first.asked) > len(second.asked) else (second, first)
    idle.busy = False
    assert {ask_once().body for _ in range(4)} == {idle.address}
    busy.busy = False
    waiting.close()


def test_more_connections_than_allowed_wait(running: World) -> None:
    running.make(max_connections=3)
    kept = [connect() for _ in range(3)]
    assert {ask(connection).status for connection in kept} == {200}
    late = connect()
    late.sendall(b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
    late.settimeout(0.5)
    with pytest.raises(TimeoutError):
        late.recv(1)
    kept[0].close()
    late.settimeout(PATIENCE_SECONDS)
    assert late.recv(65536).startswith(b"HTTP/1.1 200")
