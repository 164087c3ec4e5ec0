"""The modules for Cloudflare against the embedded one; for certificates with the embedded Hetzner beside it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from ansible_collections.bulwark.hetzner.plugins.module_utils import hcloud_client
from ansible_collections.bulwark.hetzner.plugins.module_utils.cloudflare import client as cloudflare_client
from ansible_collections.bulwark.hetzner.plugins.modules import (
    cloudflare_dns_records,
    cloudflare_origin_certificate,
    cloudflare_request_header,
    cloudflare_zone_settings,
)
from cryptography import x509

from lab.cloudflare import state
from lab.cloudflare.rules import headers_for
from lab.faults import Fault
from tests.lab.cloud_api import TOKEN as HCLOUD_TOKEN
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import ORIGIN, ZONE, CloudflareApi
from tests.modules import Run, runner

OTHER = "198.51.100.151"
MARK = "bulwark:lab"
STRICT = {"ssl": "strict", "always_use_https": True, "min_tls_version": "1.2", "hsts": {"enabled": True, "max_age": 60}}


class Served(CloudflareApi):
    """The embedded Cloudflare, and a look at what there is."""

    def put(self, name: str, kind: state.RecordType, content: str, comment: str | None = None) -> None:
        """A record that somebody has made by hand."""
        record = state.Record(state.new_id(), name, kind, content, comment=comment)
        self.zone.records[record.id] = record

    def records(self) -> list[tuple[str, str, str, bool, str | None]]:
        records = self.zone.records.values()
        return sorted((item.name, item.type, item.content, item.proxied, item.comment) for item in records)

    def issued(self) -> list[state.Certificate]:
        """Certificates that were not revoked."""
        return [item for item in self.cloudflare.store.certificates.values() if item.revoked_at is None]

    def asked(self) -> list[str]:
        """Methods and paths of all requests since the last look."""
        entries = self.cloudflare.requests.entries
        asked = [f"{entry.method} {entry.path.removeprefix('/client/v4')}" for entry in entries]
        entries.clear()
        return asked


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("cloudflare"))
    yield served
    served.close()


@pytest.fixture
def edge(server: Served) -> Served:
    server.reset()
    return server


@pytest.fixture
def run(edge: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(cloudflare_client.Client, "sleep", staticmethod(lambda _seconds: None))
    options = {"api_token": edge.token, "api_endpoint": edge.url, "zone": ZONE}
    return runner(capsys, options, [edge.token])


@pytest.fixture
def certificate(api: CloudApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The module for certificates, with Hetzner too."""
    monkeypatch.setattr(hcloud_client.Client, "sleep", staticmethod(lambda _seconds: None))

    def with_hetzner(check: bool = False, **options: Any) -> dict[str, Any]:
        hetzner = {"hcloud_api_token": HCLOUD_TOKEN, "hcloud_api_endpoint": api.url}
        common = {"environment_name": "lab", "lock_timeout": 0, **hetzner}
        result = run(cloudflare_origin_certificate, check, **{**common, **options})
        assert "PRIVATE KEY" not in str(result)
        return result

    return with_hetzner


def record(name: str, kind: str = "A", content: str = ORIGIN, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "content": content, **more}


def dns(run: Run, *records: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    return run(cloudflare_dns_records, check, environment_name="lab", records=list(records), **options)


def changing(asked: list[str]) -> list[str]:
    return [line for line in asked if not line.startswith("GET ")]


def test_records_check_create_again_change_delete(run: Run, edge: Served) -> None:
    edge.put(f"mail.{ZONE}", "A", OTHER, "not ours")
    declared = [record("@", proxied=True), record("www", "CNAME", ZONE, proxied=True), record("note", "TXT", 'a "b"')]
    announced = dns(run, *declared, check=True)
    assert changing(edge.asked()) == []
    made = dns(run, *declared)
    assert announced["plan"] == made["plan"]
    assert [step["action"] for step in made["plan"]] == ["create"] * 3
    assert edge.records() == [
        (ZONE, "A", ORIGIN, True, MARK),
        (f"mail.{ZONE}", "A", OTHER, False, "not ours"),
        (f"note.{ZONE}", "TXT", '"a \\"b\\""', False, MARK),
        (f"www.{ZONE}", "CNAME", ZONE, True, MARK),
    ]
    edge.asked()
    again = dns(run, *declared)
    assert (again["changed"], again["plan"], again["diff"]) == (False, [], [])
    assert edge.asked() == ["GET /zones", f"GET /zones/{edge.zone.id}/dns_records"]

    changed = dns(run, record("@", content=OTHER), record("@", "AAAA", "2001:DB8::1"))
    assert [(step["name"], step["action"]) for step in changed["plan"]] == [
        (f"{ZONE} A", "update"),
        (f"{ZONE} AAAA", "create"),
        (f"note.{ZONE} TXT", "delete"),
        (f"www.{ZONE} CNAME", "delete"),
    ]
    assert changed["plan"][0]["before"] == {"content": ORIGIN}
    assert edge.records()[:2] == [(ZONE, "A", OTHER, True, MARK), (ZONE, "AAAA", "2001:db8::1", False, MARK)]

    gone = run(cloudflare_dns_records, environment_name="lab", state="absent")
    assert [step["action"] for step in gone["plan"]] == ["delete", "delete"]
    assert edge.records() == [(f"mail.{ZONE}", "A", OTHER, False, "not ours")]


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [("A", OTHER, f"has a record A {OTHER}"), ("CNAME", f"mail.{ZONE}", f"has a record CNAME mail.{ZONE}")],
)
def test_somebody_elses_record_is_refused_before_anything_is_changed(
    run: Run, edge: Served, kind: state.RecordType, content: str, told: str
) -> None:
    edge.put(f"www.{ZONE}", kind, content)
    refused = dns(run, record("@"), record("www"))
    assert refused["failed"]
    assert told in refused["msg"]
    assert f"allow=record/www.{ZONE}" in refused["msg"]
    assert changing(edge.asked()) == []
    assert not refused["changed"]


def test_a_record_is_adopted_with_consent(run: Run, edge: Served) -> None:
    edge.put(f"www.{ZONE}", "A", OTHER, "old")
    adopted = dns(run, record("www"), allow=["record/www"])
    assert [(step["action"], step["destructive"]) for step in adopted["plan"]] == [("adopt", True)]
    assert edge.records() == [(f"www.{ZONE}", "A", ORIGIN, False, MARK)]
    assert dns(run, record("www"))["changed"] is False


@pytest.mark.parametrize(
    ("kind", "content", "declared"),
    [("CNAME", f"mail.{ZONE}", record("www")), ("A", OTHER, record("www", "CNAME", ZONE))],
)
def test_one_of_another_kind_is_replaced_with_consent_in_one_request(
    run: Run, edge: Served, kind: state.RecordType, content: str, declared: dict[str, Any]
) -> None:
    edge.put(f"www.{ZONE}", kind, content)
    replaced = dns(run, declared, allow=["record/www"])
    assert [(step["action"], step["destructive"]) for step in replaced["plan"]] == [("delete", True), ("create", False)]
    assert changing(edge.asked()) == [f"POST /zones/{edge.zone.id}/dns_records/batch"]
    assert edge.records() == [(f"www.{ZONE}", declared["type"], declared["content"], False, MARK)]
    assert dns(run, declared)["changed"] is False


def test_another_environment_keeps_its_records(run: Run, edge: Served) -> None:
    edge.put(f"a.{ZONE}", "A", OTHER, f"{MARK}-2")
    dns(run, record("b"))
    run(cloudflare_dns_records, environment_name="lab", state="absent")
    assert [item[0] for item in edge.records()] == [f"a.{ZONE}"]


def test_an_unknown_zone_names_those_there_are(run: Run, edge: Served) -> None:
    result = run(cloudflare_dns_records, environment_name="lab", records=[], zone="example.org")
    assert f"There is no zone example.org that the token may see; it sees {ZONE}: correct zone" in result["msg"]


def settings(run: Run, check: bool = False, owned: bool = True, **wanted: Any) -> dict[str, Any]:
    return run(cloudflare_zone_settings, check, owned=owned, settings=wanted)


def test_settings_check_change_again(run: Run, edge: Served) -> None:
    announced = settings(run, check=True, **STRICT)
    assert changing(edge.asked()) == []
    made = settings(run, **STRICT)
    assert announced["plan"] == made["plan"]
    assert [step["name"] for step in made["plan"]] == ["ssl", "min_tls_version", "always_use_https", "hsts"]
    there = edge.zone.settings
    assert (there.ssl, there.always_use_https, there.min_tls_version) == ("strict", "on", "1.2")
    assert (there.security_header.enabled, there.security_header.max_age) == (True, 60)
    edge.asked()
    assert settings(run, **STRICT)["changed"] is False
    asked = edge.asked()
    assert changing(asked) == []
    assert len(asked) == 1 + len(STRICT)


def test_what_is_omitted_is_left_alone_and_not_read(run: Run, edge: Served) -> None:
    settings(run, hsts={"enabled": True, "max_age": 60, "include_subdomains": True})
    edge.asked()
    weakened = settings(run, hsts={"max_age": 30})
    assert edge.zone.settings.security_header == state.StrictTransportSecurity(True, 30, True)
    assert weakened["plan"][0]["why"] == "asked for, weaker than it was"
    assert edge.zone.settings.ssl == "flexible"
    assert {path.rpartition("/")[2] for path in edge.asked()} == {"zones", "security_header"}


def test_a_zone_that_is_not_ours_is_told_about_and_left_alone(run: Run, edge: Served) -> None:
    refused = settings(run, owned=False, **STRICT)
    assert refused["failed"]
    for part in (
        "SSL/TLS encryption mode",
        "is flexible and must be strict",
        "Minimum TLS Version",
        "Always Use HTTPS",
    ):
        assert part in refused["msg"]
    assert "under SSL/TLS, Overview" in refused["msg"]
    assert "It holds for every site of the zone" in refused["msg"]
    assert changing(edge.asked()) == []
    settings(run, **{**STRICT, "min_tls_version": "1.3", "hsts": {"enabled": True, "max_age": 600, "preload": True}})
    assert settings(run, owned=False, **STRICT)["changed"] is False, "stricter is good enough"
    assert settings(run, **STRICT)["changed"] is True, "in one's own zone it is made what is asked for"


def test_a_secret_header_check_set_again_change_delete(run: Run, edge: Served) -> None:
    common = {"environment_name": "lab", "hostnames": ["@"], "value": "a-secret-of-the-tests"}

    def header(check: bool = False, **more: Any) -> dict[str, Any]:
        result = run(cloudflare_request_header, check, **{**common, **more})
        assert "of-the-tests" not in str(result)
        return result

    assert header(check=True)["changed"]
    assert changing(edge.asked()) == []
    assert header(name="X-Other")["plan"][0]["action"] == "create"
    assert header()["changed"]
    assert headers_for(edge.zone, ZONE) == {"X-Other": common["value"], "X-Edge-Secret": common["value"]}
    assert headers_for(edge.zone, f"www.{ZONE}") == {}
    edge.asked()
    assert header()["changed"] is False
    assert [line.partition(" ")[0] for line in edge.asked()] == ["GET", "GET"]
    assert header(value="another-one-of-the-tests")["plan"][0]["why"] == "the value differs"
    assert header(state="absent")["changed"]
    assert headers_for(edge.zone, ZONE) == {"X-Other": common["value"]}
    assert header(state="absent")["changed"] is False


def use(api: CloudApi, certificate_id: int) -> int:
    """A load balancer that uses the certificate; its id."""
    service = {
        "protocol": "https",
        "listen_port": 443,
        "destination_port": 80,
        "http": {"certificates": [certificate_id]},
    }
    body = {"name": "rails-lb", "load_balancer_type": "lb11", "location": "fsn1", "services": [service]}
    made = api.post("/load_balancers", **body)["load_balancer"]["id"]
    api.settle()
    return int(made)


def uploaded(api: CloudApi) -> list[dict[str, Any]]:
    return list(api.get("/certificates")["certificates"])


def one_pair(api: CloudApi, edge: Served) -> None:
    """There is one certificate, at both ends, and nothing else."""
    [there], [issued] = uploaded(api), edge.issued()
    assert there["certificate"] == issued.certificate
    assert there["labels"]["cloudflare-id"] == issued.id
    assert api.get("/placement_groups")["placement_groups"] == []


def test_a_certificate_check_issue_again(certificate: Run, api: CloudApi, edge: Served) -> None:
    announced = certificate(check=True)
    assert announced["changed"]
    assert announced["certificate"]["name"] is None
    assert changing(edge.asked()) == []
    made = certificate()
    assert announced["plan"] == made["plan"]
    one_pair(api, edge)
    [there] = uploaded(api)
    told = made["certificate"]
    assert (told["name"], told["id"]) == (there["name"], there["id"])
    assert there["labels"] | {"env": "lab", "managed-by": "bulwark"} == there["labels"]
    assert told["hostnames"] == [f"*.{ZONE}", ZONE]
    names = x509.load_pem_x509_certificate(there["certificate"].encode()).extensions
    alternative = names.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert f"bulwark-lab.{ZONE}" in alternative
    edge.asked()
    before = len(api.cloud.requests.entries)
    again = certificate()
    assert (again["changed"], again["plan"], again["certificate"]) == (False, [], told)
    assert edge.asked() == ["GET /zones", "GET /certificates"]
    asked = [(entry.method, entry.path) for entry in itertools.islice(api.cloud.requests.entries, before, None)]
    assert asked == [("GET", "/v1/certificates")]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"hostnames": ["www"]}, "other hostnames"),
        ({"key_type": "ecdsa"}, "another type of key"),
        ({"renew": True}, "asked for"),
        ({"renew_before": 29, "validity": 30}, ""),
    ],
)
def test_what_does_not_do_is_replaced(
    certificate: Run, api: CloudApi, edge: Served, more: dict[str, Any], why: str
) -> None:
    first = certificate(validity=30, renew_before=7)["certificate"]
    replaced = certificate(**{"validity": 30, "renew_before": 7, **more})
    assert (replaced["changed"], replaced.get("failed", False)) == (bool(why), False), replaced
    assert len(uploaded(api)) == (2 if why else 1), "the old one is still there"
    if why:
        assert replaced["plan"][0]["why"] == why
        assert replaced["certificate"]["id"] != first["id"]


def test_a_certificate_is_renewed_in_time(certificate: Run, api: CloudApi, monkeypatch: pytest.MonkeyPatch) -> None:
    first = certificate(validity=30, renew_before=7)["certificate"]
    now = hcloud_client.Client.now
    monkeypatch.setattr(hcloud_client.Client, "now", lambda self: now(self) + timedelta(days=22))
    assert certificate(validity=30, renew_before=7)["changed"] is False
    monkeypatch.setattr(hcloud_client.Client, "now", lambda self: now(self) + timedelta(days=24))
    renewed = certificate(check=True, validity=30, renew_before=7)
    assert renewed["plan"][0]["why"] == f"the last one expires on {first['expires'][:10]}"


def test_a_replaced_one_goes_once_nobody_uses_it(certificate: Run, api: CloudApi, edge: Served) -> None:
    first = certificate()["certificate"]
    balancer = use(api, first["id"])
    second = certificate(renew=True)["certificate"]
    kept = certificate(state="tidied")
    assert (kept["changed"], kept["still_used"]) == (False, [first["name"]])
    assert len(edge.issued()) == 2
    api.request("DELETE", f"/load_balancers/{balancer}")
    tidied = certificate(state="tidied")
    assert [(step["action"], step["name"]) for step in tidied["plan"]] == [("delete", first["name"])]
    assert (tidied["certificate"], tidied["still_used"]) == (second, [])
    one_pair(api, edge)
    assert certificate(state="tidied")["changed"] is False
    assert certificate()["certificate"] == second


def test_absent_is_refused_while_one_is_used(certificate: Run, api: CloudApi, edge: Served) -> None:
    first = certificate()["certificate"]
    balancer = use(api, first["id"])
    refused = certificate(state="absent")
    assert f"The certificate {first['name']} is used by load balancer {balancer}" in refused["msg"]
    assert len(edge.issued()) == 1
    api.request("DELETE", f"/load_balancers/{balancer}")
    assert certificate(state="absent")["certificate"] is None
    assert (uploaded(api), edge.issued()) == ([], [])
    assert certificate(state="absent")["changed"] is False


def test_what_may_be_used_from_another_project_is_not_revoked(
    certificate: Run, api: CloudApi, edge: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the token of another project, all certificates of the environment look as if nobody had them."""
    production = certificate()["certificate"]
    api.request("DELETE", f"/certificates/{production['id']}")
    now = hcloud_client.Client.now
    monkeypatch.setattr(hcloud_client.Client, "now", lambda self: now(self) + timedelta(days=3))
    for state_asked in ("present", "tidied", "absent"):
        result = certificate(state=state_asked)
        assert not result.get("failed"), result
        [warning] = result["warnings"]
        assert f"certificate {production['cloudflare_id']} of this environment, which is not in this" in str(warning)
        assert production["cloudflare_id"] in [item.id for item in edge.issued()]
    assert len(edge.issued()) == 1


def test_a_revocation_that_failed_is_made_up_for(certificate: Run, api: CloudApi, edge: Served) -> None:
    """However old the certificate is: what is not revoked yet is still there to be found."""
    first = certificate()["certificate"]
    edge.cloudflare.faults.add(Fault(effect="error", status=403, method="DELETE", times=1))
    assert certificate(state="absent")["failed"]
    assert [item["id"] for item in uploaded(api)] == [first["id"]]
    assert certificate(state="absent")["changed"]
    assert (uploaded(api), edge.issued()) == ([], [])


def test_nobody_elses_certificate_is_touched(certificate: Run, api: CloudApi, edge: Served) -> None:
    other = certificate(environment_name="lab-2")["certificate"]
    certificate()
    certificate(state="absent")
    assert [item["id"] for item in uploaded(api)] == [other["id"]]
    assert [item.id for item in edge.issued()] == [other["cloudflare_id"]]


def test_one_that_was_revoked_by_hand_is_replaced(certificate: Run, api: CloudApi, edge: Served) -> None:
    certificate()
    edge.issued()[0].revoked_at = state.now()
    assert certificate()["plan"][0]["why"] == "the last one was revoked"
    certificate(state="tidied")
    one_pair(api, edge)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"hostnames": ["www.example.org."]}, "'www.example.org.' does not lie in the zone"),
        ({"hostnames": []}, "hostnames: name at least one."),
        ({"hostnames": ["_acme"]}, "those have no underscores"),
        ({"hostnames": [f"bulwark-lab.{ZONE}"]}, "is the name that marks our certificates"),
        ({"validity": 30}, "so that it would be renewed by every run"),
        ({"environment_name": "my_lab"}, "cannot be part of the host name"),
        ({"state": "tidied", "renew": True}, "nothing is issued"),
        ({"hcloud_api_token": ""}, "HCLOUD_TOKEN"),
        ({"zone": "nonsense"}, "'nonsense' is no zone such as example.com"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(
    certificate: Run, run: Run, edge: Served, more: dict[str, Any], sentence: str
) -> None:
    options = {"environment_name": "lab", "hcloud_api_token": HCLOUD_TOKEN, **more}
    result = run(cloudflare_origin_certificate, **options)
    assert sentence in result["msg"]
    assert edge.asked() == []


@pytest.mark.parametrize(
    ("permissions", "work", "missing"),
    [
        (["DNS Write"], lambda run: dns(run), "Zone → Zone → Read"),
        (["Zone Read"], lambda run: dns(run), "Zone → DNS → Read"),
        (["Zone Read", "DNS Read"], lambda run: dns(run, record("a")), "Zone → DNS → Edit"),
        (["Zone Read"], lambda run: settings(run, ssl="strict"), "Zone → Zone Settings → Read"),
        (["Zone Read", "Zone Settings Read"], lambda run: settings(run, ssl="strict"), "Zone → Zone Settings → Edit"),
    ],
)
def test_the_missing_permission_is_told(
    run: Run, edge: Served, permissions: list[str], work: Callable[[Run], dict[str, Any]], missing: str
) -> None:
    token = edge.cloudflare.find_token(edge.token)
    assert token
    token.permissions = tuple(permissions)
    assert work(run)["msg"].startswith(f"The token lacks the permission {missing} for the zone {ZONE}: add it in the")


def test_a_certificate_needs_its_permission(certificate: Run, api: CloudApi, edge: Served) -> None:
    token = edge.cloudflare.find_token(edge.token)
    assert token
    token.permissions = ("Zone Read", "SSL and Certificates Read")
    result = certificate()
    assert "lacks the permission Zone → SSL and Certificates → Edit" in result["msg"]
    assert uploaded(api) == []


def test_a_wrong_token_is_told(run: Run, edge: Served) -> None:
    assert "does not accept the API token" in dns(run, api_token="x" * 40)["msg"]
    assert "does not accept the API token" in dns(run, api_token="short")["msg"]
    assert "CLOUDFLARE_API_TOKEN" in dns(run, api_token="")["msg"]


#: A key that is made in no time.
QUICK = {"key_type": "ecdsa"}
#: How a request fails once. All of them are asked again, or what is there is read again.
FAULTS: dict[str, dict[str, Any]] = {
    "answer lost": {"effect": "lose_answer"},
    "cut off": {"effect": "reset"},
    "server error": {"effect": "error", "status": 502},
    "rate limit": {"effect": "error", "status": 429, "code": "971"},
}


def failing(edge: Served, fault: dict[str, Any]) -> Iterator[int]:
    """The edge afresh, with the fault at its first request, then at its second, and so on until there are no more."""
    for number in itertools.count():
        edge.reset()
        rule = edge.cloudflare.faults.add(Fault(**fault, skip=number, times=1))
        yield number
        if not edge.cloudflare.faults.rules[rule].struck:
            assert number > 2
            return
        edge.cloudflare.faults.rules.clear()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_records_survive_a_fault_at_any_request(run: Run, edge: Served, fault: dict[str, Any]) -> None:
    declared = [record("@"), record("@", content=OTHER), record("www", "CNAME", ZONE)]
    for _ in failing(edge, fault):
        edge.put(ZONE, "A", "198.51.100.160", MARK)
        edge.put(f"old.{ZONE}", "A", ORIGIN, MARK)
        edge.put(f"www.{ZONE}", "A", ORIGIN, MARK)  # its kind changes
        assert dns(run, *declared)["changed"] is True
        assert [item[:3] for item in edge.records()] == [
            (ZONE, "A", ORIGIN),
            (ZONE, "A", OTHER),
            (f"www.{ZONE}", "CNAME", ZONE),
        ]
        assert dns(run, *declared)["changed"] is False


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_settings_survive_a_fault_at_any_request(run: Run, edge: Served, fault: dict[str, Any]) -> None:
    for _ in failing(edge, fault):
        assert settings(run, **STRICT)["changed"] is True
        assert settings(run, **STRICT)["changed"] is False
        assert edge.zone.settings.security_header.enabled


@pytest.mark.parametrize("every", [len(FAULTS), pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("where", ["cloudflare", "hetzner"])
def test_a_rotation_survives_a_fault_at_any_request(
    certificate: Run, api: CloudApi, edge: Served, name: str, where: str, every: int
) -> None:
    """Nothing is made twice, and nothing is left. Each request meets the fault, or each one of the faults."""
    fault = FAULTS[name]
    faults = edge.cloudflare.faults if where == "cloudflare" else api.cloud.faults
    if fault.get("code") and where == "hetzner":
        fault = {**fault, "code": "rate_limit_exceeded"}
    certificate(**QUICK)
    for number in itertools.count(list(FAULTS).index(name) % every, every):
        rule = faults.add(Fault(**fault, skip=number, times=1))
        renewed = certificate(renew=True, **QUICK)
        assert not renewed.get("failed"), renewed
        assert certificate(state="tidied", **QUICK)["certificate"] == renewed["certificate"]
        struck = faults.rules[rule].struck
        faults.rules.clear()
        one_pair(api, edge)
        assert certificate(**QUICK)["changed"] is False
        if not struck:
            assert number > 5
            return


class Killed(BaseException):
    """The end of a run: nothing catches it."""


class Reaper:
    """Kills a run at its n-th request, to whichever API: before it is sent, or when its answer is on the way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left: int | None = None
        self.after = False
        for module in (cloudflare_client, hcloud_client):
            monkeypatch.setattr(module.Client, "request", self._deadly(module.Client.request))

    def _deadly(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(client: object, *args: Any, **kwargs: Any) -> Any:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Killed
            answer = request(client, *args, **kwargs)
            if self.left == 0 and self.after:
                raise Killed
            return answer

        return mortal


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("after", [False, True], ids=["before it is sent", "after it was carried out"])
def test_a_rotation_that_was_killed_is_completed_by_the_next(
    certificate: Run, api: CloudApi, edge: Served, monkeypatch: pytest.MonkeyPatch, after: bool, every: int
) -> None:
    reaper = Reaper(monkeypatch)
    reaper.after = after
    now = hcloud_client.Client.now
    for lives in itertools.count(1, every):
        edge.reset()
        for item in uploaded(api):
            api.request("DELETE", f"/certificates/{item['id']}")
        reaper.left = lives
        try:
            certificate(**QUICK)
            certificate(renew=True, **QUICK)
            certificate(state="tidied", **QUICK)
            survived = True
        except Killed:
            survived = False
        reaper.left = None

        def later(client: hcloud_client.Client) -> datetime:
            """Two minutes on, when the lock of the one that was killed has ended."""
            return now(client) + timedelta(minutes=2)

        with monkeypatch.context() as patch:
            patch.setattr(hcloud_client.Client, "now", later)
            assert not certificate(**QUICK).get("failed")
            assert not certificate(state="tidied", **QUICK).get("failed")
            for lock in api.get("/placement_groups")["placement_groups"]:
                api.request("DELETE", f"/placement_groups/{lock['id']}")
        one_pair(api, edge)
        assert certificate(**QUICK)["changed"] is False
        if survived:
            assert lives > 20
            return
