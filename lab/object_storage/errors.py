"""The errors S3 answers with: its codes, each with its HTTP status and what it says when nobody knows better."""

from __future__ import annotations

from collections.abc import Mapping

#: By the vendor's list of error responses.
ERRORS: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "access denied"),
    "AuthorizationHeaderMalformed": (400, "the Authorization header cannot be read"),
    "AuthorizationQueryParametersError": (400, "the query parameters that sign this request cannot be read"),
    "BadDigest": (400, "the body has another checksum than the request says"),
    "BucketAlreadyOwnedByYou": (409, "you have this bucket already"),
    "BucketNotEmpty": (409, "the bucket still holds objects"),
    "EntityTooLarge": (400, "the body is larger than one request may carry; upload it in parts"),
    "EntityTooSmall": (400, "every part but the last must have 5 MiB or more"),
    "IllegalLocationConstraintException": (400, "this region has no such location"),
    "IncompleteBody": (400, "the body ends before, or goes on after, the length that was announced"),
    "InternalError": (500, "fault of the embedded cloud"),
    "InvalidAccessKeyId": (403, "there is no such access key"),
    "InvalidArgument": (400, "an argument cannot be accepted"),
    "InvalidBucketName": (400, "this is no name for a bucket"),
    "InvalidDigest": (400, "the Content-MD5 is no MD5"),
    "InvalidPart": (400, "a part was not uploaded, or has another ETag"),
    "InvalidPartOrder": (400, "parts must be listed by ascending number"),
    "InvalidRange": (416, "the object has no such range"),
    "InvalidRequest": (400, "the request cannot be accepted"),
    "InvalidURI": (400, "the path cannot be read"),
    "KeyTooLongError": (400, "a key has at most 1024 bytes"),
    "MalformedXML": (400, "the body is not the XML that is expected here"),
    "MetadataTooLarge": (400, "metadata has at most 2 KB"),
    "MissingContentLength": (411, "the request needs a Content-Length"),
    "NoSuchBucket": (404, "there is no such bucket"),
    "NoSuchKey": (404, "there is no such object"),
    "NoSuchUpload": (404, "there is no such upload; it may have been completed or aborted"),
    "NotImplemented": (501, "the embedded cloud does not implement this"),
    "NotModified": (304, "the object is the one you have"),
    "PreconditionFailed": (412, "a condition of the request does not hold"),
    "RequestTimeTooSkewed": (403, "the request's time and this server's are more than 15 minutes apart"),
    "ServiceUnavailable": (503, "object storage is away; try again later"),
    "SignatureDoesNotMatch": (403, "the signature is not the one that the secret key gives for this request"),
    "XAmzContentSHA256Mismatch": (400, "the body is not the one that was signed"),
}


class StorageError(Exception):
    """A request was refused. ``code`` is for machines, ``message`` for people."""

    def __init__(self, code: str, message: str | None = None, **details: str) -> None:
        self.code = code
        self.status, usual = ERRORS[code]
        self.message = message or usual
        self.details = details
        super().__init__(self.message)


def not_implemented(what: str) -> StorageError:
    """Something S3 offers and the embedded cloud does not; it never looks like success."""
    return StorageError("NotImplemented", f"{what}: the embedded cloud does not implement this")
