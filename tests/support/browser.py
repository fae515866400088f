"""A real browser for tests: headless Chromium, driven by the WebDriver protocol."""

from __future__ import annotations

import json
import subprocess
import time
from base64 import b64decode
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.support.ports import free_port
from tests.support.servers import chromium

if TYPE_CHECKING:
    from collections.abc import Generator

TAB: Final = "\ue004"
ENTER: Final = "\ue007"
SPACE: Final = " "
DOWN: Final = "\ue015"

_AUDIT: Final = Path(__file__).with_name("page_audit.js")
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
_TIMEOUT: Final = 120.0
_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-prefers-reduced-motion",
)


class Browser:
    """A browser window.

    Args:
        port: the port of the WebDriver server.
        session: the id of the window's WebDriver session.
    """

    def __init__(self, port: int, session: str) -> None:
        self._port = port
        self._at = f"/session/{session}"

    def open(self, url: str) -> None:
        """Open a page, wait until it is loaded, and drop the earlier page's console output."""
        self._console()
        self._do("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        """Return the URL of the page that is open."""
        return str(self._do("GET", "/url"))

    @property
    def title(self) -> str:
        """Return the title of the page."""
        return str(self._do("GET", "/title"))

    @property
    def text(self) -> str:
        """Return the visible text of the page."""
        return str(self.ask("return document.body ? document.body.innerText : ''"))

    def reads(self, text: str) -> bool:
        """Return whether this text appears on the page within a short time."""
        end_time = time.monotonic() + _TIMEOUT
        while text not in self.text:
            if time.monotonic() > end_time:
                return False
            time.sleep(0.05)
        return True

    def click(self, css: str, text: str = "") -> None:
        """Click the first element that matches the CSS selector and contains this text."""
        elements = self._do("POST", "/elements", {"using": "css selector", "value": css})
        for element in elements:
            place = f"/element/{element[_ELEMENT]}"
            if text in self._do("GET", f"{place}/text"):
                self._do("POST", f"{place}/click", {})
                return
        raise AssertionError(f"There is no {css} with {text!r} at {self.url}.")

    def press(self, *keys: str) -> None:
        """Press and release keys, one after another."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._do("POST", "/actions", {"actions": [source]})

    @property
    def focused(self) -> str:
        """Return the label or text of the focused element."""
        return str(
            self.ask(
                "const one = document.activeElement;"
                "return (one.labels && one.labels.length ? one.labels[0] : one).innerText.trim()"
            )
        )

    @property
    def outline(self) -> str:
        """Return the outline style of the focused element."""
        return str(self.ask("return getComputedStyle(document.activeElement).outlineStyle"))

    def tab_to(self, text: str) -> None:
        """Press Tab until the element with this text has the focus; its focus must be visible."""
        for _ in range(40):
            self.press(TAB)
            if text in self.focused:
                assert self.outline not in {"none", ""}, f"the focus on {text!r} does not show"
                return
        raise AssertionError(f"No Tab leads to {text!r} at {self.url}.")

    def ask(self, script: str) -> Any:
        """Run a script on the page, and return its result."""
        return self._do("POST", "/execute/sync", {"script": script, "args": []})

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Set the window's size, and light or dark mode."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._tell("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", {"features": [scheme]})

    def defects(self) -> list[str]:
        """Return the page's accessibility defects, and the errors in its console.

        Defects are too weak contrasts, controls and pictures without a name, missing landmarks,
        repeated ids, requests to other origins, and a page that is wider than the window.
        """
        result: list[str] = self.ask(_AUDIT.read_text("utf-8"))
        own_status = f"{self.url} - Failed to load resource"  # such as that of a page for a 404
        errors = [line for line in self._console() if not line.startswith(own_status)]
        result += [f"console: {line}" for line in errors]
        return [*result, "wider than the window"] if self.overflows else result

    @property
    def overflows(self) -> bool:
        """Return whether the page is wider than the window.

        A telephone shows a page that is too wide in a smaller scale, which makes `innerWidth`
        larger; `clientWidth` stays the width of the window.
        """
        page = "document.documentElement"
        return bool(self.ask(f"return {page}.scrollWidth > {page}.clientWidth"))

    def keep(self, path: Path) -> None:
        """Save a screenshot of the whole page."""
        path.parent.mkdir(parents=True, exist_ok=True)
        screenshot = self._tell("Page.captureScreenshot", {"captureBeyondViewport": True})
        path.write_bytes(b64decode(screenshot["data"]))

    def _console(self) -> list[str]:
        """Return the console errors since the last call."""
        log = self._do("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in log if line["level"] == "SEVERE"]

    def _tell(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._do("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _do(self, method: str, path: str, value: object = None) -> Any:
        return ask_driver(self._port, method, f"{self._at}{path}", value)


def ask_driver(port: int, method: str, path: str, value: object = None) -> Any:
    """Send a command to the WebDriver server, and return its result."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        body = None if value is None else json.dumps(value)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())["value"]
    finally:
        connection.close()
    if isinstance(answer, dict) and "error" in answer:
        raise AssertionError(f"{path}: {answer['error']}: {answer['message']}")
    return answer


@contextmanager
def open_browser() -> Generator[Browser]:
    """Yield a new browser window."""
    program, driver = chromium()
    port = free_port()
    process = subprocess.Popen(
        [driver, f"--port={port}", "--log-level=OFF"], stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        options = {"binary": program, "args": [*_ARGUMENTS]}
        capabilities = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "SEVERE"},
        }
        fields = {"alwaysMatch": capabilities}
        session = ask_driver(port, "POST", "/session", {"capabilities": fields})["sessionId"]
        try:
            yield Browser(port, session)
        finally:
            ask_driver(port, "DELETE", f"/session/{session}")
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    end_time = time.monotonic() + _TIMEOUT
    while True:
        try:
            ask_driver(port, "GET", "/status")
        except OSError:
            if time.monotonic() > end_time:
                raise
            time.sleep(0.05)
        else:
            return
