#!/usr/bin/env python3
"""A user who asks for a page every few milliseconds, and what became of each request. It needs nothing of the checkout.

    requester.py URL --out FILE [--every SECONDS]      asks until it is told to end (SIGTERM)

Each request is begun when it is due, whatever became of those before, on a connection that is kept or, where all are
busy, on a new one. It has failed when its answer is not 2xx, or there is none within the patience. A connection that
was kept and is found closed before anything came back is no failure: the request is made again on a new one, once, as
browsers do.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import ssl
import threading
import time
from pathlib import Path
from queue import Empty, LifoQueue
from urllib.parse import urlsplit

#: Most requests under way at once.
WORKERS = 64


class User:
    def __init__(self, url: str, patience: float) -> None:
        self.url = urlsplit(url)
        self.page = f"{self.url.path or '/'}?{self.url.query}" if self.url.query else self.url.path or "/"
        self.patience = patience
        self.kept: LifoQueue[http.client.HTTPConnection] = LifoQueue()
        self.context = ssl.create_default_context()

    def connection(self) -> http.client.HTTPConnection:
        host = self.url.netloc
        if self.url.scheme == "https":
            return http.client.HTTPSConnection(host, timeout=self.patience, context=self.context)
        return http.client.HTTPConnection(host, timeout=self.patience)

    def ask(self) -> dict[str, object]:
        try:
            connection, kept = self.kept.get_nowait(), True
        except Empty:
            connection, kept = self.connection(), False
        try:
            return self.request(connection)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError) as error:
            if not kept:
                return {"failed": f"{type(error).__name__}: {error}"}
        except (OSError, http.client.HTTPException) as error:
            return {"failed": f"{type(error).__name__}: {error}"}
        try:
            return self.request(self.connection())
        except (OSError, http.client.HTTPException) as error:
            return {"failed": f"{type(error).__name__}: {error}"}

    def request(self, connection: http.client.HTTPConnection) -> dict[str, object]:
        try:
            connection.request("GET", self.page)
            answer = connection.getresponse()
            answer.read()
        except BaseException:
            connection.close()
            raise
        self.kept.put(connection)
        found: dict[str, object] = {"status": answer.status, "server": answer.getheader("X-Served-By")}
        found["version"] = answer.getheader("X-Version")
        if not 200 <= answer.status < 300:
            found["failed"] = f"status {answer.status}"
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--out", required=True, help="a line of JSON for each request")
    parser.add_argument("--every", type=float, default=0.01, help="seconds from one request to the next")
    parser.add_argument("--patience", type=float, default=15.0, help="seconds after which a request has failed")
    options = parser.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    user = User(options.url, options.patience)
    mutex, turn = threading.Lock(), threading.Lock()
    with Path(options.out).open("w", encoding="utf-8", buffering=1) as file:
        due = time.monotonic()

        def work() -> None:
            nonlocal due
            while not ended.is_set():
                with turn:  # one after the other takes the next moment, so that the pace does not hang on the answers
                    now = time.monotonic()
                    # What the machine could not begin in time is left out, not made up for in a burst.
                    due = max(due + options.every, now)
                    pause = due - now
                    if pause > 0:
                        time.sleep(pause)
                begun = time.time()
                found = user.ask()
                line = json.dumps({"begun": begun, "took": round(time.time() - begun, 4), **found})
                with mutex:
                    file.write(line + "\n")

        threads = [threading.Thread(target=work) for _ in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
