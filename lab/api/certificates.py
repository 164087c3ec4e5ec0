"""Routes of certificates."""

from __future__ import annotations

from functools import partial

from lab.api import actions, listing
from lab.api.http import CREATED, NO_CONTENT, Answer, Call, Routes
from lab.operations import certificates, common
from lab.state.load_balancers import Certificate
from lab.wire import load_balancers as wire

_FILTERS = listing.Filters(exact=("name", "type"), choices={"type": ("uploaded", "managed")})


async def list_certificates(call: Call) -> Answer:
    store = call.cloud.store
    render = partial(wire.certificate, store)
    return listing.answer(call, "certificates", store.certificates.values(), render, _FILTERS)


async def create_certificate(call: Call) -> Answer:
    body = call.body
    certificates.check_type(body.optional_string("type") or "uploaded")
    certificate = certificates.create(
        call.cloud, body.name(), body.string("certificate"), body.string("private_key"), body.labels()
    )
    return Answer({"certificate": wire.certificate(call.cloud.store, certificate), "action": None}, CREATED)


async def get_certificate(call: Call) -> Answer:
    return Answer({"certificate": wire.certificate(call.cloud.store, _certificate(call))})


async def update_certificate(call: Call) -> Answer:
    certificate = _certificate(call)
    certificates.update(call.cloud, certificate, call.body.optional_name(), call.body.optional_labels())
    return Answer({"certificate": wire.certificate(call.cloud.store, certificate)})


async def delete_certificate(call: Call) -> Answer:
    certificates.delete(call.cloud, _certificate(call))
    return Answer(status=NO_CONTENT)


def _certificate(call: Call) -> Certificate:
    return common.get("certificate", call.cloud.store.certificates, call.id)


ROUTES: Routes = {
    ("GET", "/certificates"): list_certificates,
    ("POST", "/certificates"): create_certificate,
    ("GET", "/certificates/{id:int}"): get_certificate,
    ("PUT", "/certificates/{id:int}"): update_certificate,
    ("DELETE", "/certificates/{id:int}"): delete_certificate,
    **actions.routes_of("/certificates", "certificate", "certificate", lambda cloud: cloud.store.certificates),
}
