"""Checks answers against the vendor's API document, where it is at hand."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from tests.checkout import ROOT

SPEC_PATH = Path(os.environ.get("BULWARK_API_SPEC", ROOT.parent / "shared" / "hetzner-cloud-api" / "cloud.spec.json"))

#: Where the live API has moved on since the document of June 2026: properties that answers no longer have.
DROPPED_PROPERTIES = {
    "datacenter": "servers and primary IPs lost it in July 2026",
}

#: Operations whose answer the live API has changed since: they answer what another operation of the document does.
CHANGED_ANSWERS = {
    ("DELETE", "/load_balancers/{id}"): ("DELETE", "/servers/{id}"),  # an action, since October 2026
}

Schema = dict[str, Any]


class Spec:
    def __init__(self, path: Path) -> None:
        self._document = json.loads(path.read_text())
        self._paths = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path, operations)
            # Fixed paths before those with parameters: /servers/actions is no server.
            for path, operations in sorted(self._document["paths"].items(), key=lambda item: "{" in item[0])
        ]

    def operations(self) -> set[tuple[str, str]]:
        """Method and path of everything the vendor has."""
        return {
            (method.upper(), path)
            for _, path, operations in self._paths
            for method in operations
            if method != "parameters"
        }

    def check(self, method: str, path: str, status: int, payload: bytes) -> None:
        """Fails when the answer is not one the document allows. Routes it does not know are not checked."""
        found = self._find(method, path)
        if found is None:
            return
        validator = self._validator(found, method, status)
        if validator is None:
            assert payload == b"", f"{method} {path}: {status} should have no content"
            return
        try:
            answer = json.loads(payload)
        except ValueError:
            raise AssertionError(f"{method} {path}: {status} is not JSON: {payload[:200]!r}") from None
        errors = sorted(validator.iter_errors(answer), key=str)
        assert not errors, f"{method} {path} ({status}): " + "; ".join(
            f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors[:5]
        )

    def _find(self, method: str, path: str) -> str | None:
        for pattern, template, operations in self._paths:
            if pattern.fullmatch(path) and method.lower() in operations:
                return template
        return None

    @cache  # noqa: B019 because there is one document for all tests
    def _validator(self, template: str, method: str, status: int) -> Draft202012Validator | None:
        """None for an answer without content."""
        method, template = CHANGED_ANSWERS.get((method, template), (method, template))
        responses = self._document["paths"][template][method.lower()]["responses"]
        keyed = {key.upper(): response for key, response in responses.items()}
        response = keyed.get(str(status)) or keyed.get(f"{status // 100}XX")
        assert response is not None, f"{method} {template} does not answer {status}"
        content = self._resolved(response).get("content")
        if not content:
            return None
        schema = self._json_schema(content["application/json"]["schema"], closed=status < 400)
        return Draft202012Validator(schema, format_checker=FormatChecker())

    def _resolved(self, node: Schema) -> Schema:
        while "$ref" in node:
            target: Any = self._document
            for part in node["$ref"].split("/")[1:]:
                target = target[part]
            node = target
        return node

    def _json_schema(self, node: Schema, closed: bool) -> Schema:
        """OpenAPI 3.0's dialect turned into JSON Schema; ``closed``: with no property the document does not name."""
        node = self._resolved(node)
        made = {key: value for key, value in node.items() if key in _KEPT}
        for several in ("allOf", "oneOf", "anyOf"):
            if several in node:
                made[several] = [self._json_schema(item, closed=False) for item in node[several]]
        if "items" in node:
            made["items"] = self._json_schema(node["items"], closed)
        if isinstance(node.get("additionalProperties"), dict):
            made["additionalProperties"] = self._json_schema(node["additionalProperties"], closed)
        if "properties" in node:
            kept = {key: value for key, value in node["properties"].items() if key not in DROPPED_PROPERTIES}
            made["properties"] = {key: self._json_schema(value, closed) for key, value in kept.items()}
            made["required"] = [key for key in node.get("required", ()) if key not in DROPPED_PROPERTIES]
            if closed and "allOf" not in node:
                made["additionalProperties"] = False
        if node.get("nullable"):
            return {"anyOf": [{"type": "null"}, made]}
        return made


_KEPT = ("type", "enum", "format", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")


@cache
def load_spec() -> Spec | None:
    return Spec(SPEC_PATH) if SPEC_PATH.is_file() else None
