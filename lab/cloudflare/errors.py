"""The errors the API answers with. Which of the vendor's codes are known from where stands in the documentation."""

from __future__ import annotations

from collections.abc import Sequence

BAD_REQUEST = 400
FORBIDDEN = 403
NOT_FOUND = 404
TOO_MANY = 429
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501

_NO_ROUTE = 7000


class CloudflareError(Exception):
    """A request was refused. ``chain`` are the errors behind this one, as code and message."""

    def __init__(
        self, code: int, message: str, status: int = BAD_REQUEST, chain: Sequence[tuple[int, str]] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.chain = tuple(chain)


def not_implemented(what: str) -> CloudflareError:
    """Something the vendor offers and this one does not; the code is the vendor's for a route that does not exist."""
    return CloudflareError(_NO_ROUTE, f"{what} (the embedded Cloudflare does not implement this)", NOT_IMPLEMENTED)
