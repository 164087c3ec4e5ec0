"""Uses Cloudflare's own client for Python as a program would, and prints what came of it. Run by a test, with that
client on its path, the endpoint and the token in its environment, and a certificate signing request on its input."""

from __future__ import annotations

import json
import sys

import cloudflare  # type: ignore[import-not-found]  # because it is not part of the environment of the tests


def refusal(action: object, *arguments: object, **options: object) -> list[object]:
    """Status and code of the error that this must end in."""
    try:
        action(*arguments, **options)  # type: ignore[operator]  # because the library is untyped here
    except cloudflare.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.errors[0].code]
    raise SystemExit(f"{action} was not refused")


def main() -> None:
    client = cloudflare.Cloudflare(max_retries=0)
    found: dict[str, object] = {"token": client.user.tokens.verify().status}
    [zone] = client.zones.list(name="bulwark.example")
    found["zone"] = client.zones.get(zone_id=zone.id).name

    records = client.dns.records
    for number in range(5):
        made = records.create(
            zone_id=zone.id, type="A", name=f"host-{number}", content="198.51.100.7", ttl=1, proxied=True
        )
    found["pages"] = [record.name for record in records.list(zone_id=zone.id, per_page=2)]
    found["filtered"] = [record.id for record in records.list(zone_id=zone.id, name={"exact": made.name})] == [made.id]
    edited = records.edit(made.id, zone_id=zone.id, type="A", name=made.name, content="198.51.100.8", ttl=1)
    found["edited"] = [edited.content, edited.proxied, records.get(made.id, zone_id=zone.id).content]
    updated = records.update(made.id, zone_id=zone.id, type="A", name="other", content="198.51.100.9", ttl=300)
    found["updated"] = [updated.name, updated.content, updated.ttl]
    text = {"type": "TXT", "name": "text", "content": "hello", "ttl": 300}
    found["retyped"] = refusal(records.update, made.id, zone_id=zone.id, **text)
    batch = records.batch(zone_id=zone.id, deletes=[{"id": made.id}], posts=[{**text, "name": "other"}])
    found["batch"] = [batch.deletes[0].id == made.id, batch.posts[0].type, batch.posts[0].name]
    made = batch.posts[0]
    deleted = records.delete(made.id, zone_id=zone.id)
    found["deleted"] = deleted is not None and deleted.id == made.id
    found["gone"] = refusal(records.get, made.id, zone_id=zone.id)
    found["twice"] = refusal(records.create, zone_id=zone.id, type="A", name="host-1", content="198.51.100.7", ttl=1)

    settings = client.zones.settings
    found["before"] = settings.get("ssl", zone_id=zone.id).value
    found["ssl"] = settings.edit("ssl", zone_id=zone.id, value="strict").value
    policy = {"strict_transport_security": {"enabled": True, "max_age": 600}}
    header = settings.edit("security_header", zone_id=zone.id, value=policy)
    found["max_age"] = header.value.strict_transport_security.max_age
    found["wrong"] = refusal(settings.edit, "ssl", zone_id=zone.id, value="sometimes")

    certificates = client.origin_ca_certificates
    signed = certificates.create(
        csr=sys.stdin.read(), hostnames=["bulwark.example"], request_type="origin-ecc", requested_validity=7
    )
    found["listed"] = [item.id for item in certificates.list(zone_id=zone.id)] == [signed.id]
    found["same"] = certificates.get(signed.id).certificate == signed.certificate
    revoked = certificates.delete(signed.id)
    found["revoked"] = revoked.id == signed.id and revoked.revoked_at is not None
    found["left"] = len(list(certificates.list(zone_id=zone.id)))

    found["unknown"] = refusal(client.zones.create, account={}, name="other.example")
    stranger = cloudflare.Cloudflare(api_token="x" * 40, max_retries=0)
    found["stranger"] = refusal(stranger.zones.get, zone_id=zone.id)
    print(json.dumps(found))


main()
