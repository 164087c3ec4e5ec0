"""Every answer that the embedded cloud gives in a test, held against the vendor's document when the test ends."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.api.http import PREFIX
from lab.operations.cloud import Cloud
from tests.lab.spec import load_spec


class Answers:
    """The application of a cloud, whose answers are kept for :meth:`check`, whoever asked for them."""

    def __init__(self, app: ASGIApp, cloud: Cloud) -> None:
        self._app = app
        self._cloud = cloud
        self._given: set[tuple[str, str, int, bytes]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, payload = 0, b""

        async def keep(message: Message) -> None:
            nonlocal status, payload
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                payload += message.get("body", b"")
                # Before it is sent: afterwards the test may have ended.
                if not message.get("more_body") and not self._is_of_a_gateway(status, payload):
                    self._given.add((scope["method"], scope["path"].removeprefix(PREFIX), status, payload))
            await send(message)

        await self._app(scope, receive, keep)

    def check(self) -> None:
        """Fails with the first answer that the document does not allow."""
        spec = load_spec()
        if spec is not None:
            for answer in sorted(self._given):
                spec.check(*answer)

    def _is_of_a_gateway(self, status: int, payload: bytes) -> bool:
        """The one exception: a fault without a code orders what a gateway says, which is no answer of the API."""
        return any(
            (fault.effect, fault.code, fault.status, fault.message.encode()) == ("error", None, status, payload)
            for fault in self._cloud.faults.rules.values()
        )
