"""Reads the JSON object of a request, field by field, refusing what has the wrong type as the vendor does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from lab.errors import CloudError, invalid_field

_T = TypeVar("_T")


class Body:
    """The fields of an object. A field that is missing or null is absent; fields nobody asks for are ignored."""

    def __init__(self, data: Mapping[str, object], path: str = "") -> None:
        self._data = data
        self._path = path

    @classmethod
    def parse(cls, text: bytes) -> Body:
        """An empty body counts as an empty object: many actions need no field."""
        try:
            data = json.loads(text) if text.strip() else {}
        except ValueError as error:
            raise CloudError("json_error", f"invalid JSON in request: {error}") from error
        if not isinstance(data, dict):
            raise CloudError("json_error", "the request is not a JSON object")
        return cls(data)

    @property
    def data(self) -> dict[str, object]:
        """The object as it came."""
        return dict(self._data)

    def string(self, name: str) -> str:
        return self._required(name, self.optional_string(name))

    def optional_string(self, name: str) -> str | None:
        return self._typed(name, str, "a string")

    def name(self) -> str:
        """The resource's name, which must not be empty."""
        return self._required("name", self.optional_name())

    def optional_name(self) -> str | None:
        name = self.optional_string("name")
        if name == "":
            raise self._invalid("name", "must not be empty")
        return name

    def integer(self, name: str) -> int:
        return self._required(name, self.optional_integer(name))

    def optional_integer(self, name: str) -> int | None:
        value = self._data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | None):
            raise self._invalid(name, "must be an integer")
        return value

    def boolean(self, name: str, default: bool) -> bool:
        value = self.optional_boolean(name)
        return default if value is None else value

    def required_boolean(self, name: str) -> bool:
        return self._required(name, self.optional_boolean(name))

    def optional_boolean(self, name: str) -> bool | None:
        return self._typed(name, bool, "a boolean")

    def id_or_name(self, name: str) -> str:
        return self._required(name, self.optional_id_or_name(name))

    def optional_id_or_name(self, name: str) -> str | None:
        return _id_or_name(self._data.get(name), self._at(name))

    def ids_or_names(self, name: str) -> list[str]:
        listed = [_id_or_name(item, self._at(name)) for item in self._list(name)]
        return [self._required(name, item) for item in listed]

    def integers(self, name: str) -> list[int]:
        return [Body({name: item}, self._path).integer(name) for item in self._list(name)]

    def strings(self, name: str) -> list[str]:
        return [Body({name: item}, self._path).string(name) for item in self._list(name)]

    def optional_integers(self, name: str) -> list[int] | None:
        return None if self._data.get(name) is None else self.integers(name)

    def optional_strings(self, name: str) -> list[str] | None:
        return None if self._data.get(name) is None else self.strings(name)

    def is_null(self, name: str) -> bool:
        """Whether the field is there and null, for those where that says something."""
        return name in self._data and self._data[name] is None

    def required_strings(self, name: str) -> list[str]:
        self._required(name, self._data.get(name))
        return self.strings(name)

    def nested(self, name: str) -> Body:
        """A nested object; an absent one reads like an empty one."""
        value = self._data.get(name)
        if not isinstance(value, dict | None):
            raise self._invalid(name, "must be an object")
        return Body(value or {}, self._at(name))

    def objects(self, name: str) -> list[Body]:
        nested = []
        for number, item in enumerate(self._list(name)):
            if not isinstance(item, dict):
                raise self._invalid(f"{name}.{number}", "must be an object")
            nested.append(Body(item, self._at(f"{name}.{number}")))
        return nested

    def required_objects(self, name: str) -> list[Body]:
        self._required(name, self._data.get(name))
        return self.objects(name)

    def labels(self) -> dict[str, str]:
        return self.optional_labels() or {}

    def optional_labels(self) -> dict[str, str] | None:
        value = self._data.get("labels")
        if value is None:
            return None
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise self._invalid("labels", "must be an object of strings")
        return value

    def refuse(self, name: str, message: str) -> None:
        """For fields that the vendor took away: ignoring them would hide a mistake."""
        if self._data.get(name) is not None:
            raise self._invalid(name, message)

    def _list(self, name: str) -> list[object]:
        return self._typed(name, list, "an array") or []

    def _typed(self, name: str, kind: type[_T], article_and_kind: str) -> _T | None:
        value = self._data.get(name)
        if value is None or isinstance(value, kind):
            return value
        raise self._invalid(name, f"must be {article_and_kind}")

    def _required(self, name: str, value: _T | None) -> _T:
        if value is None:
            raise self._invalid(name, "is required")
        return value

    def _invalid(self, name: str, message: str) -> CloudError:
        return invalid_field(self._at(name), message)

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _id_or_name(value: object, field: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise invalid_field(field, "must be an ID or a name")
