"""Rules that hold for every kind of resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from typing import Protocol, TypeVar

from lab.actions import Work
from lab.errors import CloudError, already_used, invalid_field, not_found, protected
from lab.state.labels import Selector, labels_problem
from lab.state.resources import Ref
from lab.state.store import Store


class Named(Protocol):
    id: int
    name: str
    labels: dict[str, str]


class Protectable(Protocol):
    protect_delete: bool


_R = TypeVar("_R")


def get(kind: str, table: Mapping[int, _R], key: int) -> _R:
    """The resource with this ID; otherwise the vendor's answer for a missing one."""
    if key not in table:
        raise not_found(kind, key)
    return table[key]


def check_name_is_free(kind: str, name: str, table: Mapping[int, Named], own_id: int | None = None) -> None:
    if any(resource.name == name and resource.id != own_id for resource in table.values()):
        raise already_used(f"{kind} name")


def check_labels(labels: Mapping[str, str]) -> dict[str, str]:
    problem = labels_problem(labels)
    if problem:
        raise invalid_field("labels", problem)
    return dict(labels)


def check_selector(selector: str, field: str) -> str:
    try:
        Selector.parse(selector)
    except ValueError as error:
        raise invalid_field(field, str(error)) from error
    return selector


def check_unlocked(store: Store, *refs: Ref) -> None:
    for ref in refs:
        if store.is_locked(ref):
            kind = ref.type.replace("_", " ")
            raise CloudError("locked", f"cannot perform operation because {kind} is locked")


def check_deletable(kind: str, resource: Protectable) -> None:
    if resource.protect_delete:
        raise protected(kind)


def rename(kind: str, resource: Named, table: Mapping[int, Named], name: str | None) -> None:
    if name is not None:
        check_name_is_free(kind, name, table, resource.id)
        resource.name = name


def relabel(resource: Named, labels: Mapping[str, str] | None) -> None:
    if labels is not None:
        resource.labels = check_labels(labels)


def restoring(resource: object, *names: str) -> Work:
    """What undoes changes that are yet to be made to these attributes."""
    before = {name: copy(getattr(resource, name)) for name in names}

    async def undo() -> None:
        for name, value in before.items():
            setattr(resource, name, value)

    return undo


def check_limit(store: Store, kind: str, present: int) -> None:
    """Whether one more resource may be had; ``kind`` as the limits of the project name it."""
    limit = store.conditions.limits.get(kind)
    if limit is not None and present >= limit:
        raise CloudError("resource_limit_exceeded", "project limit exceeded", {"limits": [{"name": "project_limit"}]})


def unique(items: Iterable[int], field: str) -> list[int]:
    listed = list(items)
    if len(set(listed)) != len(listed):
        raise invalid_field(field, "has the same ID more than once")
    return listed
