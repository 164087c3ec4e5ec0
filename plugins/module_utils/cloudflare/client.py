# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to Cloudflare's API: how often it is asked again, and what its errors mean.

Requests are answered by an envelope, ``{"success", "errors", "messages", "result", "result_info"}``:
https://developers.cloudflare.com/fundamentals/api/how-to/make-api-calls/. 1200 requests are allowed in five minutes,
and one more closes the API for the next five: https://developers.cloudflare.com/fundamentals/api/reference/limits/.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.urls import Request, make_context

from ..retries import UNCLEAR, Retries

DEFAULT_ENDPOINT = "https://api.cloudflare.com/client/v4"

#: Options of every module that talks to the API; documented in the fragment ``cloudflare``.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "api_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CLOUDFLARE_API_TOKEN"])},
    "api_endpoint": {
        "type": "str",
        "default": DEFAULT_ENDPOINT,
        "fallback": (env_fallback, ["CLOUDFLARE_API_ENDPOINT"]),
    },
    "zone": {"type": "str", "required": True},
}

#: Seconds without a byte of the answer after which a request counts as lost.
TIMEOUT = 30
#: Bytes that are read of an answer: more than a page of anything that is asked for here.
ANSWER_LIMIT = 16 << 20

#: The group of permissions that an endpoint needs, as the dashboard names it; the first that fits.
#: https://developers.cloudflare.com/fundamentals/api/reference/permissions/
PERMISSIONS = (
    (re.compile(r"/zones/[^/]+/dns_records\b"), "DNS"),
    (re.compile(r"/zones/[^/]+/settings\b"), "Zone Settings"),
    (re.compile(r"/zones/[^/]+/rulesets\b"), "Transform Rules"),
    (re.compile(r"/certificates\b"), "SSL and Certificates"),
    (re.compile(r"/zones\b"), "Zone"),
)
#: Codes that say that the token is none, as users of the live API report them: 1000 "Invalid API Token", 6003 with
#: 6111 "Invalid format for Authorization header", 9106 "Missing … headers".
_INVALID_TOKEN = frozenset({1000, 6003, 6111, 9106, 9107})
#: Codes that say that records are no longer as they were read: one is gone (81044), or there now (81053 to 81058).
#: https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/
_OUTDATED = frozenset({81044, 81053, 81054, 81056, 81057, 81058})


class CloudflareError(Exception):
    """Cloudflare cannot be used as asked; the message is a sentence for a person.

    ``unclear``: nobody knows whether it was carried out. ``outdated``: what is there was no longer what had been read.
    In both cases it has to be read again. ``changed``: something may have been changed before.
    """

    unclear = False
    outdated = False
    changed = False


class RefusedError(CloudflareError):
    """The API has refused a request. ``status`` is HTTP's; ``codes`` are those of the envelope's errors."""

    def __init__(self, sentence: str, status: int, codes: frozenset[int] = frozenset()) -> None:
        super().__init__(sentence)
        self.status = status
        self.codes = codes
        self.unclear = self.code in UNCLEAR
        self.outdated = bool(codes & _OUTDATED)

    @property
    def code(self) -> int:
        """For :class:`Retries`. Above 504 are Cloudflare's own statuses of a server that has not answered it."""
        return 502 if self.status > 504 else self.status


class UnansweredError(CloudflareError):
    unclear = True


class _NoAnswerError(OSError):
    """There was an answer, but not a whole one of HTTP's."""


@dataclass(frozen=True)
class Answer:
    result: Any
    info: Mapping[str, Any]  # of a listing: page, per_page, count, total_count


class Client:
    """Requests with one token, about one zone, whose name is for sentences."""

    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, token: str, endpoint: str, zone: str) -> None:
        self._endpoint = endpoint
        self.zone = zone
        self._retries = Retries()
        self._http = Request(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=TIMEOUT,
            # Made once, since reading all authorities takes longer than a request. Without TLS, on loopback, it idles.
            context=make_context() if endpoint.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            follow_redirects="none",  # the token is for this host alone
            use_netrc=False,  # else a password for the host, if there is one, takes the token's place
            http_agent="bulwark.hetzner",
        )

    def get(self, path: str, **query: str | int) -> Answer:
        return self.request("GET", path, query)

    def list_all(self, path: str, per_page: int, **query: str | int) -> Iterator[dict[str, Any]]:
        """Every object of a listing, page after page: until there are as many as it says, or a page brings none."""
        seen: set[str] = set()
        page = 1
        while True:
            answer = self.get(path, **query, page=page, per_page=per_page)
            new = [item for item in answer.result or () if item["id"] not in seen]
            yield from new
            seen.update(item["id"] for item in new)
            total = answer.info.get("total_count")
            if not new or (isinstance(total, int) and len(seen) >= total):
                return
            page += 1

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One request: ``path`` begins after the endpoint, such as ``/zones``. Raises :class:`CloudflareError`."""
        url = self._endpoint + path + (f"?{urlencode(query)}" if query else "")
        attempt = 0
        while True:
            headers: dict[str, str] = {}
            try:
                answer = self._ask(method, url, path, body, headers)
            except (RefusedError, OSError) as error:
                pause = self._retries.pause(method, error, headers, attempt)
                if pause is None:
                    if isinstance(error, RefusedError):
                        raise
                    raise UnansweredError(self._unreachable(error)) from error
                self.sleep(pause)
            else:
                self._retries.succeeded()
                return answer
            attempt += 1

    def _ask(self, method: str, url: str, path: str, body: Mapping[str, Any] | None, headers: dict[str, str]) -> Answer:
        try:
            status, document = self._exchange(method, url, body, headers)
        except http.client.HTTPException as error:
            raise _NoAnswerError(str(error) or type(error).__name__) from error
        except OSError as error:
            certificate = getattr(error, "reason", error)
            if isinstance(certificate, ssl.SSLCertVerificationError):
                # Asking again does not help.
                raise CloudflareError(
                    f"The certificate of Cloudflare's API at {self._host} is not trusted "
                    f"({certificate.verify_message}): check CLOUDFLARE_API_ENDPOINT and this machine's authorities."
                ) from error
            raise
        envelope = _parse(document)
        if status < 300 and not envelope:
            raise _NoAnswerError("what answers is not the API")
        if status >= 300 or envelope.get("success") is not True:
            raise self._refused(method, path, status, envelope)
        return Answer(envelope.get("result"), envelope.get("result_info") or {})

    def _exchange(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        try:
            data = None if body is None else json.dumps(body).encode()
            with self._http.open(method, url, data=data) as answer:
                content = bytes(answer.read(ANSWER_LIMIT))
                if answer.length:
                    raise _NoAnswerError("its answer was cut short")
                return int(answer.status), content
        except HTTPError as error:
            with error:
                headers.update((name.lower(), value) for name, value in error.headers.items())
                return error.code, error.read(ANSWER_LIMIT)

    @property
    def _host(self) -> str:
        return urlsplit(self._endpoint).netloc

    def _unreachable(self, error: OSError) -> str:
        reason = getattr(error, "reason", error)
        return (
            f"Cloudflare's API does not answer at {self._host}: check the network and CLOUDFLARE_API_ENDPOINT "
            f"({getattr(reason, 'strerror', None) or reason or type(reason).__name__})."
        )

    def _refused(self, method: str, path: str, status: int, envelope: Mapping[str, Any]) -> RefusedError:
        errors = list(_errors(envelope))
        codes = frozenset(code for code, _ in errors)
        said = "; ".join(f"{message.rstrip('.')} ({code})" for code, message in errors) or f"status {status}"
        meaning = self._meaning(method, path, status, codes, said)
        sentence = f"{meaning} (Cloudflare said: {said}.)" if meaning else f"Cloudflare refused: {said}."
        return RefusedError(sentence, status, codes)

    def _meaning(self, method: str, path: str, status: int, codes: frozenset[int], said: str) -> str:
        """What to do, for the errors that there is something to do about."""
        if status == 429:
            return "Cloudflare's allowance of 1200 requests in five minutes is used up: run again in five minutes."
        if status >= 500 and status != 501:
            return "Cloudflare's API is not available: run again later."
        if "from location" in said:
            return "The token may not be used from this machine's address: add it to the token's IP address filter."
        if status == 401 or codes & _INVALID_TOKEN or "Invalid access token" in said:
            return (
                "Cloudflare does not accept the API token: check CLOUDFLARE_API_TOKEN, and in the dashboard under My "
                "Profile, API Tokens, that it is active and has not expired."
            )
        if status == 403:
            return self._missing_permission(method, path)
        return ""

    def _missing_permission(self, method: str, path: str) -> str:
        group = next((name for pattern, name in PERMISSIONS if pattern.match(path)), None)
        if group is None:
            return ""
        level = "Read" if method == "GET" else "Edit"
        return (
            f"The token lacks the permission Zone → {group} → {level} for the zone {self.zone}: add it in the "
            "Cloudflare dashboard under My Profile, API Tokens."
        )


def create_client(options: Mapping[str, Any]) -> Client:
    """A client by the options of :data:`ARGUMENTS`. Raises :class:`CloudflareError` where it could never work."""
    token, endpoint = options["api_token"], options["api_endpoint"].rstrip("/")
    if not token:
        raise CloudflareError(
            "There is no API token for Cloudflare: set the environment variable CLOUDFLARE_API_TOKEN (Cloudflare "
            "dashboard, My Profile, API Tokens)."
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise CloudflareError(
            "The API token for Cloudflare holds characters no token has: copy it again, without spaces or line breaks."
        )
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname or url.username:
        raise CloudflareError(f"api_endpoint: {endpoint!r} is no URL such as {DEFAULT_ENDPOINT}.")
    if url.scheme == "http" and not _is_loopback(url.hostname):
        raise CloudflareError(f"api_endpoint: {endpoint} would send the token in the clear: use https.")
    return Client(token, endpoint, options["zone"])


def _parse(document: bytes) -> Mapping[str, Any]:
    """The envelope, or nothing where it is none, as of a proxy on the way."""
    try:
        envelope = json.loads(document)
    except ValueError:
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _errors(envelope: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Codes and messages; the chain under an error says more exactly what it is about."""
    errors = envelope.get("errors")
    for error in errors if isinstance(errors, list) else ():
        if isinstance(error, dict):
            code = error.get("code")
            yield code if isinstance(code, int) else 0, str(error.get("message", ""))
            yield from _errors({"errors": error.get("error_chain")})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
