"""A registry that container images can be pulled from, and nothing else.

Source: the distribution specification of the Open Container Initiative, its "pull" and "content discovery" parts. What
is not here is answered with 404 and the specification's error, so that an engine that has this for a mirror goes on to
the registry it mirrors.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from lab.containers.store import MANIFEST_TYPE, Image, Store, is_digest

#: Images of the official library are called by one word; on the wire they have a publisher like all others.
_LIBRARY = "library/"

_API_VERSION = {"Docker-Distribution-API-Version": "registry/2.0"}


class _PullError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def create_registry(store: Store) -> Starlette:
    """The registry as an application. It looks into the store for each request, so images made meanwhile are served."""

    def find(request: Request) -> Image:
        name: str = request.path_params["name"]
        image = store.image(name.removeprefix(_LIBRARY))
        if image is None:
            raise _PullError(404, "NAME_UNKNOWN", f"this lab has no image called {name}")
        return image

    async def version(_: Request) -> Response:
        return JSONResponse({}, headers=_API_VERSION)

    async def manifest(request: Request) -> Response:
        image, reference = find(request), request.path_params["reference"]
        if reference != image.manifest and reference not in image.tags:
            raise _PullError(404, "MANIFEST_UNKNOWN", f"of {image.repository} this lab has {', '.join(image.tags)}")
        return _content(image.manifest, MANIFEST_TYPE)

    async def blob(request: Request) -> Response:
        image, digest = find(request), request.path_params["digest"]
        if not is_digest(digest):
            raise _PullError(400, "DIGEST_INVALID", f"{digest} is no digest")
        described = store.manifest(image)
        if digest not in {entry["digest"] for entry in (described["config"], *described["layers"])}:
            raise _PullError(404, "BLOB_UNKNOWN", f"{image.repository} has no blob {digest}")
        return _content(digest, "application/octet-stream")

    def _content(digest: str, media_type: str) -> Response:
        path = store.blob(digest)
        if path is None:
            raise _PullError(404, "BLOB_UNKNOWN", f"no blob {digest}")
        return FileResponse(path, media_type=media_type, headers={**_API_VERSION, "Docker-Content-Digest": digest})

    async def tags(request: Request) -> Response:
        image = find(request)
        after = request.query_params.get("last", "")
        listed = [tag for tag in sorted(image.tags) if tag > after]
        most = request.query_params.get("n", "")
        if most.isdigit():
            listed = listed[: int(most)]
        return JSONResponse({"name": request.path_params["name"], "tags": listed}, headers=_API_VERSION)

    return Starlette(
        routes=[
            Route("/v2/", version),
            Route("/v2/{name:path}/manifests/{reference}", manifest),
            Route("/v2/{name:path}/blobs/{digest}", blob),
            Route("/v2/{name:path}/tags/list", tags),
        ],
        exception_handlers={_PullError: _refused, HTTPException: _not_offered},
    )


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"errors": [{"code": code, "message": message}]}, status, headers=_API_VERSION)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, _PullError):
        raise error
    return _error(error.status, error.code, error.message)


async def _not_offered(_: Request, error: Exception) -> Response:
    """Anything that is no pull: an unknown path, or a push."""
    if not isinstance(error, HTTPException):
        raise error
    return _error(error.status_code, "UNSUPPORTED", "this registry only answers pulls")
