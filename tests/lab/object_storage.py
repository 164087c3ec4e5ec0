"""Object storage served for tests: real HTTPS on loopback, called by its names, which lead there."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.containers import certificates
from lab.object_storage.app import ObjectStorage
from lab.object_storage.availability import Availability
from lab.object_storage.signature import Credentials
from lab.object_storage.store import Store

NAME = "objects.example"
REGION = "lab"
CREDENTIALS = Credentials("LABACCESSKEY", "secret/of+the=tests")


class Served:
    """A running server, and the vendor's client for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "objects"
        self.store = Store(self.folder)
        self.availability = Availability()
        self.authority = folder / "authority" / certificates.CERTIFICATE.name
        files = certificates.issue((NAME, f"*.{NAME}"), folder / "authority")
        app = ObjectStorage(self.store, CREDENTIALS, NAME, REGION, self.availability)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for an ACK
        self.port = listener.getsockname()[1]
        certificate, key = files
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ssl_certfile=certificate,
            ssl_keyfile=key,
            timeout_graceful_shutdown=1,  # clients that keep a connection do not say goodbye
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([listener])), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def client(self, credentials: Credentials = CREDENTIALS, region: str = REGION, **config: Any) -> Any:
        """One attempt, so that a refusal is seen at once."""
        addressing = config.pop("addressing", "path")
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            verify=str(self.authority),
            config=Config(
                s3={"addressing_style": addressing},
                retries={"total_max_attempts": 1},
                connect_timeout=10,
                read_timeout=60,
                **config,
            ),
        )

    def make_bucket(self) -> Bucket:
        return Bucket(self, f"bucket-{secrets.token_hex(6)}")

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class Bucket:
    """A new bucket, and shorter words for what tests do with it."""

    def __init__(self, served: Served, name: str) -> None:
        self.name = name
        self.served = served
        self.client = served.client()
        self.client.create_bucket(Bucket=name)

    def call(self, operation: str, **options: Any) -> Any:
        return getattr(self.client, operation)(Bucket=self.name, **options)

    def put(self, key: str, body: Any = b"", **options: Any) -> str:
        """The ETag of a new object."""
        return str(self.call("put_object", Key=key, Body=body, **options)["ETag"])

    def get(self, key: str, **options: Any) -> bytes:
        return bytes(self.call("get_object", Key=key, **options)["Body"].read())

    def listed(self, **options: Any) -> list[str]:
        """Of one page."""
        return [found["Key"] for found in self.call("list_objects_v2", **options).get("Contents", ())]

    def path(self, key: str) -> Path:
        """The file that holds an object's bytes."""
        return self.served.store.content(self.name, key)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    served = Served(folder)
    resolve = socket.getaddrinfo

    def lead_here(host: Any, *rest: Any, **options: Any) -> Any:
        ours = isinstance(host, str) and (host == NAME or host.endswith(f".{NAME}"))
        return resolve("127.0.0.1" if ours else host, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lead_here)
        try:
            yield served
        finally:
            served.close()


@contextmanager
def refused(code: str, status: int) -> Iterator[dict[str, Any]]:
    """What is done in here must be answered with this error."""
    found: dict[str, Any] = {}
    with pytest.raises(ClientError) as caught:
        yield found
    found |= caught.value.response["Error"]
    assert (found["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
