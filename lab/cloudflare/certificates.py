"""Origin certificates, as they are asked for."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization

from lab.cloudflare.authority import VALIDITIES, RequestType, check_hostnames, check_request
from lab.cloudflare.errors import NOT_FOUND, CloudflareError, not_implemented
from lab.cloudflare.http import Answer, Call, Operation, Page, Routes
from lab.cloudflare.state import Certificate, now

_REFUSAL = (1016, "User is not authorized to perform this action")
_BAD_REQUEST = 1002  # the vendor's code for these is not known
_LONGEST = 5475


def wire(certificate: Certificate) -> dict[str, object]:
    shown: dict[str, object] = {
        "id": certificate.id,
        "certificate": certificate.certificate,
        "csr": certificate.csr,
        "hostnames": list(certificate.hostnames),
        "request_type": certificate.request_type,
        "requested_validity": certificate.requested_validity,
        "expires_on": certificate.expires_on,
    }
    if certificate.revoked_at is not None:
        shown["revoked_at"] = certificate.revoked_at
    return shown


async def list_certificates(call: Call) -> Page:
    """Those of a zone that were not revoked."""
    call.understand("zone_id", "page", "per_page")
    zone = call.zone_in_query()
    found = [
        wire(certificate)
        for certificate in call.cloudflare.store.certificates.values()
        if certificate.zone_id == zone.id and certificate.revoked_at is None
    ]
    return call.page(found)


def _find(call: Call) -> Certificate:
    certificate = call.cloudflare.store.certificates.get(call.id)
    if certificate is None:
        raise CloudflareError(1101, "Failed to read certificate from Database", NOT_FOUND)
    return certificate


async def get(call: Call) -> Answer:
    return Answer(wire(_find(call)))


async def create(call: Call) -> Answer:
    kind = _request_type(call.body.get("request_type"))
    days = call.body.get("requested_validity", _LONGEST)
    if isinstance(days, bool) or days not in VALIDITIES or not isinstance(days, int):
        raise CloudflareError(_BAD_REQUEST, f"requested_validity must be one of {', '.join(map(str, VALIDITIES))}.")
    given = call.body.get("hostnames")
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise CloudflareError(_BAD_REQUEST, "hostnames must be a list of names.")
    hostnames = check_hostnames(given)
    zones = {_zone(call, name) for name in hostnames}
    csr = call.body.get("csr")
    if not isinstance(csr, str):
        raise CloudflareError(_BAD_REQUEST, "csr must be a certificate signing request.")
    signed = call.cloudflare.authority.sign(check_request(csr, kind), hostnames, days)
    certificate = Certificate(
        id=str(signed.serial_number),
        zone_id=min(zones),
        csr=csr,
        certificate=signed.public_bytes(serialization.Encoding.PEM).decode(),
        hostnames=hostnames,
        request_type=kind,
        requested_validity=days,
        expires_on=signed.not_valid_after_utc.strftime("%Y-%m-%d %H:%M:%S +0000 UTC"),
    )
    call.cloudflare.store.certificates[certificate.id] = certificate
    return Answer(wire(certificate))


def _request_type(given: object) -> RequestType:
    if given == "origin-rsa":
        return "origin-rsa"
    if given == "origin-ecc":
        return "origin-ecc"
    if given == "keyless-certificate":
        raise not_implemented("The request type keyless-certificate")
    raise CloudflareError(_BAD_REQUEST, "request_type must be origin-rsa or origin-ecc.")


def _zone(call: Call, name: str) -> str:
    """The ID of the account's zone that a name is in."""
    zone = call.cloudflare.store.zone_of(name.removeprefix("*."))
    if zone is None:
        raise CloudflareError(
            1010,
            f"Failed to validate requested hostname {name}: This zone is either not part of your account, or you do "
            "not have access to it. Please contact support if using a multi-user organization.",
        )
    return zone.id


async def revoke(call: Call) -> Answer:
    certificate = _find(call)
    if certificate.revoked_at is None:
        certificate.revoked_at = now()
    return Answer({"id": certificate.id, "revoked_at": certificate.revoked_at})


ROUTES: Routes = {
    ("GET", "/certificates"): Operation(list_certificates, "SSL and Certificates Read", _REFUSAL),
    ("POST", "/certificates"): Operation(create, "SSL and Certificates Write", _REFUSAL),
    ("GET", "/certificates/{id}"): Operation(get, "SSL and Certificates Read", _REFUSAL),
    ("DELETE", "/certificates/{id}"): Operation(revoke, "SSL and Certificates Write", _REFUSAL),
}
