"""A headless Chromium that tests steer through a pipe, by the DevTools protocol: no port and no library is needed.

https://chromedevtools.github.io/devtools-protocol/ describes the commands; messages end with a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: After which a test that waits for the page fails; only what hangs takes that long.
SECONDS = 60

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--force-device-scale-factor=1", "--hide-scrollbars", "--remote-debugging-pipe"),
)


def program() -> str | None:
    """Where Chromium is, or None."""
    return next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )


class Page:
    """One tab. What it complained about on its console is in ``complaints``."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Accessibility"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reader], [], [], SECONDS)
            assert ready, "Chromium said nothing"
            read = os.read(self._reader, 1 << 16)
            assert read, "Chromium ended"
            self._buffer += read
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Log.entryAdded":
            entry = event["params"]["entry"]
            if entry["level"] in ("warning", "error"):
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
        elif event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(event["params"]["exceptionDetails"]))

    def open(self, url: str) -> None:
        self.command("Page.navigate", url=url)

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, or what it promises."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, expression: str) -> Any:
        """The value of an expression, once it is true."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            # Until a new page is there, there may be nothing to ask.
            result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
            value = result["result"].get("value") if "exceptionDetails" not in result else None
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}\n{self.text()[-4000:]}")

    def text(self) -> str:
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of the element, once it is there, in view, uncovered and can be used."""
        place = self.wait(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)});"
            "if (!found || found.disabled) return null;"
            "found.scrollIntoView({block: 'center', behavior: 'instant'}); const box = found.getBoundingClientRect();"
            "const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];"
            "return found.contains(document.elementFromPoint(x, y)) ? [x, y] : null; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key: str) -> None:
        code, text = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), " ": (32, " ")}[key]
        for kind in ("keyDown", "keyUp"):
            pressed = {"text": text} if text and kind == "keyDown" else {}
            name = "Space" if key == " " else key
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=name, windowsVirtualKeyCode=code, **pressed)

    def resize(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """``scheme``: what the person prefers, light or dark."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def unnamed(self) -> list[str]:
        """Roles of what can be operated or looked at and has no name for who cannot see it."""
        nodes = self.command("Accessibility.getFullAXTree")["nodes"]
        wanted = {"button", "switch", "link", "img", "image", "table", "progressbar", "region", "navigation", "dialog"}
        return [
            node["role"]["value"]
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in wanted
            and not node.get("name", {}).get("value", "").strip()
        ]

    def picture(self) -> bytes:
        """The whole page as PNG."""
        answer = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """``folder``: an empty one, for its profile."""
    found = program()
    assert found is not None, "there is no Chromium"
    to_read, their_write = os.pipe()
    their_read, to_write = os.pipe()
    words = [found, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    # It reads from descriptor 3 and writes to descriptor 4.
    script = f'exec "$@" 3<&{their_read} 4>&{their_write}'
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *words],
        pass_fds=(their_read, their_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_read)
    os.close(their_write)
    try:
        yield Page(to_read, to_write)
    finally:
        os.close(to_write)  # it ends when nobody steers it any more
        try:
            process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to_read)
