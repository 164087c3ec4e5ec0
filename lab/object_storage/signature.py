"""Whether a request is signed with the secret key: version 4 of the vendor's signatures, in headers or in the query.

Source: the vendor's "Authenticating Requests (AWS Signature Version 4)". What is signed here is compared with what was
received, so nothing in this module trusts a request before ``verify`` returns.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote, unquote_to_bytes

from lab.object_storage.errors import StorageError

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
_TIME = "%Y%m%dT%H%M%SZ"
_SKEW = timedelta(minutes=15)
_LONGEST = timedelta(days=7)
_SAFE = "-_.~"
_HEADER = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^,\s]+),\s*"
    r"SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_QUERY_NAMES = ("X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature")
#: Query parameters that sign a request and mean nothing else.
SIGNING_PARAMETERS = frozenset(("X-Amz-Algorithm", "X-Amz-Content-Sha256", *_QUERY_NAMES))


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Received:
    """What of a request can be signed. Names of headers are in lower case; the query is decoded."""

    method: str
    raw_path: bytes
    query: Sequence[tuple[str, str]]
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> str | None:
        return next((value for found, value in self.headers if found == name), None)

    def parameter(self, name: str) -> str | None:
        return next((value for found, value in self.query if found == name), None)


@dataclass(frozen=True)
class Signed:
    """What a verified signature says about the body, and what the signatures of its chunks go on from."""

    payload: str
    time: str
    scope: str
    key: bytes
    signature: str

    def sign(self, words: str) -> str:
        return _hmac(self.key, words).hex()


@dataclass(frozen=True)
class _Claim:
    """What a request says about its own signature."""

    credential: str
    signed_headers: tuple[str, ...]
    signature: str
    time: str
    payload: str
    expires: timedelta | None = None  # of a signature in the query


def parse_query(query: bytes) -> list[tuple[str, str]]:
    """The query's pairs, decoded; a plus sign is itself, as the vendor has it in signatures."""
    pairs = (pair.partition("=") for pair in query.decode("latin-1").split("&") if pair)
    return [(unquote(name), unquote(value)) for name, _, value in pairs]


def verify(received: Received, credentials: Credentials, region: str, now: datetime) -> Signed:
    """Raises StorageError with the vendor's code unless the request is signed with these credentials."""
    claim = _claim(received)
    access_key, date, found_region, service, end = _credential(claim)
    if found_region != region:
        message = f"the region '{found_region}' is wrong; this one is '{region}'"
        raise StorageError("AuthorizationHeaderMalformed", message, Region=region)
    if (service, end) != ("s3", "aws4_request"):
        raise StorageError("AuthorizationHeaderMalformed", "the credential's scope must end with s3/aws4_request")
    if not hmac.compare_digest(access_key.encode(), credentials.access_key.encode()):
        raise StorageError("InvalidAccessKeyId", AWSAccessKeyId=access_key)
    _check_time(claim, now)
    if claim.time[:8] != date:
        raise StorageError("SignatureDoesNotMatch", "the credential's date is not the request's")
    _check_signed_headers(received, claim)
    scope = "/".join((date, region, service, end))
    key = f"AWS4{credentials.secret_key}".encode()
    for word in (date, region, service, end):
        key = _hmac(key, word)
    request = _canonical(received, claim)
    words = "\n".join((ALGORITHM, claim.time, scope, hashlib.sha256(request.encode("latin-1")).hexdigest()))
    if not hmac.compare_digest(_hmac(key, words).hex(), claim.signature):
        raise StorageError("SignatureDoesNotMatch", StringToSign=words)
    return Signed(claim.payload, claim.time, scope, key, claim.signature)


def _claim(received: Received) -> _Claim:
    authorization = received.header("authorization")
    in_query = received.parameter("X-Amz-Algorithm") is not None
    if authorization is not None and in_query:
        raise StorageError("InvalidArgument", "sign a request in its headers or in its query, not in both")
    if authorization is not None:
        return _claim_of_headers(received, authorization)
    if in_query:
        return _claim_of_query(received)
    raise StorageError("AccessDenied", "the request is not signed")


def _claim_of_headers(received: Received, authorization: str) -> _Claim:
    if not authorization.startswith(ALGORITHM):
        raise StorageError("InvalidRequest", f"sign requests with {ALGORITHM}")
    match = _HEADER.fullmatch(authorization.strip())
    if match is None:
        raise StorageError("AuthorizationHeaderMalformed")
    time = received.header("x-amz-date")
    if time is None:
        raise StorageError("AccessDenied", "a signed request needs the header x-amz-date")
    payload = received.header("x-amz-content-sha256")
    if payload is None:
        raise StorageError("InvalidRequest", "a signed request needs the header x-amz-content-sha256")
    return _Claim(match["credential"], tuple(match["headers"].split(";")), match["signature"], time, payload)


def _claim_of_query(received: Received) -> _Claim:
    if received.parameter("X-Amz-Algorithm") != ALGORITHM:
        raise StorageError("AuthorizationQueryParametersError", f"sign requests with {ALGORITHM}")
    credential, time, expires, headers, signature = (received.parameter(name) or "" for name in _QUERY_NAMES)
    if not (credential and time and headers and signature):
        raise StorageError("AuthorizationQueryParametersError", f"the query needs {', '.join(_QUERY_NAMES)}")
    if not expires.isdecimal() or not timedelta(0) < timedelta(seconds=min(int(expires), 10**9)) <= _LONGEST:
        raise StorageError("AuthorizationQueryParametersError", "X-Amz-Expires must be from 1 to 604800 seconds")
    payload = received.parameter("X-Amz-Content-Sha256") or received.header("x-amz-content-sha256") or UNSIGNED
    valid = timedelta(seconds=int(expires))
    return _Claim(credential, tuple(headers.split(";")), signature, time, payload, valid)


def _credential(claim: _Claim) -> list[str]:
    parts = claim.credential.rsplit("/", 4)
    if len(parts) != 5:
        code = "AuthorizationHeaderMalformed" if claim.expires is None else "AuthorizationQueryParametersError"
        raise StorageError(code, "a credential is KEY/DATE/REGION/s3/aws4_request")
    return parts


def _check_time(claim: _Claim, now: datetime) -> None:
    try:
        time = datetime.strptime(claim.time, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise StorageError("AccessDenied", f"'{claim.time}' is no time such as 20260131T235959Z") from error
    skewed = abs(now - time) > _SKEW if claim.expires is None else time - now > _SKEW
    if skewed:
        raise StorageError(
            "RequestTimeTooSkewed",
            RequestTime=claim.time,
            ServerTime=now.strftime(_TIME),
            MaxAllowedSkewMilliseconds=str(_SKEW // timedelta(milliseconds=1)),
        )
    if claim.expires is not None and now > time + claim.expires:
        raise StorageError("AccessDenied", "the request has expired")


def _check_signed_headers(received: Received, claim: _Claim) -> None:
    """Nobody may change on the way what gives a request its meaning."""
    must = {"host", *(name for name, _ in received.headers if name.startswith("x-amz-"))}
    left = sorted(must.difference(claim.signed_headers))
    if left:
        raise StorageError("AccessDenied", f"headers are there that were not signed: {', '.join(left)}")


def _canonical(received: Received, claim: _Claim) -> str:
    path = quote(unquote_to_bytes(received.raw_path), safe="/" + _SAFE)
    pairs = sorted(
        (quote(name, safe=_SAFE), quote(value, safe=_SAFE))
        for name, value in received.query
        if name != "X-Amz-Signature"
    )
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = []
    for name in claim.signed_headers:
        values = (" ".join(value.split()) for found, value in received.headers if found == name)
        lines.append(f"{name}:{','.join(values)}")
    return "\n".join((received.method, path, query, *lines, "", ";".join(claim.signed_headers), claim.payload))


def _hmac(key: bytes, words: str) -> bytes:
    return hmac.digest(key, words.encode(), "sha256")
