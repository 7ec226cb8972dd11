"""A headless Chromium that is told what to do over a pipe, in the DevTools protocol. It needs the browser alone."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from PIL import Image

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--no-first-run",
)
COLOURS = 128  # of a picture, so that it is small
SECONDS = 180  # that a page has to become as it is waited for


class Failed(AssertionError):
    """What the browser or its page says went wrong."""


class Browser:
    """A running browser. faults: what its pages complained of: errors, and what they were not allowed to load."""

    def __init__(self, told: BinaryIO, tells: BinaryIO) -> None:
        self._told, self._tells = told, tells
        self._numbers = itertools.count(1)
        self.faults: list[str] = []

    def call(self, method: str, session: str | None = None, **given: Any) -> dict[str, Any]:
        """The result of a method of the protocol. Raises Failed."""
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": given} | ({"sessionId": session} if session else {})
        self._told.write(json.dumps(asked).encode() + b"\0")
        self._told.flush()
        while (found := self._next()).get("id") != number:
            self._note(found)
        if "error" in found:
            raise Failed(f"{method}: {found['error']['message']}")
        result: dict[str, Any] = found["result"]
        return result

    def open(self, address: str, width: int, height: int, dark: bool) -> Page:
        """A new page of a size, in pixels."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        page = Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[scheme])
        page.call("Page.navigate", url=address)
        return page

    def _next(self) -> dict[str, Any]:
        read = bytearray()
        while (byte := self._tells.read(1)) != b"\0":
            if not byte:
                raise Failed("the browser has ended")
            read += byte
        found: dict[str, Any] = json.loads(read)
        return found

    def _note(self, found: dict[str, Any]) -> None:
        if found.get("method") == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(found["params"]["exceptionDetails"]["exception"]))
        if found.get("method") == "Log.entryAdded" and found["params"]["entry"]["level"] == "error":
            self.faults.append(found["params"]["entry"]["text"])


class Page:
    """A page in a browser, used as somebody does: by keys, clicks and what can be seen."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **given)

    def find(self, expression: str) -> Any:
        """The value of an expression of JavaScript, once it is settled."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise Failed(found["exceptionDetails"].get("exception", {}).get("description", "the page failed"))
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until something is so in the page, looked at with every frame that is drawn."""
        self.find(
            "new Promise((done, fail) => { const begun = performance.now(); const look = () => {"
            f" let so = false; try {{ so = Boolean({condition}); }} catch {{}}"
            " if (so) done(true);"
            f" else if (performance.now() - begun > {SECONDS * 1000}) fail(new Error({json.dumps(condition)}));"
            " else setTimeout(look, 20); }; look(); })"
        )

    def text(self, selector: str) -> str:
        """What can be read in an element."""
        return str(self.find(f"document.querySelector({json.dumps(selector)}).innerText"))

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element."""
        x, y = self.find(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            " one.scrollIntoView({block: 'center'}); const r = one.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Put a text in place of what stands in a field, as if it were pasted."""
        self.find(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.focus(); one.select(); }})()"
        )
        self.call("Input.insertText", text=text)

    def press(self, key: str, modifiers: int = 0, code: int = 0) -> None:
        """Press a key. modifiers: 1 Alt, 2 Ctrl, 8 Shift; code: its Windows code, which some keys need"""
        for kind in ("rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, modifiers=modifiers, windowsVirtualKeyCode=code
            )

    def picture(self, file: Path, selector: str | None = None) -> None:
        """Write what can be seen, or all of an element, as a PNG."""
        given: dict[str, Any] = {}
        if selector is not None:
            x, y, width, height = self.find(
                f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                " return [r.x + scrollX, r.y + scrollY, r.width, r.height]; })()"
            )
            given = {"clip": {"x": x, "y": y, "width": width, "height": height, "scale": 1}}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=selector is not None, **given)[
            "data"
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        drawn = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
        drawn.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def installed() -> str | None:
    """The path of a browser, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a fresh profile; it is ended in the end."""
    found = installed()
    assert found is not None, "no Chromium is installed"
    (theirs, told), (tells, theirs_too) = os.pipe(), os.pipe()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [found, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{theirs_too} 2>/dev/null', "bash", *command],
            pass_fds=(theirs, theirs_too),
        )
        os.close(theirs)
        os.close(theirs_too)
        with os.fdopen(told, "wb") as writes, os.fdopen(tells, "rb") as reads:
            try:
                yield Browser(writes, reads)
            finally:
                process.terminate()
                process.wait(20)
