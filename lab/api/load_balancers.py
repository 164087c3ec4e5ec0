"""Routes of load balancers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from lab.api import actions, listing
from lab.api.http import CREATED, Answer, Call, Handler, Routes
from lab.drivers.base import DriverError, LoadBalancerStatus
from lab.errors import invalid_field, not_implemented
from lab.operations import common
from lab.operations.cloud import Cloud
from lab.operations.load_balancers import interfaces, metrics, orders
from lab.operations.load_balancers.services import HealthCheckRequest, HttpRequest, ServiceRequest
from lab.state.load_balancers import LoadBalancer, Target
from lab.state.resources import Action, Network
from lab.wire import load_balancers as wire
from lab.wire import resources
from lab.wire.body import Body
from lab.wire.catalogue import Json


async def list_load_balancers(call: Call) -> Answer:
    store, catalog = call.cloud.store, call.cloud.catalog
    health = dict(await asyncio.gather(*(seen(call.cloud, number) for number in list(store.load_balancers))))

    def render(item: LoadBalancer) -> Json:
        return wire.load_balancer(store, catalog, item, health.get(item.id))

    return listing.answer(call, "load_balancers", store.load_balancers.values(), render)


async def create_load_balancer(call: Call) -> Answer:
    body = call.body
    if body.nested("public_net").data:
        raise not_implemented("load balancers with existing primary IPs")
    request = orders.LoadBalancerRequest(
        name=body.name(),
        type=body.id_or_name("load_balancer_type"),
        algorithm=body.nested("algorithm").optional_string("type") or "round_robin",
        location=body.optional_id_or_name("location"),
        network_zone=body.optional_string("network_zone"),
        network_id=body.optional_integer("network"),
        public=body.boolean("public_interface", True),
        services=[_service(item) for item in body.objects("services")],
        targets=[_target(item) for item in body.objects("targets")],
        labels=body.labels(),
    )
    load_balancer, action = orders.create(call.cloud, request)
    return Answer({**await _shown(call, load_balancer), "action": resources.action(action)}, CREATED)


async def get_load_balancer(call: Call) -> Answer:
    return Answer(await _shown(call, _load_balancer(call)))


async def update_load_balancer(call: Call) -> Answer:
    load_balancer = _load_balancer(call)
    orders.update(call.cloud, load_balancer, call.body.optional_name(), call.body.optional_labels())
    return Answer(await _shown(call, load_balancer))


async def delete_load_balancer(call: Call) -> Answer:
    return Answer({"action": resources.action(orders.delete(call.cloud, _load_balancer(call)))})


def _bare(operation: Callable[[Cloud, LoadBalancer], Action]) -> Handler:
    """An action that needs nothing but the load balancer."""

    async def handler(call: Call) -> Answer:
        return actions.created(operation(call.cloud, _load_balancer(call)))

    return handler


async def add_service(call: Call) -> Answer:
    return actions.created(orders.add_service(call.cloud, _load_balancer(call), _service(call.body)))


async def update_service(call: Call) -> Answer:
    return actions.created(orders.update_service(call.cloud, _load_balancer(call), _service(call.body)))


async def delete_service(call: Call) -> Answer:
    port = call.body.integer("listen_port")
    return actions.created(orders.delete_service(call.cloud, _load_balancer(call), port))


async def add_target(call: Call) -> Answer:
    return actions.created(orders.add_target(call.cloud, _load_balancer(call), _target(call.body)))


async def remove_target(call: Call) -> Answer:
    return actions.created(orders.remove_target(call.cloud, _load_balancer(call), _target(call.body)))


async def attach_to_network(call: Call) -> Answer:
    ip, ip_range = call.body.optional_string("ip"), call.body.optional_string("ip_range")
    return actions.created(interfaces.attach(call.cloud, _load_balancer(call), _network(call), ip, ip_range))


async def detach_from_network(call: Call) -> Answer:
    return actions.created(interfaces.detach(call.cloud, _load_balancer(call), _network(call)))


async def change_algorithm(call: Call) -> Answer:
    return actions.created(orders.change_algorithm(call.cloud, _load_balancer(call), call.body.string("type")))


async def change_type(call: Call) -> Answer:
    kind = call.body.id_or_name("load_balancer_type")
    return actions.created(orders.change_type(call.cloud, _load_balancer(call), kind))


async def change_protection(call: Call) -> Answer:
    delete = call.body.optional_boolean("delete")
    return actions.created(orders.change_protection(call.cloud, _load_balancer(call), delete))


async def change_dns_ptr(call: Call) -> Answer:
    ip, name = call.body.string("ip"), call.body.optional_string("dns_ptr")
    return actions.created(orders.change_dns_ptr(call.cloud, _load_balancer(call), ip, name))


async def get_metrics(call: Call) -> Answer:
    load_balancer = _load_balancer(call)
    types = [item for text in call.all("type") for item in text.split(",")]
    if not types or not set(types) <= metrics.SERIES.keys():
        raise invalid_field("type", f"must be one or more of {', '.join(metrics.SERIES)}")
    start, end = _moment(call, "start"), _moment(call, "end")
    if end <= start:
        raise invalid_field("end", "must be after start")
    period = metrics.Period.of(start.timestamp(), end.timestamp(), _step(call))
    await call.cloud.meter.sample_one(call.cloud, load_balancer.id)  # what has happened up to now
    samples = call.cloud.meter.samples(load_balancer.id)
    named = {name: series for kind in types for name, series in metrics.SERIES[kind].items()}
    payload: Json = {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "step": period.step,
        "time_series": {
            name: {"values": [[at, f"{value:g}"] for at, value in series(samples, period)]}
            for name, series in named.items()
        },
    }
    return Answer({"metrics": payload})


def _moment(call: Call, parameter: str) -> datetime:
    try:
        moment = datetime.fromisoformat(call.one(parameter) or "")
    except ValueError as error:
        raise invalid_field(parameter, "must be a point in time as RFC 3339 writes it") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _step(call: Call) -> float | None:
    text = call.one("step")
    if not text:
        return None
    try:
        step = float(text)
    except ValueError:
        step = 0.0
    if not 0 < step < float("inf"):
        raise invalid_field("step", "must be a number of seconds")
    return step


def _load_balancer(call: Call) -> LoadBalancer:
    return common.get("load balancer", call.cloud.store.load_balancers, call.id)


def _network(call: Call) -> Network:
    return common.get("network", call.cloud.store.networks, call.body.integer("network"))


async def _shown(call: Call, load_balancer: LoadBalancer) -> Json:
    _, status = await seen(call.cloud, load_balancer.id)
    # Meanwhile it may have been deleted.
    found = common.get("load balancer", call.cloud.store.load_balancers, load_balancer.id)
    return {"load_balancer": wire.load_balancer(call.cloud.store, call.cloud.catalog, found, status)}


async def seen(cloud: Cloud, load_balancer_id: int) -> tuple[int, LoadBalancerStatus | None]:
    """What the driver sees of it; None when it does not run, or not yet."""
    found = cloud.store.load_balancers.get(load_balancer_id)
    if found is None or not found.available:
        return load_balancer_id, None
    try:
        return load_balancer_id, await cloud.gate.load_balancer_status(load_balancer_id)
    except DriverError:
        return load_balancer_id, None


def _service(body: Body) -> ServiceRequest:
    http, check = body.nested("http"), body.nested("health_check")
    certificates = http.optional_integers("certificates")
    return ServiceRequest(
        protocol=body.optional_string("protocol"),
        listen_port=body.optional_integer("listen_port"),
        destination_port=body.optional_integer("destination_port"),
        proxyprotocol=body.optional_boolean("proxyprotocol"),
        health_check=_health_check(check, check.nested("http")),
        http=HttpRequest(
            cookie_name=http.optional_string("cookie_name"),
            cookie_lifetime=http.optional_integer("cookie_lifetime"),
            timeout_idle=http.optional_integer("timeout_idle"),
            sticky_sessions=http.optional_boolean("sticky_sessions"),
            certificates=None if certificates is None else tuple(certificates),
            redirect_http=http.optional_boolean("redirect_http"),
        ),
    )


def _health_check(check: Body, http: Body) -> HealthCheckRequest:
    status_codes = http.optional_strings("status_codes")
    return HealthCheckRequest(
        protocol=check.optional_string("protocol"),
        port=check.optional_integer("port"),
        interval=check.optional_integer("interval"),
        timeout=check.optional_integer("timeout"),
        retries=check.optional_integer("retries"),
        domain="" if http.is_null("domain") else http.optional_string("domain"),
        path=http.optional_string("path"),
        response=http.optional_string("response"),
        status_codes=None if status_codes is None else tuple(status_codes),
        tls=http.optional_boolean("tls"),
    )


def _target(body: Body) -> Target:
    kind, private = body.string("type"), body.boolean("use_private_ip", False)
    if kind == "server":
        return Target("server", server_id=body.nested("server").integer("id"), use_private_ip=private)
    if kind == "label_selector":
        selector = body.nested("label_selector").string("selector")
        return Target("label_selector", selector=selector, use_private_ip=private)
    if kind == "ip":
        return Target("ip", ip=body.nested("ip").string("ip"))
    raise invalid_field("type", "must be one of server, label_selector, ip")


_OPERATIONS: dict[str, Handler] = {
    "add_service": add_service,
    "update_service": update_service,
    "delete_service": delete_service,
    "add_target": add_target,
    "remove_target": remove_target,
    "attach_to_network": attach_to_network,
    "detach_from_network": detach_from_network,
    "change_algorithm": change_algorithm,
    "change_type": change_type,
    "change_protection": change_protection,
    "change_dns_ptr": change_dns_ptr,
    "enable_public_interface": _bare(interfaces.enable_public_interface),
    "disable_public_interface": _bare(interfaces.disable_public_interface),
}

ROUTES: Routes = {
    ("GET", "/load_balancers"): list_load_balancers,
    ("POST", "/load_balancers"): create_load_balancer,
    ("GET", "/load_balancers/{id:int}"): get_load_balancer,
    ("PUT", "/load_balancers/{id:int}"): update_load_balancer,
    ("DELETE", "/load_balancers/{id:int}"): delete_load_balancer,
    ("GET", "/load_balancers/{id:int}/metrics"): get_metrics,
    **{("POST", f"/load_balancers/{{id:int}}/actions/{name}"): handler for name, handler in _OPERATIONS.items()},
    **actions.routes_of("/load_balancers", "load_balancer", "load balancer", lambda cloud: cloud.store.load_balancers),
}
