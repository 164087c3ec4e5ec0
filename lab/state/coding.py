"""Dataclasses to JSON and back. Reading is strict: what does not fit the types is refused by name."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

_T = TypeVar("_T")

#: What can be written as JSON.
Data = dict[str, object]


def to_json(item: object) -> str:
    """Dataclasses, and what is made of them, as JSON; keys of mappings become text."""
    return json.dumps(item, default=vars)


def encode(item: object) -> Data:
    """A dataclass as JSON data."""
    return cast("Data", json.loads(to_json(item)))


def decode(kind: type[_T], data: object, where: str = "") -> _T:
    """JSON data as this dataclass. Raises ValueError, naming the place, when a value does not fit or is unknown."""
    return cast("_T", _decode(kind, data, where))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(kind: Any, data: object, where: str) -> object:  # noqa: ANN401  (because type hints have no type of their own)
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _decode_fields(cast("type", kind), _expect(dict, data, where), where)
    if origin in (types.UnionType, Union):
        if data is None and type(None) in arguments:
            return None
        (inner,) = (item for item in arguments if item is not type(None))
        return _decode(inner, data, where)
    if origin is Literal:
        if data not in arguments:
            raise ValueError(f"{where} must be one of {', '.join(map(str, arguments))}")
        return data
    if origin is dict:
        key_kind, value_kind = arguments
        return {
            _key(key_kind, key, where): _decode(value_kind, value, f"{where}.{key}")
            for key, value in _expect(dict, data, where).items()
        }
    if origin in (list, tuple):
        items = [_decode(arguments[0], item, f"{where}.{at}") for at, item in enumerate(_expect(list, data, where))]
        return tuple(items) if origin is tuple else items
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    return _expect(kind, data, where)


def _key(kind: type, text: str, where: str) -> object:
    if kind is int:
        if not text.isdecimal():
            raise ValueError(f"{where}: '{text}' must be a number")
        return int(text)
    return text


def _decode_fields(kind: type, data: Mapping[str, object], where: str) -> object:
    hints = _hints(kind)
    known = {item.name: item for item in fields(kind)}
    for name in data:
        if name not in known:
            raise ValueError(f"{_at(where, name)} is not known")
    for name, item in known.items():
        if name not in data and item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{_at(where, name)} is missing")
    return kind(**{name: _decode(hints[name], value, _at(where, name)) for name, value in data.items()})


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _expect(kind: type[_T], data: object, where: str) -> _T:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise ValueError(f"{where or 'the whole'} must be {kind.__name__}, not {type(data).__name__}")
    return data
