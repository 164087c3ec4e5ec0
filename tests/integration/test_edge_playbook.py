"""The way users come in, made, repeated and taken away by the playbooks, against both embedded APIs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.playbooks import playbook
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import CloudflareApi


@pytest.fixture
def cloudflare(tmp_path: Path) -> Iterator[CloudflareApi]:
    served = CloudflareApi(tmp_path)
    yield served
    served.close()


def test_made_repeated_and_destroyed(api: CloudApi, cloudflare: CloudflareApi) -> None:
    def play(name: str, *words: str) -> str:
        done = playbook(api, name, "--diff", "-v", *words, cloudflare=cloudflare)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "PRIVATE KEY" not in done.stdout + done.stderr
        assert cloudflare.token not in done.stdout + done.stderr
        return done.stdout

    play("provision.yml")
    # Nothing of it is there yet, and nothing is made.
    play("edge.yml", "--check")
    assert api.get("/load_balancers")["load_balancers"] == api.get("/certificates")["certificates"] == []

    assert "changed=4" in play("edge.yml")
    (balancer,) = api.get("/load_balancers")["load_balancers"]
    assert balancer["private_net"][0]["ip"] == "10.0.0.9"
    (certificate,) = api.get("/certificates")["certificates"]
    assert balancer["services"][0]["http"]["certificates"] == [certificate["id"]]
    records = {(record.name, record.type): record for record in cloudflare.zone.records.values()}
    assert records["bulwark.example", "A"].content == balancer["public_net"]["ipv4"]["ip"]
    assert all(record.proxied for record in records.values())
    assert "changed=0" in play("edge.yml")

    play("edge.yml", "-e", json.dumps({"origin_certificate_renew": True}))
    (renewed,) = api.get("/certificates")["certificates"]
    assert renewed["id"] != certificate["id"]
    assert len([item for item in cloudflare.cloudflare.store.certificates.values() if not item.revoked_at]) == 1

    play("destroy.yml", "--check", "--diff", "-e", json.dumps({"confirm": "lab", "allow": ["volumes"]}))
    play("destroy.yml", "-e", json.dumps({"confirm": "lab", "allow": ["volumes"]}))
    assert api.get("/load_balancers")["load_balancers"] == api.get("/certificates")["certificates"] == []
    assert cloudflare.zone.records == {}
    assert [item for item in cloudflare.cloudflare.store.certificates.values() if not item.revoked_at] == []


def test_one_list_of_consents_serves_all_modules(api: CloudApi, cloudflare: CloudflareApi) -> None:
    consents = ("-e", json.dumps({"allow": ["server/app-01", "record/bulwark.example", "load_balancer/rails-lb"]}))
    for name in ("provision.yml", "edge.yml"):
        done = playbook(api, name, *consents, cloudflare=cloudflare)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_token_that_may_not_is_told_which_permission_it_lacks(api: CloudApi, cloudflare: CloudflareApi) -> None:
    cloudflare.token = "wrong"
    done = playbook(api, "edge.yml", cloudflare=cloudflare)
    assert done.returncode != 0
    assert "CLOUDFLARE_API_TOKEN" in done.stdout + done.stderr
    assert api.get("/load_balancers")["load_balancers"] == []
