# Copyright: Contributors to bulwark.hetzner
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way to object storage: signed requests, repeated where that does no harm, and errors as sentences.

Runs on the controller and on servers, so with Ansible's own HTTP functions and the standard library alone. Buckets are
named in the path, which every S3 service understands, and which needs no certificate for each bucket's own host name.
"""

from __future__ import annotations

import html
import http.client
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ansible.module_utils.basic import env_fallback
from ansible.module_utils.urls import open_url
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.names import (
    mistake_in_endpoint,
    mistake_in_region,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.object_storage.signature import (
    Credentials,
    encode_path,
    encode_query,
    sign,
)
from ansible_collections.bulwark.hetzner.plugins.module_utils.retries import Retries

#: Options of every module that talks to object storage; documented in the fragment ``s3``.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "endpoint": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "access_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["AWS_ACCESS_KEY_ID"])},
    "secret_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["AWS_SECRET_ACCESS_KEY"])},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 10},
}

#: Bytes that are read of an answer: more than any error, and than any object of ours.
ANSWER_LIMIT = 1 << 20


class ObjectStorageError(Exception):
    """Object storage cannot be used as asked; the message is a sentence for a person."""


class RefusedError(ObjectStorageError):
    """The service has refused a request. ``status`` is HTTP's; ``reason`` S3's code, empty where it gave none.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason

    @property
    def code(self) -> str | int:
        """For :class:`Retries`: two of S3's reasons say more than their status."""
        return {"OperationAborted": "conflict", "RequestTimeout": "timeout"}.get(self.reason, self.status)


class _UnansweredError(OSError):
    """There was an answer, but not one of HTTP's."""


@dataclass(frozen=True)
class Service:
    """Where the object storage is, and who asks it."""

    endpoint: str  # without a slash at its end
    region: str
    credentials: Credentials
    ca_path: str | None
    timeout: float

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).netloc


class Client:
    """Signed requests to one service."""

    sleep: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(self, service: Service) -> None:
        self.service = service
        self._retries = Retries()

    def request(
        self, method: str, bucket: str, key: str = "", query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> bytes:
        """The body of the answer. Raises :class:`ObjectStorageError`, after an answer :class:`RefusedError`."""
        path = encode_path(f"/{bucket}/{key}" if key else f"/{bucket}")
        url = self.service.endpoint + path + (f"?{encode_query(query)}" if query else "")
        attempt = 0
        while True:
            headers: dict[str, str] = {}
            try:
                answer = self._ask(method, url, bucket, body, headers)
            except (RefusedError, OSError) as error:
                pause = self._retries.pause(method, error, headers, attempt)
                if pause is None:
                    if isinstance(error, RefusedError):
                        raise
                    raise ObjectStorageError(self._unreachable(error)) from error
                self.sleep(pause)
            else:
                self._retries.succeeded()
                return answer
            attempt += 1

    def _ask(self, method: str, url: str, bucket: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        try:
            return self._exchange(method, url, bucket, body, headers)
        except http.client.HTTPException as error:
            raise _UnansweredError(str(error) or type(error).__name__) from error
        except OSError as error:
            certificate = getattr(error, "reason", error)
            if isinstance(certificate, ssl.SSLCertVerificationError):
                # Asking again does not help.
                raise ObjectStorageError(
                    f"The certificate of the object storage at {self.service.host} is not trusted "
                    f"({certificate.verify_message}): name its authority's certificate with ca_path, or check endpoint."
                ) from error
            raise

    def _exchange(self, method: str, url: str, bucket: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        service = self.service
        # The HTTP library would say that a body is a form's.
        given = {} if body is None else {"Content-Type": "application/octet-stream"}
        # Signed anew each time: a signature is good for a few minutes only.
        signed = sign(method, url, given, body or b"", service.credentials, service.region, datetime.now(UTC))
        try:
            with open_url(
                url,
                method=method,
                data=body,
                headers=signed,
                ca_path=service.ca_path,
                timeout=service.timeout,
                follow_redirects="none",  # the signature holds for this host alone
                use_netrc=False,  # else a password for the host, if there is one, takes the signature's place
                decompress=False,
                http_agent="bulwark.hetzner",
            ) as answer:
                content = bytes(answer.read(ANSWER_LIMIT))
                if answer.length:
                    raise _UnansweredError("its answer was cut short")
                return content
        except HTTPError as error:
            with error:
                headers.update((name.lower(), value) for name, value in error.headers.items())
                document = error.read(ANSWER_LIMIT).decode(errors="replace")
            raise self._refused(error.code, document, headers, bucket) from None

    def bucket_exists(self, bucket: str) -> bool:
        """Whether the bucket is there, by one request. Raises :class:`RefusedError` where it is somebody else's."""
        try:
            self.request("HEAD", bucket)
        except RefusedError as error:
            if error.status == 404:
                return False
            if error.status >= 500:
                raise
        else:
            return True
        # The answer to HEAD has no body, so it says no and not why. The same question, as one that is told why.
        try:
            self.request("GET", bucket, query={"list-type": "2", "max-keys": "1"})
        except RefusedError as error:
            if error.status == 404:
                return False
            raise
        return True

    def _unreachable(self, error: OSError) -> str:
        reason = getattr(error, "reason", error)
        return (
            f"The object storage does not answer at {self.service.host}: check endpoint, and the network "
            f"({getattr(reason, 'strerror', None) or reason or type(reason).__name__})."
        )

    def _refused(self, status: int, document: str, headers: Mapping[str, str], bucket: str) -> RefusedError:
        reason = _element(document, "Code")
        said = ": ".join(filter(None, (reason or f"status {status}", _element(document, "Message"))))
        meaning = self._meaning(status, reason, document, headers, bucket)
        sentence = (
            f"{meaning} (The object storage said: {said}.)" if meaning else f"The object storage refused: {said}."
        )
        return RefusedError(sentence, status, reason)

    def _meaning(self, status: int, reason: str, document: str, headers: Mapping[str, str], bucket: str) -> str:
        """What to do, for the reasons that there is something to do about."""
        if reason == "RequestTimeTooSkewed":
            return f"This machine's clock is {_skew(headers)} the object storage's: set it right (timedatectl)."
        if reason == "AuthorizationHeaderMalformed" and _element(document, "Region"):
            return (
                f"The region is {_element(document, 'Region')!r} and not {self.service.region!r}: set region to that."
            )
        if reason == "PermanentRedirect" or status in (301, 307):
            region = headers.get("x-amz-bucket-region")
            return f"The bucket {bucket!r} is not at this endpoint: set region and endpoint to its own" + (
                f", which is {region!r}." if region else "."
            )
        if status in (429, 503):
            return "The object storage has no time for this: run again later."
        return _MEANINGS.get(reason, "").format(bucket=bucket)


#: By S3's reason.
_MEANINGS = {
    "InvalidAccessKeyId": (
        "The object storage does not know the access key: check access_key, and that it was not deleted."
    ),
    "SignatureDoesNotMatch": "The secret key is not the one of the access key: check secret_key.",
    "AccessDenied": (
        "The key may not use the bucket {bucket!r}. If it is not yours, choose another name: names are shared with all "
        "other customers."
    ),
    "NoSuchBucket": "There is no bucket {bucket!r}: create it first, as the module s3_buckets does.",
    "BucketAlreadyExists": (
        "The bucket name {bucket!r} is taken by somebody else: choose another one, names are shared with all other "
        "customers."
    ),
    "TooManyBuckets": "The account has as many buckets as it may have: delete one, or ask for a higher limit.",
    "QuotaExceeded": "The account's storage is used up: delete something, or ask for a higher limit.",
}


def create_client(options: Mapping[str, Any]) -> Client:
    """A client by the options of :data:`ARGUMENTS`. Raises :class:`ObjectStorageError` where it could never work."""
    endpoint, region = options["endpoint"], options["region"]
    if mistake := mistake_in_endpoint(endpoint, loopback=True):
        raise ObjectStorageError(f"endpoint: {mistake}")
    if mistake := mistake_in_region(region):
        raise ObjectStorageError(f"region: {mistake}")
    for name, variable in (("access_key", "AWS_ACCESS_KEY_ID"), ("secret_key", "AWS_SECRET_ACCESS_KEY")):
        value = options[name]
        if not value:
            raise ObjectStorageError(
                f"There is no {name}: give it, or set the environment variable {variable} (Hetzner Console, Security, "
                "S3 credentials)."
            )
        if not value.isascii() or not value.isprintable() or " " in value:
            raise ObjectStorageError(
                f"{name} holds characters no key has: copy it again, without spaces or line breaks."
            )
    ca_path = options["ca_path"]
    if ca_path:
        try:
            certificates = Path(ca_path).read_text(errors="replace")
        except OSError as error:
            raise ObjectStorageError(
                f"ca_path: {ca_path} cannot be read ({error.strerror}); it must be on the machine the module runs on."
            ) from error
        if "-----BEGIN CERTIFICATE-----" not in certificates:
            raise ObjectStorageError(f"ca_path: {ca_path} holds no certificate (PEM).")
    credentials = Credentials(options["access_key"], options["secret_key"])
    return Client(Service(endpoint.rstrip("/"), region, credentials, ca_path or None, options["timeout"]))


def _element(document: str, name: str) -> str:
    """The text of an element of S3's errors, which are flat. Not parsed: it comes from who knows where."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", document)
    return html.unescape(found[1]).strip().rstrip(".") if found else ""


def _skew(headers: Mapping[str, str]) -> str:
    """How far this machine's clock is from the service's, by the answer's date."""
    try:
        seconds = (datetime.now(UTC) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        return "too far from"
    return f"{abs(seconds) / 60:.0f} minutes {'ahead of' if seconds > 0 else 'behind'}"
