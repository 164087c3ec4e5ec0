"""The embedded Cloudflare, what is there, and the modules for it."""

from __future__ import annotations

from typing import Any

from ansible_collections.bulwark.hetzner.plugins.modules import (
    cloudflare_dns_records,
    cloudflare_zone_settings,
)

from lab.cloudflare import state
from tests.lab.cloud_api import CloudApi
from tests.lab.cloudflare_api import ORIGIN, CloudflareApi
from tests.modules import Run

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


def record(name: str, kind: str = "A", content: str = ORIGIN, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "content": content, **more}


def dns(run: Run, *records: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    return run(cloudflare_dns_records, check, environment_name="lab", records=list(records), **options)


def changing(asked: list[str]) -> list[str]:
    return [line for line in asked if not line.startswith("GET ")]


def settings(run: Run, check: bool = False, owned: bool = True, **wanted: Any) -> dict[str, Any]:
    return run(cloudflare_zone_settings, check, owned=owned, settings=wanted)


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
