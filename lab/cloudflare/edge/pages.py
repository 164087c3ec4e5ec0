"""The pages the edge answers itself.

https://developers.cloudflare.com/support/troubleshooting/http-status-codes/
"""

from __future__ import annotations

from html import escape

_TITLES = {
    400: "Bad request",
    501: "Not implemented",
    520: "Web server returned an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    526: "Invalid SSL certificate",
    1001: "DNS resolution error",
    1003: "Direct IP access not allowed",
    1016: "Origin DNS error",
}
#: Errors with a number of their own, which stands on the page, and the status they come with.
_STATUS = {1001: 409, 1003: 403, 1016: 530}


class EdgeError(Exception):
    """The edge answers itself, with this error and the reason in a sentence."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, self.code)


def page(error: EdgeError, host: str, ray: str) -> bytes:
    title = f"{error.code}: {_TITLES[error.code]}"
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(host)} | {title}</title></head>',
        f"<body><h1>Error {title}</h1>",
        f"<p>{escape(error.reason)}</p>",
        f"<p>Embedded Cloudflare, for tests only. Ray {escape(ray)}. error code: {error.code}</p></body></html>",
    ]
    return "\n".join([*lines, ""]).encode()
