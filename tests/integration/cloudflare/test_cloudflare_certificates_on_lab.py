"""The module for origin certificates against the embedded Cloudflare and the embedded Hetzner."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bulwark.hetzner.plugins.module_utils import hcloud_client
from ansible_collections.bulwark.hetzner.plugins.modules import (
    cloudflare_origin_certificate,
)
from cryptography import x509

from lab.cloudflare import state
from lab.faults import Fault
from tests.integration.cloudflare.zone import (
    Served,
    changing,
    one_pair,
    uploaded,
    use,
)
from tests.lab.cloud_api import TOKEN as HCLOUD_TOKEN
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import ZONE
from tests.modules import Run


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
    api.settle()
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
    api.settle()
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
    # The result holds warnings only where no part of Ansible's controller runs in the same process.
    told: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: told.append(text))
    for state_asked in ("present", "tidied", "absent"):
        result = certificate(state=state_asked)
        assert not result.get("failed"), result
        warning = told.pop()
        assert warning.startswith(f"Cloudflare has the certificate {production['cloudflare_id']} of this environment")
        assert "not in this Hetzner project, and it was left: check that the Hetzner token" in warning
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


def test_a_certificate_needs_its_permission(certificate: Run, api: CloudApi, edge: Served) -> None:
    token = edge.cloudflare.find_token(edge.token)
    assert token
    token.permissions = ("Zone Read", "SSL and Certificates Read")
    result = certificate()
    assert "lacks the permission Zone → SSL and Certificates → Edit" in result["msg"]
    assert uploaded(api) == []
