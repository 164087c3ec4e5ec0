"""Lists: filtered, sorted and in pages, the same way for every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from lab.api.http import Answer, Call
from lab.errors import invalid_field
from lab.state.labels import Selector
from lab.wire.catalogue import Json

_DEFAULT_PER_PAGE = 25
_MOST_PER_PAGE = 50

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Filters:
    """What the list of a kind can be filtered and sorted by.

    ``exact`` are parameters that may be given more than once, compared with the field of the same name in what the
    vendor would write. ``choices`` are the values a parameter may have, where it is not free text.
    """

    exact: Sequence[str] = ("name",)
    labels: bool = True
    sort: Sequence[str] = ("id", "name", "created")
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)


def answer(
    call: Call, key: str, items: Iterable[_Item], render: Callable[[_Item], Json], filters: Filters | None = None
) -> Answer:
    """One page of ``items`` under ``key``."""
    filters = filters or Filters()
    rows = [render(item) for item in items]
    for parameter in filters.exact:
        wanted = call.all(parameter)
        _check_choices(parameter, wanted, filters)
        if wanted:
            rows = [row for row in rows if str(row[parameter]) in wanted]
    if filters.labels:
        rows = _selected(call, rows)
    _sort(rows, call.all("sort"), filters.sort)
    return _page(call, key, rows)


def _check_choices(parameter: str, wanted: Sequence[str], filters: Filters) -> None:
    choices = filters.choices.get(parameter)
    if choices is None:
        return
    for value in wanted:
        if value not in choices:
            raise invalid_field(parameter, f"must be one of {', '.join(choices)}")


def _selected(call: Call, rows: list[Json]) -> list[Json]:
    text = call.one("label_selector")
    if not text:
        return rows
    try:
        selector = Selector.parse(text)
    except ValueError as error:
        raise invalid_field("label_selector", str(error)) from error
    selected = []
    for row in rows:
        labels = row["labels"]
        if isinstance(labels, Mapping) and selector.matches(labels):
            selected.append(row)
    return selected


def _sort(rows: list[Json], orders: Sequence[str], fields: Sequence[str]) -> None:
    """By the first order first; without any, by ID."""
    for order in reversed(orders):
        name, _, direction = order.partition(":")
        if name not in fields or direction not in ("", "asc", "desc"):
            raise invalid_field("sort", f"'{order}' must be one of {', '.join(fields)}, with :asc or :desc or neither")
        rows.sort(key=partial(_sort_key, name), reverse=direction == "desc")


def _sort_key(name: str, row: Json) -> tuple[bool, int | str]:
    """Absent values, such as the end of a running action, come first."""
    value = cast("int | str | None", row[name])
    return value is not None, "" if value is None else value


def _page(call: Call, key: str, rows: list[Json]) -> Answer:
    page = _positive(call, "page", 1)
    per_page = _positive(call, "per_page", _DEFAULT_PER_PAGE)
    if per_page > _MOST_PER_PAGE:
        raise invalid_field("per_page", f"must not be greater than {_MOST_PER_PAGE}")
    last_page = max(1, -(-len(rows) // per_page))
    neighbours = {
        "prev": page - 1 if 1 < page <= last_page else None,
        "next": page + 1 if page < last_page else None,
        "last": last_page,
    }
    pagination = {
        "page": page,
        "per_page": per_page,
        "previous_page": neighbours["prev"],
        "next_page": neighbours["next"],
        "last_page": last_page,
        "total_entries": len(rows),
    }
    payload: Json = {key: rows[(page - 1) * per_page : page * per_page], "meta": {"pagination": pagination}}
    link = ", ".join(
        f'<{call.request.url.include_query_params(page=number, per_page=per_page)}>; rel="{name}"'
        for name, number in neighbours.items()
        if number is not None
    )
    return Answer(payload, link=link)


def _positive(call: Call, parameter: str, default: int) -> int:
    text = call.one(parameter)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise invalid_field(parameter, "must be a whole number from 1")
    return int(text)


def integers(call: Call, parameter: str) -> list[int]:
    """All values of a parameter that may be given more than once."""
    values = call.all(parameter)
    if not all(value.isdecimal() for value in values):
        raise invalid_field(parameter, "must be whole numbers")
    return [int(value) for value in values]
