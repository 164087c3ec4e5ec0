"""The errors the cloud answers with: the vendor's codes, each with its HTTP status.

Codes and statuses are those of the vendor's API document: its general table, and the operation-specific tables in the
descriptions of its operations. ``not_implemented`` is the one code of our own.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Codes whose status is not 422, which is what every operation-specific code has unless its table says otherwise.
STATUS_OF_CODE: Mapping[str, int] = {
    "json_error": 400,
    "unauthorized": 401,
    "token_readonly": 401,
    "forbidden": 403,
    "maintenance": 403,
    "resource_limit_exceeded": 403,
    "not_found": 404,
    "firewall_resource_not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "uniqueness_error": 409,
    "deprecated_api_endpoint": 410,
    "primary_ip_version_mismatch": 412,
    "resource_unavailable": 412,
    "locked": 423,
    "protected": 423,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "not_implemented": 501,
    "bad_gateway": 502,
    "unavailable": 503,
    "timeout": 504,
}
DEFAULT_STATUS = 422

Details = Mapping[str, object]


class CloudError(Exception):
    """A request or an action was refused or failed. ``code`` is for machines, ``message`` for people."""

    def __init__(self, code: str, message: str, details: Details | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.status = status or STATUS_OF_CODE.get(code, DEFAULT_STATUS)


def invalid_field(field: str, message: str) -> CloudError:
    """A value in the request that cannot be accepted, named as the vendor names it."""
    return CloudError(
        "invalid_input",
        f"invalid input in field '{field}': {message}",
        {"fields": [{"name": field, "messages": [message]}]},
    )


def invalid(message: str) -> CloudError:
    """A request whose values are fine one by one but not together."""
    return CloudError("invalid_input", message)


def not_found(kind: str, key: object) -> CloudError:
    return CloudError("not_found", f"{kind} with ID '{key}' not found")


def already_used(what: str, field: str = "name") -> CloudError:
    return CloudError("uniqueness_error", f"{what} is already used", {"fields": [{"name": field}]})


def protected(kind: str) -> CloudError:
    return CloudError("protected", f"{kind} deletion is protected")


def not_implemented(message: str) -> CloudError:
    """Something the vendor offers and the embedded cloud cannot make true."""
    return CloudError("not_implemented", f"{message} (the embedded cloud does not implement this)")
