# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to the Hetzner Cloud API: who calls it, how often it is asked again, and what its errors mean.

Everything talks to the API through ``Client.request``, with the JSON as the vendor documents it
(https://docs.hetzner.cloud/reference/cloud); ``hcloud`` brings authentication, connections and its own retries.
"""

from __future__ import annotations

import ipaddress
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import env_fallback
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import Retries

__all__ = ["ARGUMENTS", "DEFAULT_ENDPOINT", "APIException", "Client", "ClientError", "create_client", "explain"]

HCLOUD_IMPORT_ERROR: str | None = None
if TYPE_CHECKING:
    from hcloud import APIException
    from hcloud import Client as HcloudClient
else:
    try:
        from hcloud import APIException
        from hcloud import Client as HcloudClient
    except ImportError:
        HCLOUD_IMPORT_ERROR = traceback.format_exc()
        APIException = HcloudClient = type("HcloudIsMissing", (Exception,), {})

DEFAULT_ENDPOINT = "https://api.hetzner.cloud/v1"

#: Options of every module that talks to the API; documented in the fragment ``hcloud``.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "api_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["HCLOUD_TOKEN"])},
    "api_endpoint": {"type": "str", "default": DEFAULT_ENDPOINT, "fallback": (env_fallback, ["HCLOUD_ENDPOINT"])},
}

#: Seconds to wait for a connection, and without a byte of the answer, after which a request counts as lost.
REQUEST_TIMEOUT = (10, 30)
#: The vendor's maximum, so that a listing takes the fewest requests.
PER_PAGE = 50


class ClientError(Exception):
    """The API cannot be used as asked; the message is a sentence for a person."""


class Client(HcloudClient):
    """An ``hcloud.Client`` whose requests are repeated by one rule, see :class:`Retries`, shared by all threads."""

    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, token: str, api_endpoint: str) -> None:
        super().__init__(
            token=token, api_endpoint=api_endpoint, application_name="bulwark.hetzner", timeout=REQUEST_TIMEOUT
        )
        # The library's own retries would multiply with ours, know no header, and repeat creations blindly.
        self._client._retry_max_retries = 0
        self.retries = Retries()
        self._clock_difference = timedelta()

    def request(self, method: str, url: str, **kwargs: object) -> dict[str, Any]:
        """One request: ``url`` begins after the endpoint, such as ``/servers``; the JSON of the answer.

        ``kwargs`` are those of ``requests``, here ``params`` (the query) and ``json`` (the body). Raises, at last,
        :class:`APIException`, or an OSError where there was no answer.
        """
        attempt = 0
        while True:
            self._pause(self.retries.wait())
            headers: dict[str, str] = {}
            try:
                answer = super().request(method, url, hooks={"response": _keep_headers(headers)}, **kwargs)
            except (APIException, OSError) as error:
                pause = self.retries.pause(method, error, headers, attempt)
                if pause is None:
                    raise
                self._pause(pause)
            else:
                self.retries.succeeded()
                self._set_clock(headers)
                return answer
            attempt += 1

    def now(self) -> datetime:
        """The time by the API's clock, as far as an answer has told it: controllers' clocks may differ."""
        return datetime.now(UTC) + self._clock_difference

    def _set_clock(self, headers: dict[str, str]) -> None:
        if "date" in headers:
            self._clock_difference = parsedate_to_datetime(headers["date"]) - datetime.now(UTC)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.sleep(seconds)

    def list_all(self, url: str, **params: object) -> Iterator[dict[str, Any]]:
        """Every object of a listing such as ``/servers``, page after page. ``params`` are the query's."""
        page: int | None = 1
        while page is not None:
            answer = self.request("GET", url, params={**params, "page": page, "per_page": PER_PAGE})
            yield from answer[url.rpartition("/")[2]]
            page = answer["meta"]["pagination"]["next_page"]


def create_client(token: str | None, endpoint: str | None = None) -> Client:
    """A client for the project that ``token`` belongs to.

    ``endpoint`` is the URL of the API up to and including its version, None for the vendor's. Raises
    :class:`ClientError` where the token is missing, cannot be one, or would travel in the clear.
    """
    if HCLOUD_IMPORT_ERROR:
        raise ClientError(
            "The Python library hcloud is missing: install it where the playbook runs (pip install hcloud)."
        )
    if not token:
        raise ClientError(
            "There is no API token: set the environment variable HCLOUD_TOKEN (a token with read and write permission "
            "of the project, from the Hetzner Console under Security, API tokens)."
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ClientError("The API token holds characters no token has: copy it again, without spaces or line breaks.")
    endpoint = (endpoint or DEFAULT_ENDPOINT).rstrip("/")
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ClientError(f"The API endpoint {endpoint!r} is no URL such as {DEFAULT_ENDPOINT}.")
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise ClientError(f"The API endpoint {endpoint} would send the token in the clear: use https.")
    return Client(token, endpoint)


def _keep_headers(headers: dict[str, str]) -> Callable[..., None]:
    """A hook that puts an answer's headers there, in lower case; the library itself keeps them for itself."""
    return lambda response, **_kwargs: headers.update((name.lower(), value) for name, value in response.headers.items())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_MEANINGS: dict[str | int, str] = {
    "unauthorized": "The API does not accept the token: check HCLOUD_TOKEN, and that the token was not revoked.",
    "token_readonly": "The token may only read: create one with read and write permission.",
    "forbidden": "The token may not do this: create one with read and write permission.",
    "rate_limit_exceeded": "The project's requests for this hour are used up: wait a few minutes and run again.",
    "locked": "Another action is still running on this resource: run again when it has ended.",
    "resource_limit_exceeded": "The project's limit is reached: ask for a higher one in the Hetzner Console, Limits.",
    "resource_unavailable": "The location has none left of this: run again later, or choose another type or location.",
    "placement_error": "The placement group finds no host for the server: run again later.",
    "maintenance": "The API is under maintenance: run again later.",
    "unavailable": "The API is not available: run again later.",
    503: "The API is not available: run again later.",
}


def explain(error: BaseException) -> str:
    """One clear sentence, and in brackets what the vendor said, for any error a request can raise."""
    if isinstance(error, APIException):
        said = ": ".join(filter(None, (error.message, _invalid_fields(error.details))))
        origin = f"{error.code}, request {error.correlation_id}" if error.correlation_id else str(error.code)
        meaning = _MEANINGS.get(error.code)
        return f"{meaning} (The API said: {said}; {origin}.)" if meaning else f"The API refused: {said} ({origin})."
    if isinstance(error, OSError):  # the base of all that the HTTP library raises
        request = getattr(error, "request", None)
        where = urlsplit(getattr(request, "url", None) or "").netloc or "its endpoint"
        return f"The API does not answer at {where}: check the network and HCLOUD_ENDPOINT ({type(error).__name__})."
    return str(error) or type(error).__name__


def _invalid_fields(details: object) -> str:
    fields = details.get("fields") if isinstance(details, dict) else None
    if not isinstance(fields, list):
        return ""
    # A duplicate name, for one, is told without a message for its field.
    told = [field for field in fields if field.get("messages")]
    return "; ".join(f"{field.get('name')}: {', '.join(field['messages'])}" for field in told)
