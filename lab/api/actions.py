"""Routes of actions: those asked for by ID, and those of a kind or of one resource."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from lab.api import listing
from lab.api.http import CREATED, Answer, Call, Handler, Routes
from lab.errors import CloudError
from lab.operations import common
from lab.operations.cloud import Cloud
from lab.state.resources import Action, Ref
from lab.wire import resources as wire

_ANNOUNCEMENT = (
    "https://docs.hetzner.cloud/changelog#2025-01-30-listing-arbitrary-actions-in-the-actions-list-endpoint-is-removed"
)
_FILTERS = listing.Filters(
    exact=("id", "status"),
    labels=False,
    sort=("id", "command", "status", "started", "finished"),
    choices={"status": ("running", "success", "error")},
)

#: The resources of a kind, by ID.
Table = Callable[[Cloud], Mapping[int, object]]


def created(action: Action) -> Answer:
    """The answer to a request that began one action."""
    return Answer({"action": wire.action(action)}, CREATED)


def all_created(actions: Iterable[Action]) -> Answer:
    """The answer to a request that began several actions."""
    return Answer({"actions": [wire.action(action) for action in actions]}, CREATED)


async def list_by_id(call: Call) -> Answer:
    """Not in pages: as many as are asked for. Those that do not exist are left out."""
    wanted = listing.integers(call, "id")
    if not wanted:
        raise CloudError(
            "deprecated_api_endpoint",
            "listing all actions was removed; name them by the parameter id",
            {"announcement": _ANNOUNCEMENT},
        )
    known = call.cloud.store.actions
    return Answer({"actions": [wire.action(known[action_id]) for action_id in wanted if action_id in known]})


async def get(call: Call) -> Answer:
    action = common.get("action", call.cloud.store.actions, call.id)
    return Answer({"action": wire.action(action)})


def routes_of(path: str, ref_type: str, kind: str, table: Table) -> Routes:
    """The four ways to the actions of one kind; ``path`` is the kind's, such as /primary_ips."""

    async def of_kind(call: Call) -> Answer:
        return _list(call, (action for action in call.cloud.store.actions.values() if _concerns(action, ref_type)))

    async def one_of_kind(call: Call) -> Answer:
        return _one(call, call.id, lambda action: _concerns(action, ref_type))

    async def of_resource(call: Call) -> Answer:
        common.get(kind, table(call.cloud), call.id)
        ref = Ref(ref_type, call.id)
        return _list(call, (action for action in call.cloud.store.actions.values() if ref in action.resources))

    async def one_of_resource(call: Call) -> Answer:
        ref = Ref(ref_type, call.id)
        return _one(call, int(call.request.path_params["action_id"]), lambda action: ref in action.resources)

    handlers: dict[str, Handler] = {
        f"{path}/actions": of_kind,
        f"{path}/actions/{{id:int}}": one_of_kind,
        f"{path}/{{id:int}}/actions": of_resource,
        f"{path}/{{id:int}}/actions/{{action_id:int}}": one_of_resource,
    }
    return {("GET", where): handler for where, handler in handlers.items()}


def _concerns(action: Action, ref_type: str) -> bool:
    return any(ref.type == ref_type for ref in action.resources)


def _list(call: Call, actions: Iterable[Action]) -> Answer:
    return listing.answer(call, "actions", actions, wire.action, _FILTERS)


def _one(call: Call, action_id: int, belongs: Callable[[Action], bool]) -> Answer:
    action = common.get("action", call.cloud.store.actions, action_id)
    if not belongs(action):
        raise CloudError("not_found", f"action with ID '{action_id}' not found")
    return Answer({"action": wire.action(action)})


ROUTES: Routes = {("GET", "/actions"): list_by_id, ("GET", "/actions/{id:int}"): get}
