#!/usr/bin/env python3
"""What the lab's edge costs: TLS from users, Full (strict) to the origin, all on loopback. No lab is needed.

    tests/benchmarks/edge_proxy.py [REQUESTS_A_SECOND] [SECONDS]

Edge, origin and users are a process each. Prints the edge's share of one core at that rate, its time for a request, the
latency users see, its memory, and how many requests a second it manages when sixty-four users never pause.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.lab.edge import ZONE, edge_on_loopback

_PAGE = b"x" * 2000
_USERS = 64


async def _origin(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2000")]})
    await send({"type": "http.response.body", "body": _PAGE})


def serve_origin(folder: str, port: str) -> None:
    files = (f"{folder}/origin.crt", f"{folder}/origin.key")
    config = uvicorn.Config(
        _origin, port=int(port), lifespan="off", log_level="error", ssl_certfile=files[0], ssl_keyfile=files[1]
    )
    uvicorn.Server(config).run()


def serve_edge(folder: str) -> None:
    """Serves until its input ends; the first line printed says how to reach it."""
    with edge_on_loopback(Path(folder)) as edge:
        certificate, key, _ = edge.origin_certificate(ZONE)
        (Path(folder) / "origin.crt").write_text(certificate)
        (Path(folder) / "origin.key").write_text(key)
        edge.record()
        edge.change(ssl="strict")
        print(edge.https, edge.origin_https, edge.public, flush=True)
        sys.stdin.read()


def _used(pid: int) -> float:
    """Seconds of a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _client(port: int, authority: str) -> httpx.AsyncClient:
    import ssl

    class ToTheEdge(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.extensions["sni_hostname"] = ZONE
            request.url = request.url.copy_with(host="127.0.0.1", port=port)
            return await super().handle_async_request(request)

    context = ssl.create_default_context(cafile=authority)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(transport=ToTheEdge(verify=context, limits=limits), timeout=30)


async def _ask(client: httpx.AsyncClient, took: list[float]) -> None:
    begun = time.perf_counter()
    answer = await client.get(f"https://{ZONE}/")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == len(_PAGE)
    took.append(time.perf_counter() - begun)


async def measure(pid: int, port: int, authority: str, rate: int, seconds: float) -> None:
    async with _client(port, authority) as client:
        await asyncio.gather(*(_ask(client, []) for _ in range(8)))
        took: list[float] = []
        before, begun = _used(pid), time.perf_counter()
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            tasks.append(asyncio.ensure_future(_ask(client, took)))
        await asyncio.gather(*tasks)
        passed, used = time.perf_counter() - begun, _used(pid) - before
        took.sort()
        middle, late = took[len(took) // 2] * 1000, took[int(len(took) * 0.99)] * 1000
        print(
            f"{len(took) / passed:.0f} requests/s: {used / passed:.2f} of a core, {used / len(took) * 1000:.2f} ms each"
        )
        print(f"latency of users: median {middle:.1f} ms, 99 of 100 within {late:.1f} ms")

        took = []
        before, begun = _used(pid), time.perf_counter()
        deadline = begun + seconds / 2

        async def user() -> None:
            while time.perf_counter() < deadline:
                await _ask(client, took)

        await asyncio.gather(*(user() for _ in range(_USERS)))
        passed, used = time.perf_counter() - begun, _used(pid) - before
        print(f"{_USERS} users without pause: {len(took) / passed:.0f} requests/s, {used / passed:.2f} of a core")
        print(f"memory of the edge: {_memory(pid):.0f} MiB")


def main() -> None:
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    with tempfile.TemporaryDirectory() as folder:
        me = [sys.executable, __file__]
        edge = subprocess.Popen([*me, "--edge", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert edge.stdout is not None
        port, origin_port, authority = edge.stdout.readline().split()
        origin = subprocess.Popen([*me, "--origin", folder, origin_port])
        try:
            time.sleep(2)
            asyncio.run(measure(edge.pid, int(port), authority, rate, seconds))
        finally:
            for process in (edge, origin):
                process.terminate()
                process.wait(30)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--edge"]:
        serve_edge(*sys.argv[2:])
    elif sys.argv[1:2] == ["--origin"]:
        serve_origin(*sys.argv[2:])
    else:
        main()
